"""Through which of our own companies a customer's deals run. Source: eplus ``COMPANY_PATH``."""

from django.core.exceptions import ValidationError
from django.db import models, transaction

from crm.fields import DictionaryField
from crm.models import CompanyPath, Versions
from customers.models.accounts import Customer
from customers.models.contacts import CustomerPart


class CustomerPath(CustomerPart):
    """A company path that a customer uses in one scenario (进口, 出口, …).

    Whoever has a path in a scenario has exactly one default there: the first becomes it, a new one takes over, and
    when the default goes or moves to another scenario the oldest of the rest follows. ``default_of`` and ``valid_of``
    repeat the customer on the default and on the valid rows: under UNIQUE they make a second one impossible.
    """

    scenario = DictionaryField("业务场景", type="path_scenario", null=False, blank=False)
    path = models.ForeignKey(
        CompanyPath, on_delete=models.PROTECT, related_name="customer_paths", verbose_name="公司路径"
    )
    default_of = models.ForeignKey(
        Customer,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="默认于",
    )
    valid_of = models.ForeignKey(
        Customer,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name="有效于",
    )

    history = Versions()
    audit_exclude = ("default_of", "valid_of")
    default_within = ("scenario_id",)
    _has_successor = False

    class Meta(CustomerPart.Meta):
        verbose_name = verbose_name_plural = "客户公司路径"
        ordering = ["scenario", "-is_default", "id"]
        default_permissions = ("add", "change", "delete", "view", "import", "export")
        constraints = [
            models.UniqueConstraint(fields=["default_of", "scenario"], name="customer_path_default"),
            models.UniqueConstraint(fields=["valid_of", "scenario", "path"], name="customer_path_once"),
        ]

    def __str__(self):
        return f"{self.customer}的公司路径"

    def clean(self):
        super().clean()
        if self.customer_id and self.scenario_id and self.path_id:
            same = self._peers().filter(path_id=self.path_id)
            if same.exists():
                raise ValidationError({"path": f"该客户的“{self.scenario}”场景已有路径“{self.path}”，不能重复添加。"})

    def save(self, *args, **kwargs):
        with transaction.atomic():
            Customer._base_manager.select_for_update().filter(pk=self.customer_id).first()
            scenarios = {self.scenario_id}
            if not self._state.adding:
                scenarios |= set(type(self)._base_manager.filter(pk=self.pk).values_list("scenario_id", flat=True))
            super().save(*args, **kwargs)
            for scenario in scenarios if not self._has_successor else ():
                self._appoint_default(scenario)

    def step_down(self):
        self._has_successor = True
        super().step_down()

    def _settle_default(self):
        if self.is_valid and not self._has_successor and not self._peers().filter(is_default=True).exists():
            self.is_default = True
        super()._settle_default()
        self.valid_of_id = self.customer_id if self.is_valid else None

    def _appoint_default(self, scenario_id):
        """The oldest path of a scenario that has lost its default becomes the default."""
        rows = type(self)._base_manager.filter(customer_id=self.customer_id, scenario_id=scenario_id, is_valid=True)
        if rows.filter(is_default=True).exists():
            return
        heir = rows.order_by("pk").first()
        if heir is not None:
            heir.is_default = True
            heir.save()
