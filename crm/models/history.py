"""Versions of a record (django-simple-history), written by the current actor and with the address it came from."""

from django.db import models
from simple_history.models import HistoricalRecords

from crm import actor


class Version(models.Model):
    ip = models.GenericIPAddressField("IP 地址", null=True, editable=False)
    batch = models.CharField("批次", max_length=40, blank=True, default="", editable=False)

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        context = actor.current()
        self.ip, self.batch = context.ip, context.batch
        super().save(*args, **kwargs)


class Versions(HistoricalRecords):
    """``history = Versions(m2m_fields=[…])``. Foreign keys of versions carry no index: nothing is looked up by them."""

    def __init__(self, **kwargs):
        super().__init__(
            bases=(Version,),
            get_user=lambda instance, request: actor.current().user,
            user_db_constraint=False,
            **kwargs,
        )

    def contribute_to_class(self, cls, name):
        super().contribute_to_class(cls, name)
        cls.versions = self

    def copy_fields(self, model):
        fields = super().copy_fields(model)
        for field in fields.values():
            if not getattr(field, "primary_key", False) and field.name != model._meta.pk.attname:
                field.db_index = False
        return fields

    def get_change_reason_for_object(self, instance, history_type, using):
        return actor.current().reason[:100] or super().get_change_reason_for_object(instance, history_type, using)
