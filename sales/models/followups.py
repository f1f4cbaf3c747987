"""What was done to win a lead or keep a customer, and what comes next. Source: fastapi ``crm_follow_up``."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from crm import actor
from crm.fields import DictionaryField
from crm.models import BusinessSource, Operation, Record
from customers.models import Customer
from sales.models.leads import Lead, LeadStatus


class FollowUp(Record):
    """One step of the work on a lead or a customer; exactly one of the two is set.

    ``author`` did it, whoever entered or imported it. The newest follow-up says when the lead or customer was last
    followed up and what is due next (``next_time``); the first one for a new lead sets it to 跟进中.
    """

    lead = models.ForeignKey(
        Lead, on_delete=models.CASCADE, null=True, blank=True, related_name="follow_ups", verbose_name="线索"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="follow_ups", verbose_name="客户"
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
                condition=Q(lead__isnull=False, customer__isnull=True) | Q(lead__isnull=True, customer__isnull=False),
                name="follow_up_one_root",
            )
        ]
        indexes = [
            models.Index(fields=["customer", "time"], name="follow_up_customer_time"),
            models.Index(fields=["lead", "time"], name="follow_up_lead_time"),
        ]

    def __str__(self):
        return self.content[:50]

    @property
    def root(self):
        return self.lead if self.lead_id else self.customer

    @property
    def business_no(self):
        return self.customer.code if self.customer_id else ""

    def clean(self):
        super().clean()
        if bool(self.lead_id) == bool(self.customer_id):
            raise ValidationError("跟进记录属于一条线索或一个客户：请选择其中一个，不要都选。")
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
        """Bring the leads and customers of ``rows`` up to date; a new lead that was followed up is being worked on."""
        with transaction.atomic():
            for column, roots in lock_roots(rows).items():
                settle(column, roots, begins=begins)


ROOTS = {"lead_id": Lead, "customer_id": Customer}


def lock_roots(rows) -> dict[str, list]:
    """The leads and customers that ``rows`` name, locked: all leads before all customers, each in key order.

    A customer that a lead has become counts the follow-ups of that lead as its own.
    """
    leads = _locked(Lead, {row["lead_id"] for row in rows if row.get("lead_id")})
    customers = {row["customer_id"] for row in rows if row.get("customer_id")} | {lead.customer_id for lead in leads}
    return {"lead_id": leads, "customer_id": _locked(Customer, customers - {None})}


def _locked(model, keys) -> list:
    return list(model._base_manager.select_for_update().filter(pk__in=keys).order_by("pk")) if keys else []


def of_customers(keys):
    """The follow-ups of customers ``keys``, those of the leads that they came from included."""
    return FollowUp.objects.valid().filter(Q(customer__in=keys) | Q(lead__customer__in=keys))


def settle(column, roots, *, begins=False):
    """``roots`` say when they were last followed up and what is due next, as the newest follow-up of each has it."""
    if not roots:
        return
    keys, key = [root.pk for root in roots], F(column)
    rows = FollowUp.objects.valid().filter(lead__in=keys)
    if column == "customer_id":
        rows, key = of_customers(keys), Coalesce("customer_id", "lead__customer_id")
    rows = rows.annotate(root_key=key).order_by("time", "id")
    newest = {key: times for key, *times in rows.values_list("root_key", "time", "next_time")}
    for root in roots:
        times = newest.get(root.pk, [None, None])
        changed = times != [root.last_followed_at, root.next_follow_at]
        root.last_followed_at, root.next_follow_at = times
        if begins and times[0] and isinstance(root, Lead) and root.status == LeadStatus.NEW:
            root.begin()
            root.save(operation=Operation.TRANSITION, remark="写了跟进记录")
        elif changed:
            root.save(update_fields=["last_followed_at", "next_follow_at"])
