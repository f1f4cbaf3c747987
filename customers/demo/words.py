"""Names, addresses and numbers of companies and people as they might be. No address of the web or mail exists: all end
in ``.example``."""

from dataclasses import dataclass
from random import Random

from crm.demo import mobile


def _syllables(text: str) -> list[tuple[str, str]]:
    """``"王wang 李li"`` as ``[("王", "wang"), ("李", "li")]``."""
    return [
        ("".join(c for c in word if not c.isascii()), "".join(c for c in word if c.isascii())) for word in text.split()
    ]


def _words(text: str) -> list[str]:
    return text.split()


SURNAMES = _syllables(
    "王wang 李li 张zhang 刘liu 陈chen 杨yang 赵zhao 黄huang 周zhou 吴wu 徐xu 孙sun 胡hu 朱zhu 高gao 林lin 何he 郭guo "
    "马ma 罗luo 梁liang 宋song 郑zheng 谢xie 韩han 唐tang 冯feng 于yu 董dong 程cheng 曹cao 袁yuan 邓deng 许xu 傅fu "
    "沈shen 曾zeng 彭peng 吕lv 苏su 卢lu 蒋jiang 蔡cai 贾jia 丁ding 魏wei 薛xue 叶ye 欧阳ouyang 诸葛zhuge"
)
GIVEN_MALE = _syllables(
    "伟wei 强qiang 磊lei 军jun 洋yang 勇yong 杰jie 涛tao 超chao 明ming 刚gang 平ping 辉hui 鹏peng 飞fei 波bo 斌bin "
    "宇yu 浩hao 俊jun 帆fan 旭xu 宁ning 建国jianguo 志强zhiqiang 文海wenhai 永康yongkang 晓东xiaodong 国栋guodong "
    "海峰haifeng 嘉豪jiahao 子轩zixuan"
)
GIVEN_FEMALE = _syllables(
    "芳fang 娜na 敏min 静jing 丽li 艳yan 娟juan 霞xia 燕yan 玲ling 莉li 洁jie 婷ting 雪xue 琳lin 慧hui 颖ying 倩qian "
    "欣xin 怡yi 薇wei 晓燕xiaoyan 秀英xiuying 雅琴yaqin 梦婷mengting 思雨siyu 佳慧jiahui 桂兰guilan"
)
# characters beyond the common fonts and the first plane: every screen, search and file must keep them
RARE_PEOPLE = [("王㛃", "wangjie", "female"), ("陈䶮", "chenyan", "male"), ("李𬱖", "liwei", "male")]
RARE_BRAND = ("𠮷祥", "jixiang")

BRANDS = _syllables(
    "恒heng 瑞rui 鑫xin 盛sheng 德de 昌chang 嘉jia 华hua 远yuan 达da 博bo 睿rui 诚cheng 泰tai 康kang 凯kai 隆long "
    "宏hong 宇yu 海hai 天tian 创chuang 联lian 智zhi 云yun 锐rui 佳jia 美mei 福fu 祥xiang 万wan 兴xing 元yuan 百bai "
    "新xin 正zheng 星xing 辰chen 森sen 源yuan 润run 丰feng 汇hui 通tong 腾teng 骏jun 启qi 明ming 卓zhuo 越yue"
)
INDUSTRIES = {  # dictionary code: what such companies call themselves
    "it": ("软件", "信息技术", "网络科技"),
    "electronics": ("电子", "半导体", "光电科技"),
    "manufacturing": ("精密制造", "五金制品", "塑胶制品"),
    "machinery": ("机械设备", "自动化设备", "重工"),
    "auto": ("汽车零部件", "汽车配件"),
    "retail": ("商贸", "百货", "连锁超市"),
    "ecommerce": ("电子商务", "跨境电商"),
    "trade": ("贸易", "进出口", "国际贸易"),
    "logistics": ("物流", "供应链管理", "货运代理"),
    "construction": ("建筑工程", "装饰工程", "建材"),
    "medical": ("医疗器械", "医药", "生物科技"),
    "energy": ("新能源", "化工", "环保科技"),
    "textile": ("纺织品", "服装", "服饰"),
    "food": ("食品", "饮料", "农产品"),
    "education": ("教育科技", "文化用品"),
    "media": ("文化传媒", "广告"),
}
ENDINGS = ("有限公司",) * 6 + ("股份有限公司", "有限责任公司", "集团有限公司")
ROADS = (
    "人民路",
    "建设路",
    "解放路",
    "中山路",
    "科技路",
    "工业大道",
    "创新路",
    "滨江大道",
    "迎宾路",
    "文化路",
    "长江路",
)
PLACES = ("", "", "{}号楼", "创业园{}栋", "国际大厦{}层", "科技园{}座", "工业园{}号厂房")

CITIES = [  # name, address, area, dialling code, digits behind it, postcode, administrative division, districts
    ("上海", "上海市", "east", "021", 8, "2000", "310000", ("浦东新区", "闵行区", "嘉定区", "松江区")),
    ("苏州", "江苏省苏州市", "east", "0512", 8, "2150", "320500", ("工业园区", "吴中区", "相城区")),
    ("南京", "江苏省南京市", "east", "025", 8, "2100", "320100", ("江宁区", "鼓楼区", "栖霞区")),
    ("无锡", "江苏省无锡市", "east", "0510", 8, "2140", "320200", ("新吴区", "锡山区", "惠山区")),
    ("杭州", "浙江省杭州市", "east", "0571", 8, "3100", "330100", ("滨江区", "余杭区", "萧山区")),
    ("宁波", "浙江省宁波市", "east", "0574", 8, "3150", "330200", ("鄞州区", "北仑区", "镇海区")),
    ("义乌", "浙江省金华市义乌市", "east", "0579", 8, "3220", "330782", ("稠城街道", "福田街道")),
    ("合肥", "安徽省合肥市", "east", "0551", 8, "2300", "340100", ("蜀山区", "包河区")),
    ("厦门", "福建省厦门市", "east", "0592", 7, "3610", "350200", ("思明区", "湖里区", "集美区")),
    ("青岛", "山东省青岛市", "east", "0532", 8, "2660", "370200", ("市南区", "崂山区", "黄岛区")),
    ("济南", "山东省济南市", "east", "0531", 8, "2500", "370100", ("历下区", "历城区")),
    ("深圳", "广东省深圳市", "south", "0755", 8, "5180", "440300", ("南山区", "宝安区", "龙岗区", "福田区")),
    ("广州", "广东省广州市", "south", "020", 8, "5100", "440100", ("天河区", "番禺区", "白云区")),
    ("东莞", "广东省东莞市", "south", "0769", 8, "5230", "441900", ("长安镇", "虎门镇", "厚街镇")),
    ("佛山", "广东省佛山市", "south", "0757", 8, "5280", "440600", ("顺德区", "南海区")),
    ("南宁", "广西南宁市", "south", "0771", 7, "5300", "450100", ("青秀区", "西乡塘区")),
    ("北京", "北京市", "north", "010", 8, "1000", "110000", ("海淀区", "朝阳区", "丰台区")),
    ("天津", "天津市", "north", "022", 8, "3000", "120000", ("滨海新区", "西青区")),
    ("石家庄", "河北省石家庄市", "north", "0311", 8, "0500", "130100", ("裕华区", "长安区")),
    ("太原", "山西省太原市", "north", "0351", 7, "0300", "140100", ("小店区", "万柏林区")),
    ("沈阳", "辽宁省沈阳市", "northeast", "024", 8, "1100", "210100", ("浑南区", "铁西区")),
    ("大连", "辽宁省大连市", "northeast", "0411", 8, "1160", "210200", ("甘井子区", "金州区")),
    ("哈尔滨", "黑龙江省哈尔滨市", "northeast", "0451", 8, "1500", "230100", ("南岗区", "松北区")),
    ("郑州", "河南省郑州市", "central", "0371", 8, "4500", "410100", ("金水区", "二七区")),
    ("武汉", "湖北省武汉市", "central", "027", 8, "4300", "420100", ("洪山区", "江岸区")),
    ("长沙", "湖南省长沙市", "central", "0731", 8, "4100", "430100", ("岳麓区", "雨花区")),
    ("成都", "四川省成都市", "southwest", "028", 8, "6100", "510100", ("武侯区", "锦江区")),
    ("重庆", "重庆市", "southwest", "023", 8, "4000", "500000", ("渝北区", "江北区")),
    ("昆明", "云南省昆明市", "southwest", "0871", 8, "6500", "530100", ("官渡区", "五华区")),
    ("西安", "陕西省西安市", "northwest", "029", 8, "7100", "610100", ("雁塔区", "未央区")),
    ("兰州", "甘肃省兰州市", "northwest", "0931", 7, "7300", "620100", ("城关区", "七里河区")),
]

COUNTRIES = [  # code, currency, telephone (# any digit, N 2 to 8), cities, postcode, endings of company names
    (
        "US",
        "USD",
        "+1 212-555-01##",
        ("New York", "Chicago", "Houston", "Los Angeles"),
        "#####",
        ("Inc.", "LLC", "Corp."),
    ),
    ("CA", "CAD", "+1 416-555-01##", ("Toronto", "Vancouver"), "M5V 2T#", ("Inc.", "Ltd.")),
    ("GB", "GBP", "+44 20 7946 0###", ("London", "Manchester", "Leeds"), "SE1 #QN", ("Ltd", "PLC")),
    ("DE", "EUR", "+49 30 23125###", ("Berlin", "Hamburg", "München"), "1####", ("GmbH", "AG")),
    ("FR", "EUR", "+33 1 99 00 ## ##", ("Paris", "Lyon"), "75###", ("SARL", "S.A.")),
    ("IT", "EUR", "+39 02 N#######", ("Milano", "Torino"), "20###", ("S.r.l.", "S.p.A.")),
    ("ES", "EUR", "+34 91N ### ###", ("Madrid", "Barcelona"), "28###", ("S.L.", "S.A.")),
    ("NL", "EUR", "+31 20 N## ####", ("Amsterdam", "Rotterdam"), "10## AB", ("B.V.",)),
    ("AU", "AUD", "+61 2 5550 ####", ("Sydney", "Melbourne"), "20##", ("Pty Ltd",)),
    ("JP", "JPY", "+81 3-N###-####", ("Tokyo", "Osaka"), "1##-00##", ("Co., Ltd.", "K.K.")),
    ("SG", "SGD", "+65 67## ####", ("Singapore",), "04####", ("Pte. Ltd.",)),
    ("HK", "HKD", "+852 25## ####", ("Kowloon", "Wan Chai"), "", ("Limited",)),
    ("MY", "USD", "+60 3-21## ####", ("Kuala Lumpur", "Penang"), "50###", ("Sdn. Bhd.",)),
    ("TH", "USD", "+66 2 N## ####", ("Bangkok",), "10###", ("Co., Ltd.",)),
    ("AE", "USD", "+971 4 N## ####", ("Dubai",), "", ("FZE", "LLC")),
    ("BR", "USD", "+55 11 3N##-####", ("São Paulo",), "01###-000", ("Ltda.",)),
]
ENGLISH_BRANDS = _words(
    "Bluewave Harbourline Northgate Silverpine Redstone Oakfield Brightway Evercrest Summit Greenleaf Lakeshore "
    "Ironbridge Starling Copperfield Windmere Fairview Kingsley Meridian Polaris Seabright Thornbury Westbrook Amberly "
    "Crestview Foxglove Highland Juniper Larkspur Maplewood Nordhaven"
)
ENGLISH_TRADES = {
    "electronics": ("Electronics", "Lighting"),
    "machinery": ("Tools", "Machinery"),
    "auto": ("Auto Parts",),
    "retail": ("Stores", "Home Goods"),
    "textile": ("Textiles", "Apparel"),
    "trade": ("Trading", "Imports"),
    "food": ("Foods",),
    "medical": ("Medical Supplies",),
}
STREETS = ("High Street", "Park Avenue", "Market Street", "Station Road", "Harbour Road", "Mill Lane", "King Street")
FIRST_MALE = _words("James Oliver Lukas Marco Pierre Carlos Kenji Daniel Ahmed Thomas Peter Andrew Rafael Wei Ming")
FIRST_FEMALE = _words("Emma Sophie Anna Giulia Marie Laura Yuki Sarah Fatima Julia Nicole Karen Beatriz Mei Ling")
LAST = _words(
    "Smith Johnson Müller Schneider Rossi Bianchi Dubois Moreau García López Tanaka Suzuki Brown Wilson Lee Tan Silva "
    "Costa Janssen O'Brien"
)

DOMESTIC_BANKS = ("中国工商银行", "中国农业银行", "中国银行", "中国建设银行", "招商银行", "交通银行", "浦发银行")
OVERSEAS_BANKS = (
    ("HSBC", "HSBCGB2L"),
    ("Citibank N.A.", "CITIUS33"),
    ("Deutsche Bank AG", "DEUTDEFF"),
    ("DBS Bank", "DBSSSGSG"),
    ("Standard Chartered", "SCBLHKHH"),
)


@dataclass(frozen=True)
class Profile:
    """What a company or private person is, before any business is done with it."""

    name: str
    short_name: str
    industry: str
    area: str
    country: str
    city: str
    address: str
    postcode: str
    phone: str
    fax: str
    domain: str
    currency: str = "CNY"
    licence_no: str = ""
    division: str = ""

    @property
    def is_overseas(self) -> bool:
        return self.country != "CN"

    @property
    def is_person(self) -> bool:
        return not self.domain


@dataclass(frozen=True)
class Person:
    name: str
    handle: str
    sex: str


def chinese(random: Random) -> Person:
    surname, spelled = random.choice(SURNAMES)
    sex = random.choice(("male", "female"))
    given, spelled_given = random.choice(GIVEN_MALE if sex == "male" else GIVEN_FEMALE)
    return Person(surname + given, spelled + spelled_given, sex)


def foreign(random: Random) -> Person:
    sex = random.choice(("male", "female"))
    first, last = random.choice(FIRST_MALE if sex == "male" else FIRST_FEMALE), random.choice(LAST)
    handle = "".join(c for c in f"{first}.{last}".lower() if c.isascii() and c not in "'")
    return Person(f"{first} {last}", handle, sex)


def domestic_company(random: Random, *, brand: tuple[str, str] | None = None) -> Profile:
    name, spelled = brand or map("".join, zip(*random.sample(BRANDS, 2), strict=True))
    city = random.choice(CITIES)
    industry = random.choice(list(INDUSTRIES))
    trade = random.choice(INDUSTRIES[industry])
    ending = random.choice(ENDINGS)
    full = f"{name}（{city[0]}）{trade}{ending}" if random.random() < 0.12 else f"{city[0]}{name}{trade}{ending}"
    phone = _landline(random, city)
    return Profile(
        name=full,
        short_name=name + trade,
        industry=industry,
        area=city[2],
        country="CN",
        city=city[0],
        address=_address(random, city),
        postcode=f"{city[5]}{random.randrange(1, 100):02d}",
        phone=phone,
        fax=_landline(random, city) if random.random() < 0.25 else "",
        domain=f"{spelled}.example",
        licence_no=credit_code(random, city[6]),
        division=city[6],
    )


def private_person(random: Random) -> Profile:
    city = random.choice(CITIES)
    return Profile(
        name=chinese(random).name,
        short_name="",
        industry="",
        area=city[2],
        country="CN",
        city=city[0],
        address=_address(random, city),
        postcode=f"{city[5]}{random.randrange(1, 100):02d}",
        phone=mobile(random),
        fax="",
        domain="",
    )


def overseas_company(random: Random) -> Profile:
    country, currency, telephone, cities, postcode, endings = random.choice(COUNTRIES)
    brand, industry, city = random.choice(ENGLISH_BRANDS), random.choice(list(ENGLISH_TRADES)), random.choice(cities)
    trade = random.choice(ENGLISH_TRADES[industry])
    code = fill(random, postcode)
    return Profile(
        name=f"{brand} {trade} {random.choice(endings)}",
        short_name=f"{brand} {trade}",
        industry=industry,
        area="hmt" if country == "HK" else "overseas",
        country=country,
        city=city,
        address=", ".join(filter(None, (f"{random.randrange(1, 300)} {random.choice(STREETS)}", city, code))),
        postcode=code,
        phone=fill(random, telephone),
        fax="",
        domain=f"{brand.lower()}-{trade.split()[0].lower()}.example",
        currency=currency,
    )


def telephone_in(random: Random, profile: Profile) -> str:
    """A number of somebody at ``profile``, as people there write it."""
    if not profile.is_overseas:
        return mobile(random)
    return fill(random, next(row[2] for row in COUNTRIES if row[0] == profile.country))


def fill(random: Random, pattern: str) -> str:
    digits = {"#": "0123456789", "N": "2345678"}
    return "".join(random.choice(digits[c]) if c in digits else c for c in pattern)


def _landline(random, city):
    return f"{city[3]}-{fill(random, 'N' + '#' * (city[4] - 1))}"


def _address(random, city):
    place = random.choice(PLACES).format(random.randrange(1, 30))
    return f"{city[1]}{random.choice(city[7])}{random.choice(ROADS)}{random.randrange(1, 999)}号{place}"


_CODE_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def credit_code(random: Random, division: str) -> str:
    """A unified social credit code of a company in ``division``, both check characters right (GB 32100, GB 11714)."""
    body = "MA" + "".join(random.choice(_CODE_DIGITS) for _ in range(6))
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    rest = 11 - sum(letters.index(c) * weight for c, weight in zip(body, weights, strict=True)) % 11
    organization = body + {10: "X", 11: "0"}.get(rest, str(rest))
    code = f"91{division}{organization}"
    total = sum(_CODE_DIGITS.index(c) * pow(3, place, 31) for place, c in enumerate(code))
    return code + _CODE_DIGITS[-total % 31]
