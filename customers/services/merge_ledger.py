"""What a merge does to the rows that point to a customer, written down so that it can be taken back."""

from django.apps import apps
from django.db import models

from crm import audit
from crm.models import Stamped
from crm.registries import Registry
from customers.models import Customer

# ``{"app.Model.field": provider(ledger, rows, survivor)}`` of the foreign keys whose ``rows`` are not simply moved
MERGES = Registry("merging of customers")


def stays(ledger, rows, survivor):
    """Provider of ``MERGES`` for what belongs to the history of the one customer, or follows from other columns."""


def relations(model=Customer) -> dict[str, models.ForeignKey]:
    """``{"app.Model.field": field}``: every foreign key to ``model`` whose rows people may have made."""
    return {
        f"{relation.related_model._meta.label}.{relation.field.name}": relation.field
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel) and issubclass(relation.related_model, Stamped)
    }


class Ledger:
    """Changes rows and remembers what each was before."""

    def __init__(self, remark):
        self.remark, self.left = remark, []
        self._rows: dict[tuple, dict] = {}

    def change(self, obj, **new):
        """Set columns of ``obj``, save it and write down what they were."""
        entry = self._rows.setdefault((obj._meta.label, obj.pk), {"old": {}, "new": {}})
        for name, value in new.items():
            entry["old"].setdefault(name, audit.json_value(getattr(obj, name)))
            entry["new"][name] = audit.json_value(value)
            setattr(obj, name, value)
        obj.save(remark=self.remark)

    def leave(self, obj, why):
        self.left.append(f"{obj._meta.verbose_name}“{obj}”：{why}")

    def written(self) -> list[dict]:
        """The rows as they now stand, in the order of their first change."""
        return [
            {"model": label, "id": pk, "version": version_of(label, pk), **entry}
            for (label, pk), entry in self._rows.items()
        ]


def version_of(label, pk) -> int:
    return apps.get_model(label)._base_manager.values_list("lock_version", flat=True).get(pk=pk)
