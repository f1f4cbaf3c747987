"""History of one record: who changed what, from where; any version in full beside the present one."""

from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.http import Http404
from django.utils import timezone
from django_fsm import FSMFieldMixin

from crm import audit
from crm.approvals import proposals
from crm.audit_display import Words, describe, label_of
from crm.models import BusinessLog


def history(model_admin, request, obj):
    entries = BusinessLog.objects.filter(content_type_id=audit.content_type_id(type(obj)), object_id=obj.pk)
    page = Paginator(entries, 50).get_page(request.GET.get("p"))
    return model_admin.page(
        request,
        "crm/history.html",
        {
            "title": f"版本记录：{obj}",
            "crumb": "版本记录",
            "original": obj,
            "page": page,
            "entries": describe(page.object_list, request.user),
            "has_versions": hasattr(type(obj), "history"),
            "back": model_admin._url("change", obj.pk),
        },
    )


def version(model_admin, request, obj, number):
    """Version ``number`` beside the present state, or beside the version that ``?with=`` names."""
    model = type(obj)
    past = find(obj, number)
    beside = request.GET.get("with", "")
    other = find(obj, int(beside)) if beside.isdecimal() else None
    hidden = model_admin.policy.hidden_fields(request.user)
    then = state_of(past)
    now = state_of(other) if other is not None else present(obj)
    places = {name: place for place, name in enumerate(flatten_fieldsets(model_admin.get_fieldsets(request, obj)))}
    words = Words(request.user)
    for name in then:
        words.want(model, name, then[name], now[name])
    rows = [
        {
            "label": label_of(model, name),
            "then": words.text(model, name, then[name]),
            "now": words.text(model, name, now[name]),
            "differs": then[name] != now[name],
        }
        for name in sorted(then, key=lambda name: places.get(name, len(places)))
        if name not in hidden
    ]
    return model_admin.page(
        request,
        "crm/version.html",
        {
            "title": f"{obj} 第 {number} 版",
            "crumb": f"第 {number} 版",
            "original": obj,
            "number": number,
            "other": other,
            "numbers": versions_of(obj),
            "past": past,
            "time": timezone.localtime(past.history_date),
            "rows": rows,
            "restore_url": restore_url(model_admin, request, obj, number),
            "back": model_admin._url("history", obj.pk),
        },
    )


def find(obj, number):
    """The stored version, or 404."""
    history = getattr(type(obj), "history", None)
    past = history.filter(id=obj.pk, lock_version=number).order_by("-history_id").first() if history else None
    if past is None:
        raise Http404("没有这个版本。")
    return past


def versions_of(obj) -> list[tuple[int, str]]:
    """``[(number, label)]``, the newest first; where approvals make versions, the label names theirs too."""
    approved = hasattr(obj, "version_no")
    names = ["lock_version", "history_date", *(["version_no"] if approved else [])]
    found = {}
    for number, moment, *version in type(obj).history.filter(id=obj.pk).order_by("-history_id").values_list(*names):
        label = f"第 {number} 版 {timezone.localtime(moment):%Y-%m-%d %H:%M}"
        found.setdefault(number, label + (f"（审批版本 v{version[0]}）" if approved else ""))
    return list(found.items())


def state_of(past, *, ids=False) -> dict:
    """The tracked values of a version; many-to-many ones as labels, or as ids."""
    then = audit.state(past.instance)
    for field in past._history_m2m_fields:
        through, target = getattr(past, field.name).all(), field.m2m_reverse_field_name()
        if ids:
            then[field.name] = sorted(through.values_list(f"{target}_id", flat=True))
        else:
            then[field.name] = sorted(str(getattr(row, target)) for row in through.select_related(target))
    return then


def present(obj) -> dict:
    now = audit.state(obj)
    if hasattr(type(obj), "history"):
        for field in type(obj).history.model._history_m2m_fields:
            now[field.name] = sorted(map(str, getattr(obj, field.name).all()))
    return now


def restore_url(model_admin, request, obj, number) -> str:
    """Where a version may be asked back from; empty where versions are only read."""
    may = getattr(model_admin, "restore_kind", None) is not None and model_admin.has_change_permission(request, obj)
    return model_admin._url("restore", obj.pk, number) if may and number != obj.lock_version else ""


def restoring(obj, number) -> dict:
    """``{field: [now, then]}`` of what a person could enter himself: no states, no owner, no derived columns."""
    past = find(obj, number)
    then = state_of(past, ids=True)
    now = proposals.state_of(obj, then)
    editable = {
        field.name
        for field in (*type(obj)._meta.concrete_fields, *type(obj)._meta.many_to_many)
        if field.editable and not isinstance(field, FSMFieldMixin)
    }
    return audit.diff(
        {name: now[name] for name in now if name in editable}, {n: then[n] for n in then if n in editable}
    )
