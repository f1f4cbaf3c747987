"""What every business record inherits: stamps, version against lost updates, business log, soft delete, owner."""

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from crm import actor, audit
from crm.fields import KeyField
from crm.models.audit import Operation

SECRET = "******"  # noqa: S105  what the log shows instead of one


class StaleRecord(Exception):
    """Somebody else changed the record since it was read; ``changes`` says what: ``{field: [mine was, now]}``."""

    def __init__(self, instance, changes):
        self.instance, self.changes = instance, changes
        super().__init__(f"“{instance}”已被其他人修改，请刷新后重试。")


def _person(verbose_name):
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=verbose_name,
    )


class Stamped(models.Model):
    """Stamps, lost-update check and business log.

    ``save()`` locks the stored row, refuses a stale copy (``StaleRecord``), writes nothing when nothing a person can
    mean has changed, and logs the difference in the same transaction. Many-to-many values travel with the save:
    ``save(m2m={"tags": [tag, …]})`` makes one version and one log entry of the whole edit.
    """

    created_at = models.DateTimeField("创建时间", default=timezone.now, editable=False, db_index=True)
    created_by = _person("创建人")
    updated_at = models.DateTimeField("更新时间", default=timezone.now, editable=False, db_index=True)
    updated_by = _person("更新人")
    lock_version = models.PositiveIntegerField("版本", default=1, editable=False)

    audit_exclude: tuple[str, ...] = ()
    audit_secrets: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()  # links of which ``__str__`` speaks, for rows that are written set-wise
    business_source = 0

    class Meta:
        abstract = True

    def save(self, *args, m2m=None, operation=None, remark="", **kwargs):
        with transaction.atomic():
            if self._state.adding:
                return self._insert(args, kwargs, m2m or {}, remark)
            return self._update(args, kwargs, m2m or {}, operation or Operation.UPDATE, remark)

    def _insert(self, args, kwargs, m2m, remark):
        from crm import search

        user = actor.current().user
        self.created_by = self.created_by or user
        self.updated_by = self.updated_by or self.created_by
        if m2m:
            self.skip_history_when_saving = True
        super().save(*args, **kwargs)
        self._set_m2m(m2m)
        self._finish_version("+", m2m)
        after = audit.state(self) | {name: _labels(values) for name, values in m2m.items()}
        audit.record(self, Operation.CREATE, audit.diff(None, after), remark=remark)
        search.follow(self)

    def _update(self, args, kwargs, m2m, operation, remark):
        from crm import search

        stored = type(self)._base_manager.select_for_update().get(pk=self.pk)
        names = set(kwargs["update_fields"]) if kwargs.get("update_fields") is not None else None
        before, after = audit.state(stored, names), audit.state(self, names)
        for name, values in m2m.items():
            before[name] = _labels(getattr(stored, name).all())
            after[name] = _labels(values)
        changes = audit.diff(before, after) | self._secret_changes(stored, names)
        if not changes:
            if names and not names <= {field.name for field in audit.tracked_fields(type(self))}:
                self.skip_history_when_saving = True
                super().save(*args, **kwargs)
                del self.skip_history_when_saving
            return
        if stored.lock_version != self.lock_version:
            raise StaleRecord(self, changes)
        self.lock_version += 1
        self.updated_at, self.updated_by = timezone.now(), actor.current().user or self.updated_by
        if names is not None:
            derived = {field.name for field in self._meta.concrete_fields if isinstance(field, KeyField)}
            kwargs["update_fields"] = names | derived | {"lock_version", "updated_at", "updated_by"}
        if m2m:
            self.skip_history_when_saving = True
        super().save(*args, **kwargs)
        self._set_m2m(m2m)
        self._finish_version("~", m2m)
        audit.record(self, operation, changes, remark=remark)
        search.follow(self, changes)

    def _secret_changes(self, stored, names):
        """Secrets that change are logged as having changed, never with their values."""
        secrets = [name for name in self.audit_secrets if names is None or name in names]
        return {name: [SECRET, SECRET] for name in secrets if getattr(self, name) != getattr(stored, name)}

    def _set_m2m(self, m2m):
        for name, values in m2m.items():
            getattr(self, name).set(values)

    def _finish_version(self, kind, m2m):
        """The version of an edit that carried many-to-many values is written once, after all of them."""
        if m2m:
            del self.skip_history_when_saving
            records = getattr(type(self), "versions", None)
            if records is not None:
                records.create_historical_record(self, kind)


def _labels(values) -> list[str]:
    return sorted(str(value) for value in values)


class RecordQuerySet(models.QuerySet):
    def valid(self):
        """Rows that were not removed."""
        return self.filter(is_valid=True)


class Record(Stamped):
    """A business record: soft delete (``is_valid`` of the seeds), 完结标识 (``over_flag``) and a remark."""

    remark = models.TextField("备注", blank=True, default="")
    is_closed = models.BooleanField("已完结", default=False, help_text="完结的记录仍可查看和筛选。")
    is_valid = models.BooleanField("有效", default=True, editable=False)

    objects = RecordQuerySet.as_manager()

    class Meta(Stamped.Meta):
        abstract = True


class OwnedRecord(Record):
    """A record that belongs to one person. ``owner`` changes only through ``crm.ownership``."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="owned_%(class)ss",
        verbose_name="负责人",
    )

    class Meta(Record.Meta):
        abstract = True

    def save(self, *args, **kwargs):
        from crm import ownership

        with transaction.atomic():
            created = self._state.adding
            if not created:
                ownership.refuse_direct_change(self)
            super().save(*args, **kwargs)
            if created:
                ownership.grant_owner(self)
