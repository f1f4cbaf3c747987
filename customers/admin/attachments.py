from django.contrib import admin

from crm.admin.attachments import AttachmentAdmin, AttachmentInline
from customers.models import CustomerAttachment


class CustomerAttachmentInline(AttachmentInline):
    model = CustomerAttachment


@admin.register(CustomerAttachment)
class CustomerAttachmentAdmin(AttachmentAdmin):
    nav_order = 25
    empty_hint = "附件在客户页面的“附件”页签里上传，可以一次上传多个。"
