"""审批: what waits for me, what I asked for, how a proposal stands beside the present; policies set up without code."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpResponseRedirect
from django.urls import path, reverse

from crm import trails
from crm.admin import home, navigation
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, RangeDateTimeFilter
from crm.approvals import engine, kinds
from crm.models import ApprovalDecision, ApprovalLevel, ApprovalPolicy, ApprovalRequest, ApprovalTask, User
from crm.policies import policy_for

BOXES = {"waiting": "待我审批", "mine": "我提交的", "done": "我办过的", "all": "全部"}
STATE_LABELS = {"审批中": "warning", "已通过": "success", "已驳回": "danger", "已撤回": "info"}


class Box(admin.SimpleListFilter):
    """Takes ``?box=`` off the list's hands: the tabs above the list show it, ``get_queryset`` reads it."""

    title, parameter_name = "范围", "box"

    def lookups(self, request, model_admin):
        return []

    def queryset(self, request, queryset):
        return queryset


class ApprovalLevelInline(TabularInline):
    model = ApprovalLevel
    fields = ["position", "name", "approver", "role", "people"]
    autocomplete_fields = ["people"]
    verbose_name_plural = "审批级次"
    tab = False
    empty_hint = "还没有级次。没有级次的流程等于不需要审批。"


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(ModelAdmin):
    nav_icon, nav_order = "rule", 45
    list_display = ["name", "kind_name", "min_amount", "levels_text", "active"]
    list_filter = [("kind", ChoiceFilter), ("is_active", ChoiceFilter)]
    search_fields = ["name"]
    inlines = [ApprovalLevelInline]
    fieldsets = [(None, {"fields": [("name", "kind"), ("min_amount", "is_active"), "remark"]})]
    empty_hint = "没有流程的事项不需要审批，提交后立即生效。"

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("levels")

    @display(description="审批事项", ordering="kind")
    def kind_name(self, obj):
        return obj.get_kind_display()

    @display(description="级次")
    def levels_text(self, obj):
        levels = sorted((level for level in obj.levels.all() if level.is_valid), key=lambda level: level.position)
        return " → ".join(level.name for level in levels) or "无需审批"

    @display(description="启用", label={"启用": "success", "停用": "danger"})
    def active(self, obj):
        return "启用" if obj.is_active else "停用"


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "approval", 10, "数据与任务"
    list_display = ["number", "kind_name", "target_repr", "applicant", "reason", "state_name", "where", "created_at"]
    list_display_links = ["number", "target_repr"]
    list_select_related = ["applicant"]
    list_filter = [
        Box,
        ("kind", ChoiceFilter),
        ("state", ChoiceFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_fields = ["target_repr", "reason"]
    search_help_text = "对象、申请原因"
    list_before_template = "crm/approvals/boxes.html"
    head_template = None
    empty_hint = "需要审批的申请（客户变更、额度、删除等）提交之后会出现在这里。"

    # --- List --------------------------------------------------------------------------------------------------------

    def waiting_rows(self, request):
        return waiting(request.user)

    def get_queryset(self, request):
        rows = super().get_queryset(request).prefetch_related("tasks__user")
        return self.in_box(request, rows)

    def in_box(self, request, rows):
        """The rows of the box that the list shows; one record's page is found whatever the box."""
        if not request.resolver_match.url_name.endswith("_changelist"):
            return rows
        box = self.box(request)
        if box == "waiting":
            return rows.filter(pk__in=waiting(request.user).values("request_id"))
        if box == "mine":
            return rows.filter(applicant=request.user)
        if box == "done":
            mine = ApprovalDecision.objects.filter(request=OuterRef("pk"), user=request.user)
            return rows.filter(Exists(mine.filter(action__in=["approve", "reject"])))
        return rows

    def box(self, request) -> str:
        """The chosen box; a list opened without a choice shows what waits, if anything does."""
        chosen = request.GET.get("box")
        if chosen in BOXES:
            return chosen
        return "waiting" if not request.GET and navigation.waiting(request).get(self.model) else "all"

    def changelist_view(self, request, extra_context=None):
        box = self.box(request)
        counts = {"waiting": navigation.waiting(request).get(self.model, 0)}
        boxes = [(key, name, counts.get(key), key == box) for key, name in BOXES.items()]
        return super().changelist_view(request, {"boxes": boxes, **(extra_context or {})})

    @display(description="编号", ordering="id")
    def number(self, obj):
        return f"#{obj.pk}"

    @display(description="事项", ordering="kind")
    def kind_name(self, obj):
        return obj.get_kind_display()

    @display(description="状态", ordering="state", label=STATE_LABELS)
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="等待")
    def where(self, obj):
        if not obj.is_pending:
            return ""
        people = [
            str(task.user)
            for task in obj.tasks.all()
            if task.level == obj.level and task.state == ApprovalTask.State.OPEN
        ]
        return f"{obj.level}/{len(obj.chain)} " + "、".join(people[:3]) + (" 等" if len(people) > 3 else "")

    # --- One request -------------------------------------------------------------------------------------------------

    def get_urls(self):
        view = self.admin_site.admin_view
        pages = {
            "decide": self.decide_view,
            "withdraw": self.withdraw_view,
            "transfer": self.transfer_view,
            "remind": self.remind_view,
        }
        return [
            path(f"<int:object_id>/{name}/", view(page), name=f"crm_approvalrequest_{name}")
            for name, page in pages.items()
        ] + super().get_urls()

    def change_view(self, request, object_id, form_url="", extra_context=None):
        obj = self.visible_object(request, object_id)
        kind, target, user = kinds.get(obj.kind), obj.target, request.user
        visible = target is not None and policy_for(kind.model).may(user, "view", target)
        gone = target is None or not getattr(target, "is_valid", True)
        conflicts = []
        if obj.is_pending:
            conflicts = ["这条记录已被删除"] if gone else kind.conflicts(target, obj.values)
        registered = kind.model in self.admin_site._registry
        name = f"admin:{kind.model._meta.app_label}_{kind.model._meta.model_name}_change"
        context = {
            "title": f"{obj}",
            "item": obj,
            "kind": kind,
            "target": target,
            "target_url": reverse(name, args=[target.pk]) if visible and registered else "",
            "target_kind": kind.model._meta.verbose_name,
            "sections": [] if target is None else kind.sections(target, obj.values, user),
            "conflicts": conflicts,
            "impact": kind.impact(target, obj.values, user) if obj.is_pending and not gone else [],
            "decisions": obj.decisions.select_related("user", "to_user"),
            "levels": levels(obj),
            "may_decide": engine.may_decide(obj, user),
            "may_withdraw": obj.is_pending and obj.applicant_id == user.pk,
            "may_transfer": engine.may_decide(obj, user) or (obj.is_pending and engine.may_reassign(user)),
            "holders": engine.waiting_for(obj) if engine.may_reassign(user) else [],
            "colleagues": policy_for(User).choices_for(user).filter(is_active=True).exclude(pk=obj.applicant_id),
        }
        return self.page(request, "crm/approvals/request.html", context)

    def decide_view(self, request, object_id):
        decide = {"approve": engine.approve, "reject": engine.reject}.get(request.POST.get("decision"))
        done = {"approve": "已同意。", "reject": "已驳回，申请人会收到通知。"}

        def work(obj):
            if decide is None:
                raise engine.ApprovalRefused("请选择同意或驳回。")
            given = {name: request.POST.get(name, "") for name in ("digest", "comment")}
            result = decide(obj, by=request.user, **given)
            if (target := obj.target) is not None:
                words = "同意" if decide is engine.approve else "驳回"
                trails.note(request, trails.Kind.EDIT, f"{words}{obj.get_kind_display()}", obj=target)
            if result.state == result.State.APPROVED:
                return "已同意，审批通过，内容已生效。"
            return done[request.POST["decision"]]

        return self._perform(request, object_id, work)

    def withdraw_view(self, request, object_id):
        def work(obj):
            engine.withdraw(obj, by=request.user, comment=request.POST.get("comment", ""))
            return "已撤回。"

        return self._perform(request, object_id, work)

    def transfer_view(self, request, object_id):
        def work(obj):
            to = _person(request.POST.get("to"))
            if to is None:
                raise engine.ApprovalRefused("请选择转交给谁。")
            holder = _person(request.POST.get("holder"))
            engine.transfer(obj, to, by=request.user, comment=request.POST.get("comment", ""), task_of=holder)
            return f"已转交给{to}。"

        return self._perform(request, object_id, work)

    def remind_view(self, request, object_id):
        def work(obj):
            return f"已提醒 {engine.remind(obj, by=request.user)} 人。"

        return self._perform(request, object_id, work)

    def _perform(self, request, object_id, work):
        obj = self.visible_object(request, str(object_id))
        if request.method != "POST":
            raise Http404
        try:
            self.message_user(request, work(obj), messages.SUCCESS)
        except ValidationError as error:
            self.message_user(request, "没有生效：" + "；".join(error.messages), messages.ERROR)
        except (engine.ApprovalRefused, PermissionDenied) as error:
            self.message_user(request, str(error) or "没有权限。", messages.ERROR)
        still_there = self.policy.may(request.user, "view", obj)
        return HttpResponseRedirect(self._url("change", obj.pk) if still_there else self._url("changelist"))


def waiting(user):
    """The open tasks of ``user`` at the level his requests are at."""
    return ApprovalTask.objects.filter(
        user_id=user.pk, state=ApprovalTask.State.OPEN, request__state=ApprovalRequest.State.PENDING
    )


def levels(obj) -> list[dict]:
    """The chain with what happened at each level."""
    agreed = {d.level: d for d in obj.decisions.all() if d.action == "approve"}
    refused = {d.level: d for d in obj.decisions.all() if d.action == "reject"}
    waiting_now = engine.waiting_for(obj)
    return [
        {
            "number": number,
            "name": level["name"],
            "decision": agreed.get(number) or refused.get(number),
            "current": obj.is_pending and number == obj.level,
            "people": waiting_now if number == obj.level else [],
        }
        for number, level in enumerate(obj.chain, 1)
    ]


def _person(key):
    return User.objects.filter(pk=key).first() if str(key or "").isdecimal() else None


def home_part(request) -> home.Part:
    """待我审批 on the home page; nothing for those whom nothing waits for."""
    count = waiting(request.user).count()
    link = reverse("admin:crm_approvalrequest_changelist")
    return home.Part(figures=[home.Figure("待我审批", count, f"{link}?box=waiting", waits="审批")] if count else [])


home.parts.add("approvals", home_part)
