"""System checks that make a new model right by construction, and the database's facts asserted at the start."""

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin import RelatedOnlyFieldListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.core.checks import Error, Tags, Warning, register
from django.db import connections

OUR_APPS = {"crm", "customers", "tracking", "sales", "service", "reports"}
NOT_BUSINESS = {
    "crm.NumberCounter": "计数行，只由 crm.numbering 读写",
    "crm.ImportRow": "导入批次的内容，随批次查看",
    "crm.ColumnMapping": "个人的列匹配记忆",
    "crm.StoredFile": "个人的下载文件，只经下载页",
    "crm.LegacyRecord": "旧系统的旧值，在迁入页与记录页查看",
    "crm.CompanyPathNode": "在公司路径内编辑",
    "crm.SearchEntry": "搜索索引，只由 crm.search 读写",
    "crm.SubmittedForm": "已提交的新建表单，只防重复提交",
    "crm.ApprovalLevel": "在审批流程内编辑",
    "crm.ApprovalTask": "审批的待办，随审批查看",
    "reports.ReportSummary": "算过的报表，随报表查看",
    "crm.ApprovalDecision": "审批意见，随审批查看，只能追加",
    "tracking.TraceCount": "统计用的汇总，只由汇总任务读写",
    "tracking.Rollup": "汇总到哪里的标记，只由汇总任务读写",
    "tracking.StaleDay": "要重新汇总的日期，只由汇总任务读写",
    "tracking.UsedNonce": "接口签名用过的随机数，只由签名校验读写",
    "tracking.Reply": "幂等键的答复，只由签名接口读写",
}


def business_models():
    """Concrete models of our apps, without versions, row grants and what ``NOT_BUSINESS`` lists."""
    from guardian.models.models import BaseObjectPermission

    for model in apps.get_models():
        if model._meta.app_label not in OUR_APPS or model._meta.proxy:
            continue
        if hasattr(model, "history_object") or hasattr(model, "m2m_history_id"):
            continue
        if issubclass(model, BaseObjectPermission) or model._meta.auto_created:
            continue
        yield model


@register(Tags.models)
def check_models(app_configs, **kwargs):
    from crm.models.base import Stamped
    from crm.policies import registered

    problems = []
    policies = registered()
    unaudited = {
        "ApprovalRequest",
        "BusinessLog",
        "Job",
        "ImportBatch",
        "LegacyLoad",
        "Notification",
        "Trace",
        "ApiCall",
        *(n.split(".")[1] for n in NOT_BUSINESS),
    }
    for model in business_models():
        label = model._meta.label
        if label not in NOT_BUSINESS and model not in policies:
            problems.append(Error(f"{label} 没有权限策略：请在 permissions.py 里声明。", obj=model, id="crm.E001"))
        if str(model._meta.verbose_name).isascii():
            problems.append(Error(f"{label} 缺少中文 verbose_name。", obj=model, id="crm.E002"))
        for field in model._meta.local_fields:
            named = field.primary_key or field.auto_created or "ptr" in field.name or _derived(field)
            if not named and str(field.verbose_name).isascii():
                problems.append(Error(f"{label}.{field.name} 缺少中文名称。", obj=model, id="crm.E003"))
        kept_otherwise = model.__name__ in unaudited or getattr(model, "unaudited", "")
        if not issubclass(model, Stamped) and not kept_otherwise:
            problems.append(Error(f"{label} 没有继承 Record，改动不会进入业务日志。", obj=model, id="crm.E004"))
    return problems


def _derived(field):
    from crm.fields import KeyField

    inherited_from_django = {"username", "email", "is_staff", "is_active", "is_superuser", "date_joined", "last_login"}
    return isinstance(field, KeyField) or field.name in inherited_from_django | {"password", "name"}


@register(Tags.admin)
def check_admin(app_configs, **kwargs):
    from crm.admin.base import ModelAdmin

    problems = []
    for model in business_models():
        if model not in admin.site._registry and model._meta.label not in NOT_BUSINESS:
            problems.append(Error(f"{model._meta.label} 没有注册到后台。", obj=model, id="crm.E011"))
    for model, model_admin in admin.site._registry.items():
        label = model._meta.label
        if not isinstance(model_admin, ModelAdmin):
            problems.append(Error(f"{label} 的后台类没有继承 crm.admin.base.ModelAdmin。", obj=model, id="crm.E012"))
            continue
        if model_admin.raw_id_fields:
            problems.append(Error(f"{label} 用了 raw_id_fields，会泄露名称。", obj=model, id="crm.E013"))
        if model_admin.list_editable:
            problems.append(Error(f"{label} 用了 list_editable，会绕过行权限。", obj=model, id="crm.E014"))
        if model_admin.date_hierarchy:
            problems.append(
                Error(f"{label} 用了 date_hierarchy，大表会很慢，请用时间段筛选。", obj=model, id="crm.E015")
            )
        for item in model_admin.list_filter:
            problems += _check_filter(model, item)
    return problems


def _check_filter(model, item):
    """A filter on a relation, or on a column behind one, needs a kind whose choices stay within the viewer's rows."""
    from crm.admin.filters import FieldFilter

    if not isinstance(item, str | tuple | list):
        return []
    name, kind = (item, None) if isinstance(item, str) else item
    *path, field = get_fields_from_path(model, name)
    if kind is not None and issubclass(kind, RelatedOnlyFieldListFilter | FieldFilter):
        return []
    if field.is_relation or (path and kind is None):
        message = f"{model._meta.label} 的筛选“{name}”会列出无权查看的记录，请用带范围的筛选。"
        return [Error(message, obj=model, id="crm.E016")]
    return []


@register(Tags.database)
def check_database(app_configs, databases=None, **kwargs):
    """Facts without which races, Chinese text or date lists go wrong on MariaDB/MySQL."""
    problems = []
    for alias in databases or []:
        if alias in settings.DATABASE_APPS:  # another product's, checked by the app that lives there
            continue
        connection = connections[alias]
        if connection.vendor != "mysql":
            continue
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@version_comment, @@version")
            maria = "maria" in " ".join(map(str, cursor.fetchone())).lower()
            cursor.execute(f"SELECT {'@@tx_isolation' if maria else '@@transaction_isolation'}, @@sql_mode")
            isolation, mode = cursor.fetchone()
            cursor.execute(
                "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()"
            )
            collation = (cursor.fetchone() or [""])[0]
            cursor.execute("SELECT CONVERT_TZ('2020-01-01 00:00:00', 'UTC', 'Asia/Shanghai')")
            zones = cursor.fetchone()[0]
        if isolation != "READ-COMMITTED":
            problems.append(
                Error(
                    f"数据库 {alias} 的隔离级别是 {isolation}，并发校验会失效。",
                    hint="请使用 READ COMMITTED。",
                    id="crm.E021",
                )
            )
        if "STRICT" not in mode:
            problems.append(
                Error(
                    f"数据库 {alias} 不是严格模式，超长文本会被截断。",
                    hint="sql_mode 请加 STRICT_ALL_TABLES。",
                    id="crm.E022",
                )
            )
        if not str(collation).startswith("utf8mb4_unicode_520") and not str(collation).startswith("utf8mb4_0900"):
            problems.append(
                Error(
                    f"数据库 {alias} 的排序规则是 {collation}，生僻字和表情会被当成相同。",
                    hint="建库时请用：CREATE DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci。",
                    id="crm.E023",
                )
            )
        if zones is None:
            problems.append(
                Warning(
                    f"数据库 {alias} 没有时区表，按日期统计会出错。",
                    hint="请执行：mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb -u root mysql。",
                    id="crm.W024",
                )
            )
    return problems
