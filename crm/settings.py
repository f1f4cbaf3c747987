"""Settings from the environment; every name a user may set stands in ``.env.example``."""

from pathlib import Path

import environ
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env("VAR_DIR", default=str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)
FILES_DIR = VAR_DIR / "files"


def _secret_key() -> str:
    """The key of this installation, made at the first start and kept outside version control."""
    path = VAR_DIR / "secret_key"
    try:
        with path.open("x") as file:
            file.write(get_random_secret_key())
        path.chmod(0o600)
    except FileExistsError:
        pass
    return path.read_text().strip()


SECRET_KEY = env("SECRET_KEY", default="") or _secret_key()
# what the secrets in the database are encrypted with (crm/secrets.py), the newest first; without any, those in the file
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
ENCRYPTION_KEYS_FILE = VAR_DIR / "encryption_keys"
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_URL = env("SITE_URL", default="http://127.0.0.1:8000")
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "crm.apps.KeyuanAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "import_export",
    "simple_history",
    "guardian",
    "axes",
    "csp",
    "tree_queries",
    "django_q",
    "crm.apps.CrmConfig",
    "customers.apps.CustomersConfig",
    "customers.tracking.apps.TrackingConfig",
    "customers.tracking.wechat.apps.WechatConfig",
    "sales.apps.SalesConfig",
    "service.apps.ServiceConfig",
    "reports.apps.ReportsConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "crm.middleware.ActorMiddleware",
    "crm.middleware.TrailMiddleware",
    "crm.middleware.BusyMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Databases: SQLite by default, MariaDB/MySQL by DATABASE_URL -----------------------------------------------------
COLLATION = "utf8mb4_unicode_520_ci"


def database(url_name: str, default: str) -> dict:
    config = env.db_url(url_name, default=default)
    config["ATOMIC_REQUESTS"] = False
    if config["ENGINE"].endswith("mysql"):
        config["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
        config["CONN_HEALTH_CHECKS"] = True
        config["OPTIONS"] = {
            "charset": "utf8mb4",
            "collation": COLLATION,
            "isolation_level": "read committed",
            "init_command": "SET sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
            "NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout=5,"
            # a page of a list under two filters would else read all that either index finds, and sort it
            " optimizer_switch='index_merge_intersection=off'",
        } | config.get("OPTIONS", {})
        config["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": COLLATION}
    elif config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            " PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;",
        }
    return config


def impatient(config: dict) -> dict:
    """A database that nobody waits for, shared with another product, which keeps its times in local time."""
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"].endswith("mysql"):
        config["OPTIONS"] = {"connect_timeout": 2, "read_timeout": 5, "write_timeout": 5} | options
    elif config["ENGINE"].endswith("sqlite3"):
        options["timeout"] = 2
    # a test database needs its two tables, not the history of every app
    return config | {"TIME_ZONE": "Asia/Shanghai", "TEST": {**config.get("TEST", {}), "MIGRATE": False}}


DATABASES = {
    "default": database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'keyuan.sqlite3'}"),
    "wechat": impatient(database("WECHAT_DATABASE_URL", f"sqlite:///{VAR_DIR / 'wechat.sqlite3'}")),
}
# {database: app} of what does not live in the default one
DATABASE_APPS = {"wechat": "wechat"}
DATABASE_ROUTERS = ["crm.routers.AppRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People and permissions ------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "crm.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "crm.auth.RoleBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
REMEMBER_ME_DAYS = env.int("REMEMBER_ME_DAYS", default=14)
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5)
AXES_COOLOFF_TIME = env.float("LOGIN_LOCK_HOURS", default=0.25)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "crm.middleware.client_ip"
AXES_ENABLE_ADMIN = False

# --- Language, time, texts -------------------------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "crm" / "locale"]
TIME_ZONE = "Asia/Shanghai"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["crm.formats"]

# --- Files, static, security -----------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "crm" / "static"]
WHITENOISE_USE_FINDERS = not env.bool("COLLECTED_STATIC", default=False)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": FILES_DIR}},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WHITENOISE_USE_FINDERS
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
ATTACHMENT_MAX_BYTES = env.int("ATTACHMENT_MAX_MB", default=20) * 1024 * 1024
# fmt: off
ATTACHMENT_TYPES = env.list(
    "ATTACHMENT_TYPES",
    default=[
        "pdf", "ofd", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "wps", "et", "dps", "odt", "ods", "odp",
        "rtf", "txt", "csv", "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "dwg",
    ],
)
# fmt: on
# Folders with the files of old systems, for whoever moves in through the page: docs/legacy.md
LEGACY_FILES_DIR = Path(env("LEGACY_FILES_DIR", default=str(VAR_DIR / "legacy-files")))
ATTACHMENT_SCANNER = env("ATTACHMENT_SCANNER", default="")
ATTACHMENT_SCAN_SECONDS = env.int("ATTACHMENT_SCAN_SECONDS", default=60)

HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31536000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "crm.errors.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": [SELF],
        "base-uri": [SELF],
        "object-src": ["'none'"],
    }
}

# --- Background work, mail -------------------------------------------------------------------------------------------
REDIS_URL = env("REDIS_URL", default="")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
JOB_LEASE_SECONDS = env.int("JOB_LEASE_SECONDS", default=60)
JOB_MAX_ATTEMPTS = env.int("JOB_MAX_ATTEMPTS", default=20)
# started by "manage.py worker" (crm/jobs/pool.py)
Q_CLUSTER = {
    "name": "keyuan",
    "workers": env.int("WORKERS", default=2),
    "poll": 0.5,
    "retry": 60,
    "timeout": 60,
    "catch_up": False,
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}
EXPORT_IN_BACKGROUND_ABOVE = env.int("EXPORT_IN_BACKGROUND_ABOVE", default=5000)
DOWNLOAD_DAYS = env.int("DOWNLOAD_DAYS", default=7)
IMPORT_DAYS = env.int("IMPORT_DAYS", default=30)
CONTRACT_WARN_DAYS = env.int("CONTRACT_WARN_DAYS", default=30)
JOB_DAYS = env.int("JOB_DAYS", default=90)
TRACE_DAYS = env.int("TRACE_DAYS", default=730)
# requests a minute: of one person to the interfaces of pages, of one key to those for customers' programs
API_USER_LIMIT = env.int("API_USER_LIMIT", default=120)
API_KEY_LIMIT = env.int("API_KEY_LIMIT", default=120)
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_MB", default=100) * 1024 * 1024
NOTIFY_BY_EMAIL = bool(env("EMAIL_URL", default=""))
if NOTIFY_BY_EMAIL:
    globals().update(env.email_url("EMAIL_URL"))
# whether customers are told by e-mail too: orders to 通知邮箱, receipts and invoices to 账单邮箱
NOTIFY_CUSTOMERS = NOTIFY_BY_EMAIL and env.bool("NOTIFY_CUSTOMERS", default=False)
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="crm@localhost")

# --- Text messages (docs/sms.md) --------------------------------------------------------------------------------------
SMS_BACKEND = env("SMS_BACKEND", default="sales.sms.console.Gateway")
SMS_SETTLE_SECONDS = env.int("SMS_SETTLE_SECONDS", default=120)
TENCENT_SMS_SECRET_ID = env("TENCENT_SMS_SECRET_ID", default="")
TENCENT_SMS_SECRET_KEY = env("TENCENT_SMS_SECRET_KEY", default="")
TENCENT_SMS_APP_ID = env("TENCENT_SMS_APP_ID", default="")
TENCENT_SMS_REGION = env("TENCENT_SMS_REGION", default="ap-guangzhou")
TENCENT_SMS_ENDPOINT = env("TENCENT_SMS_ENDPOINT", default="https://sms.tencentcloudapi.com")

# --- Look ------------------------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "客源 CRM",
    "SITE_HEADER": "客源 CRM",
    "SITE_SUBHEADER": "客户关系管理",
    "SITE_SYMBOL": "hub",
    "SITE_URL": "",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "LOGIN": {"form": "crm.login.LoginForm"},
    "STYLES": ["crm.admin.navigation.stylesheet"],
    "SCRIPTS": ["crm.admin.navigation.script"],
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": "crm.admin.navigation.sidebar",
    },
    "COMMAND": {"search_models": False, "search_callback": "crm.admin.navigation.search", "show_history": False},
    "ACCOUNT": {"navigation": "crm.admin.navigation.account"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="WARNING")},
}
