"""What the wechat database lacks, said at the start; it may be another product's and may be down."""

from django.core.checks import Tags, Warning, register

from customers.tracking.services import delivery, lookup

ADD_COLUMNS = (
    "ALTER TABLE informationtra ADD COLUMN traSource varchar(10) NULL,"
    " ADD COLUMN traUuid varchar(36) NULL, ADD UNIQUE KEY uq_traUuid (traUuid);"
)
DROP_KEY = "ALTER TABLE informationtra DROP FOREIGN KEY fk_informationtra_userId;"


@register(Tags.database)
def check_wechat(app_configs, databases=None, **kwargs):
    if lookup.WECHAT not in (databases or []):
        return []
    try:
        found = delivery.shape()
    except lookup.Unavailable as error:
        text = f"企业微信库暂时不能使用：{error}。操作记录照常保存，恢复后自动补送。"
        return [
            Warning(
                text,
                hint="请检查 WECHAT_DATABASE_URL，或执行 migrate wechat --database wechat --fake-initial。",
                id="tracking.W001",
            )
        ]
    problems = []
    if found.has_foreign_key:
        text = "informationtra.userId 有指向 users 的外键：只在联系人里的客户，其操作记录写不进去，留在待送的记录里。"
        problems.append(Warning(text, hint=f"请执行：{DROP_KEY}", id="tracking.W002"))
    if not found.has_our_columns:
        text = "informationtra 没有 traUuid、traSource 两列：客户来源存不进去；同一秒内重复的操作只送一次。"
        problems.append(Warning(text, hint=f"请执行：{ADD_COLUMNS}", id="tracking.W003"))
    return problems
