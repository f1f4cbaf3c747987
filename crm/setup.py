"""What every installation has after ``migrate``: permission names, shipped roles, dictionaries, number series."""

import csv
from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import Permission

from crm.registries import Registry

DATA = Path(__file__).parent / "data"
SERIES = {"customer": ("客户代码", "KH{yyyyMM}{seq:5}")}

# rows that an app brings along: ``loader()`` adds what is missing
shipped = Registry("rows of a new installation")


def after_migrate(app_config, using, **kwargs):
    """Runs once, when the last app has been migrated; adds what is missing and never overwrites what users changed."""
    if using != "default" or app_config is not list(apps.get_app_configs())[-1]:
        return
    name_permissions()
    load_dictionaries()
    load_series()
    load_roles()
    load_approval_policies()
    shipped.ask()


def name_permissions():
    from crm.permission_names import chinese_name

    renamed = []
    for permission in Permission.objects.select_related("content_type"):
        model = permission.content_type.model_class()
        if model is None:
            continue
        name = chinese_name(permission.codename, str(model._meta.verbose_name))
        custom = dict(model._meta.permissions).get(permission.codename)
        if custom is None and name and permission.name != name:
            permission.name = name[:255]
            renamed.append(permission)
    Permission.objects.bulk_update(renamed, ["name"], batch_size=500)


def load_dictionaries():
    from crm.models import DictionaryItem

    known = set(DictionaryItem.objects.values_list("type", "code"))
    rows = []
    for path in sorted(DATA.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    DictionaryItem.objects.bulk_create(
        [
            DictionaryItem(
                type=row["type"], code=row["code"], label=row["label"], aliases=row["aliases"], sort=int(row["sort"])
            )
            for row in rows
            if (row["type"], row["code"]) not in known
        ],
        ignore_conflicts=True,
    )


def load_series():
    from crm.models import NumberSeries

    known = set(NumberSeries.objects.values_list("code", flat=True))
    NumberSeries.objects.bulk_create(
        [
            NumberSeries(code=code, name=name, pattern=pattern)
            for code, (name, pattern) in SERIES.items()
            if code not in known
        ]
    )


def load_roles():
    from crm.models import Role
    from crm.roles import SHIPPED, rights

    ids = {
        f"{app}.{name}": pk
        for pk, app, name in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    known = set(Role.objects.values_list("name", flat=True))
    for name, (scope, remark) in SHIPPED.items():
        if name not in known:
            role = Role.objects.create(name=name, data_scope=scope, remark=remark)
            role.permissions.set([ids[right] for right in rights(name) if right in ids])


def load_approval_policies():
    """The policy each kind of request starts with; a kind that ever had one is left alone."""
    from crm.approvals import kinds
    from crm.models import ApprovalLevel, ApprovalPolicy, Role

    known = set(ApprovalPolicy.objects.values_list("kind", flat=True))
    for kind in kinds.registered():
        if kind.code in known or not kind.levels:
            continue
        policy = ApprovalPolicy.objects.create(kind=kind.code, name=f"{kind.label}审批")
        for position, level in enumerate(kind.levels, 1):
            role = Role.objects.filter(name=level.role).first()
            approver = ApprovalLevel.Approver.ROLE if role else ApprovalLevel.Approver.MANAGER
            ApprovalLevel.objects.create(
                policy=policy, position=position, name=level.name, approver=approver, role=role
            )
