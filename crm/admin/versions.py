"""History of one record: who changed what, from where; any version in full beside the present one."""

from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.http import Http404
from django.utils import timezone

from crm import audit
from crm.audit_display import Words, describe, label_of
from crm.models import BusinessLog


def history(model_admin, request, obj):
    entries = BusinessLog.objects.filter(content_type_id=audit.content_type_id(type(obj)), object_id=obj.pk)
    page = Paginator(entries.select_related("content_type"), 50).get_page(request.GET.get("p"))
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
    if not hasattr(type(obj), "history"):
        raise Http404
    past = type(obj).history.filter(id=obj.pk, lock_version=number).order_by("-history_id").first()
    if past is None:
        raise Http404("没有这个版本。")
    model = type(obj)
    hidden = model_admin.policy.hidden_fields(request.user)
    then, now = audit.state(past.instance), audit.state(obj)
    for field in past._history_m2m_fields:
        through = getattr(past, field.name).all()
        target = field.m2m_reverse_field_name()
        then[field.name] = sorted(str(getattr(row, target)) for row in through.select_related(target))
        now[field.name] = sorted(map(str, getattr(obj, field.name).all()))
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
            "past": past,
            "time": timezone.localtime(past.history_date),
            "rows": rows,
            "back": model_admin._url("history", obj.pk),
        },
    )
