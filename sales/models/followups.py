"""What was done to win leads and deals and keep customers, and what comes next. Source: fastapi ``crm_follow_up``."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from crm import actor, bulk
from crm.fields import DictionaryField
from crm.models import BusinessSource, Operation, Record
from customers.models import Customer
from sales.models.leads import Lead, LeadStatus
from sales.models.opportunities import Opportunity


class FollowUp(Record):
    """One step of the work on a lead, a customer or an opportunity; exactly one of the three is set.

    ``author`` did it, whoever entered or imported it. The newest follow-up says when its record was last followed up
    and what is due next (``next_time``); the first one for a new lead sets it to 跟进中. Work on an opportunity is work
    on its customer as well, but what is due next stays with the opportunity.
    """

    lead = models.ForeignKey(
        Lead, on_delete=models.CASCADE, null=True, blank=True, related_name="follow_ups", verbose_name="线索"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="follow_ups", verbose_name="客户"
    )
    opportunity = models.ForeignKey(
        Opportunity, on_delete=models.CASCADE, null=True, blank=True, related_name="follow_ups", verbose_name="商机"
    )
    time = models.DateTimeField("跟进时间", default=timezone.now, db_index=True)
    type = DictionaryField("跟进方式", type="follow_up_type")
    content = models.TextField("跟进内容")
    next_time = models.DateTimeField("下次跟进时间", null=True, blank=True, db_index=True)
    next_content = models.CharField("下次跟进内容", max_length=500, blank=True, default="")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="跟进人",
    )

    business_source = BusinessSource.SALES

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "跟进记录"
        ordering = ["-time", "-id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [
            models.CheckConstraint(
                condition=Q(lead__isnull=False, customer__isnull=True, opportunity__isnull=True)
                | Q(lead__isnull=True, customer__isnull=False, opportunity__isnull=True)
                | Q(lead__isnull=True, customer__isnull=True, opportunity__isnull=False),
                name="follow_up_one_root",
            )
        ]
        indexes = [
            models.Index(fields=["customer", "time"], name="follow_up_customer_time"),
            models.Index(fields=["lead", "time"], name="follow_up_lead_time"),
            models.Index(fields=["opportunity", "time"], name="follow_up_opportunity_time"),
        ]

    def __str__(self):
        return self.content[:50]

    @property
    def root(self):
        return self.lead or self.customer or self.opportunity

    @property
    def business_no(self):
        root = self.customer or self.opportunity
        return root.business_no if root else ""

    def clean(self):
        super().clean()
        if sum(map(bool, (self.lead_id, self.customer_id, self.opportunity_id))) != 1:
            raise ValidationError("跟进记录属于一条线索、一个客户或一个商机：请选择其中一个，只选一个。")
        if self.time and self.time > timezone.now():
            raise ValidationError({"time": "跟进时间不能晚于现在；以后要做的事请填在“下次跟进”。"})
        if self.time and self.next_time and self.next_time < self.time:
            raise ValidationError({"next_time": "下次跟进时间不能早于这次跟进的时间。"})
        if self.next_content and not self.next_time:
            raise ValidationError({"next_time": "写了下次跟进内容，请也选定下次跟进时间。"})

    def save(self, *args, **kwargs):
        if self._state.adding and self.author_id is None:
            self.author = actor.current().user
        with transaction.atomic():
            adding = self._state.adding
            former = None if adding else type(self)._base_manager.filter(pk=self.pk).values(*ROOTS).first()
            lock_roots([vars(self), former or {}])
            super().save(*args, **kwargs)
            self.settle_rows([vars(self), former or {}], begins=adding)

    @classmethod
    def settle_rows(cls, rows, *, begins=True):
        """Bring the records of ``rows`` up to date; a new lead that was followed up is being worked on."""
        with transaction.atomic():
            for column, roots in lock_roots(rows).items():
                settle(column, roots, begins=begins)


ROOTS = ("lead_id", "customer_id", "opportunity_id")
# how a record finds its follow-ups; those of a lead that has become a customer and of an opportunity count for both
ROOT_KEYS = {
    "lead_id": ("lead_id",),
    "customer_id": ("customer_id", "lead__customer_id", "opportunity__customer_id"),
    "opportunity_id": ("opportunity_id",),
}


def lock_roots(rows) -> dict[str, list]:
    """The records that ``rows`` name, locked: leads before customers before opportunities, each in key order.

    The customers of those leads and opportunities are among them. An opportunity keeps its customer for good.
    """
    named = {column: {row[column] for row in rows if row.get(column)} for column in ROOTS}
    leads = _locked(Lead, named["lead_id"])
    customers = named["customer_id"] | {lead.customer_id for lead in leads}
    if named["opportunity_id"]:
        of = Opportunity._base_manager.filter(pk__in=named["opportunity_id"])
        customers |= set(of.values_list("customer_id", flat=True))
    return {
        "lead_id": leads,
        "customer_id": _locked(Customer, customers - {None}),
        "opportunity_id": _locked(Opportunity, named["opportunity_id"]),
    }


def _locked(model, keys) -> list:
    return list(model._base_manager.select_for_update().filter(pk__in=keys).order_by("pk")) if keys else []


def of_customers(keys):
    """The follow-ups of customers ``keys``, those of their former leads and of their opportunities included."""
    return _of("customer_id", keys)


def _of(column, keys):
    """By ids of their own columns alone, each of which has an index."""
    about = Q(pk__in=[])
    for path in ROOT_KEYS[column]:
        root, _, beyond = path.partition("__")
        if beyond:
            behind = FollowUp._meta.get_field(root).related_model._base_manager.filter(**{f"{beyond}__in": keys})
            about |= Q(**{f"{root}__in": list(behind.values_list("pk", flat=True))})
        else:
            about |= Q(**{f"{path}__in": keys})
    return FollowUp.objects.valid().filter(about)


def settle(column, roots, *, begins=False):
    """``roots`` say when they were last followed up and what is due next, as the newest follow-up of each has it."""
    if not roots:
        return
    newest, due = {}, {}
    rows = _of(column, [root.pk for root in roots]).order_by("time", "id")
    paths = ROOT_KEYS[column]
    rows = rows.annotate(root_key=Coalesce(*paths) if len(paths) > 1 else models.F(*paths))
    for key, opportunity, time, next_time in rows.values_list("root_key", "opportunity_id", "time", "next_time"):
        newest[key] = time
        if column == "opportunity_id" or opportunity is None:
            due[key] = next_time
    begun, changed = [], []
    for root in roots:
        times = [newest.get(root.pk), due.get(root.pk)]
        differs = times != [root.last_followed_at, root.next_follow_at]
        root.last_followed_at, root.next_follow_at = times
        if begins and times[0] and isinstance(root, Lead) and root.status == LeadStatus.NEW:
            root.begin()
            begun.append(root)
        elif differs:
            changed.append(root)
    if begun:
        change = {"status": [str(LeadStatus.NEW), str(LeadStatus.WORKING)]}
        how = {"operation": Operation.TRANSITION, "remark": "写了跟进记录"}
        bulk.update(Lead, [_row(root) for root in begun], [change.copy() for _ in begun], **how)
    if changed:
        bulk.rewrite(type(changed[0]), [_row(root) for root in changed])


def _row(record) -> dict:
    return {field.attname: getattr(record, field.attname) for field in record._meta.concrete_fields}
