"""What stands on top of a record's page: its name, number, states, the record it belongs to, who changed it last."""

from django.urls import reverse
from unfold.utils import display_for_label

from crm import actor
from crm.policies import ChildPolicy


def context(model_admin, obj) -> dict:
    policy, user = model_admin.policy, actor.current().user
    root = policy.root_for(user, obj) if isinstance(policy, ChildPolicy) else None
    title, number = getattr(obj, "name", "") or str(obj), getattr(obj, "business_no", "")
    return {
        "title": title,
        "number": "" if root or number == title else number,
        "root": root,
        "root_kind": root._meta.verbose_name if root else "",
        "root_url": _url(root) if root else "",
        "labels": [
            label for label in (_label(getattr(model_admin, name), obj) for name in model_admin.head_labels) if label
        ],
        "updated_by": getattr(obj, "updated_by", None),
        "updated_at": getattr(obj, "updated_at", None),
        "version": getattr(obj, "lock_version", None),
    }


def _label(method, obj):
    value = method(obj)
    return {"name": method.short_description, "html": display_for_label(value, "", method.label)} if value else None


def _url(root):
    return reverse(f"admin:{root._meta.app_label}_{root._meta.model_name}_change", args=[root.pk])
