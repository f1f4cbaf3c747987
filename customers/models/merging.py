"""Duplicates that became one customer, and what it takes to part them again. Source: DESIGN 4, 合并."""

from django.db import models

from crm.models import BusinessSource, Record
from customers.models.accounts import Customer


class CustomerMerge(Record):
    """One customer (``loser``) that went into another; written by ``customers.services.merging`` alone.

    ``moved`` is every row that was changed: ``{"model", "id", "version", "old": {column: value}, "new": {…}}`` with the
    version it had after the merge. ``kept`` is what the loser and the survivor were:

    - ``values``, ``derived``: ``{field: [before, after]}`` of the survivor, ``derived`` not being anybody's to edit;
    - ``added``: ``{"tags": [ids], "categories": [ids]}`` that it got;
    - ``team``: ``{user id: [level before or "", level after]}`` of its collaborators;
    - ``loser``: its owner, collaborators, times and version.

    ``left`` names in words what did not move, and why.
    """

    survivor = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="merges", verbose_name="保留的客户")
    loser = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="merged_by", verbose_name="并入的客户")
    loser_name = models.CharField("并入客户名称", max_length=250)
    moved = models.JSONField("移动的记录", default=list, editable=False)
    kept = models.JSONField("合并前的值", default=dict, editable=False)
    left = models.JSONField("没有移动的", default=list, editable=False)
    reason = models.CharField("原因", max_length=255, blank=True, default="")
    reversed_at = models.DateTimeField("撤销时间", null=True, blank=True, editable=False)

    business_source = BusinessSource.CUSTOMER
    audit_exclude = ("moved", "kept", "left")

    class Meta(Record.Meta):
        verbose_name = verbose_name_plural = "合并记录"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("undo_customermerge", "撤销合并")]
        indexes = [models.Index(fields=["loser", "reversed_at"], name="customer_merge_loser")]

    def __str__(self):
        return f"并入的“{self.loser_name}”"

    @property
    def business_no(self):
        return self.survivor.code
