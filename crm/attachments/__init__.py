"""Files that people attach to records: checked by content, kept under random names outside the web root.

A domain gets attachments with a model, a policy and two admin classes::

    class ContractAttachment(AttachmentBase):
        contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="attachments", …)

    policies.child(ContractAttachment, of="contract")

    class ContractAttachmentInline(AttachmentInline): model = ContractAttachment
    class ContractAttachmentAdmin(AttachmentAdmin): …

and everything else (upload, check, scanner, thumbnails, download, clearing up) works for it: see docs/attachments.md.
"""

from crm.attachments.uploads import Refused, receive

__all__ = ["Refused", "receive"]
