"""Owner and collaborators on the page of an owned record."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import path

from crm import ownership
from crm.models import User
from crm.policies import policy_for


def urls(model_admin, name):
    view = model_admin.admin_site.admin_view

    def bind(handler):
        def page(request, object_id):
            return handler(model_admin, request, object_id)

        return view(page)

    return [
        path("<path:object_id>/owner/", bind(assign), name=f"{name}_owner"),
        path("<path:object_id>/collaborators/", bind(collaborate), name=f"{name}_collaborators"),
    ]


def context(model_admin, request, obj):
    levels = ownership.collaborators(obj)
    people = User.objects.in_bulk(levels)
    policy = model_admin.policy
    return {
        "owner": obj.owner,
        "team": [(people[pk], level, ownership.LEVELS[level]) for pk, level in levels.items() if pk in people],
        "may_assign": policy.may(request.user, "assign", obj),
        "may_share": policy.may(request.user, "share", obj),
        "colleagues": _listed(policy_for(User).choices_for(request.user)),
        "assignees": _listed(model_admin.assignees(request, obj)),
        "levels": ownership.LEVELS.items(),
        "owner_url": model_admin._url("owner", obj.pk),
        "collaborators_url": model_admin._url("collaborators", obj.pk),
    }


def _listed(people):
    return people.select_related("department").order_by("full_name")


def _person(request, field):
    key = request.POST.get(field, "")
    person = User.objects.filter(pk=key).first() if key.isdecimal() else None
    if person is None:
        raise ownership.OwnershipError("请选择一位同事。")
    return person


def _perform(model_admin, request, object_id, work, done):
    obj = model_admin.visible_object(request, object_id)
    if request.method != "POST":
        raise Http404
    try:
        work(obj)
        model_admin.message_user(request, done.format(obj=obj), messages.SUCCESS)
    except (ownership.OwnershipError, ValueError) as error:
        model_admin.message_user(request, str(error), messages.ERROR)
    still_there = policy_for(type(obj)).may(request.user, "view", obj)
    return HttpResponseRedirect(model_admin._url("change", obj.pk) if still_there else model_admin._url("changelist"))


def assign(model_admin, request, object_id):
    def work(obj):
        if not policy_for(type(obj)).may(request.user, "assign", obj):
            raise PermissionDenied
        owner = _person(request, "owner") if request.POST.get("owner") else None
        model_admin.change_owner(obj, owner, by=request.user, reason=request.POST.get("reason", "").strip())

    return _perform(model_admin, request, object_id, work, "“{obj}”的负责人已变更。")


def collaborate(model_admin, request, object_id):
    def work(obj):
        person = _person(request, "user")
        if request.POST.get("level") == "revoke":
            ownership.revoke(obj, person, by=request.user)
        else:
            ownership.add_collaborator(obj, person, by=request.user, level=request.POST.get("level", ""))

    return _perform(model_admin, request, object_id, work, "“{obj}”的协作人已更新。")
