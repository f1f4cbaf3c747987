"""Files of a customer. Sources: dms ``customer_attached``, eplus ``CUSTOMER`` annex and picture."""

from django.db import models

from crm.models import AttachmentBase, BusinessSource
from customers.models.accounts import Customer


class CustomerAttachment(AttachmentBase):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="attachments", verbose_name="客户")

    business_source = BusinessSource.CONTACT

    class Meta(AttachmentBase.Meta):
        verbose_name = verbose_name_plural = "客户附件"
        ordering = ["-id"]
        default_permissions = ("add", "change", "delete", "view")

    @property
    def business_no(self):
        return self.customer.code
