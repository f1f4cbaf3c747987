"""The rows that numbers are made of: which model, which of its rows, whose they are, when they happened."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.contrib.admin.utils import get_fields_from_path
from django.db.models import DateTimeField, Model, Q, QuerySet

from crm.models import DataScope, User
from crm.policies import ChildPolicy, EitherPolicy, policy_for
from customers.models import Customer
from reports.queries.filters import OF_CUSTOMER, Filters


@dataclass(frozen=True)
class Source:
    """A kind of rows that a report counts.

    ``date`` is the field by which the period picks them; without one they are counted as they stand today. ``person``
    are the paths to whose they are (the first that leads somewhere), ``department`` those to the department if that is
    not the person's, ``customer`` the path to the customer ("" for customers, None where there is none). ``amount`` is
    in ``currency`` and valued at the rate of ``day``, which is ``date`` unless it says otherwise.
    """

    model: type[Model]
    date: str = ""
    where: Q | Callable[[], Q] = Q()  # noqa: RUF009
    person: tuple[str, ...] = ("owner",)
    department: tuple[str, ...] | None = None
    customer: str | None = "customer"
    amount: str = "total_amount"
    currency: str = "currency"
    day: str = ""

    @property
    def departments(self) -> tuple[str, ...]:
        return tuple(f"{path}__department" for path in self.person) if self.department is None else self.department

    def is_moment(self, path) -> bool:
        return isinstance(get_fields_from_path(self.model, path)[-1], DateTimeField)

    def of_customer(self, name) -> str:
        """The path to the field ``name`` of the customer."""
        return f"{self.customer}__{name}" if self.customer else name

    def allowed(self, user) -> bool:
        return policy_for(self.model).allows(user, "view")

    def answers(self, filters: Filters) -> bool:
        """Whether these rows can be narrowed by everything that ``filters`` ask for."""
        asks_customer = any(getattr(filters, name) for name in (*OF_CUSTOMER, "category"))
        return not (
            (filters.person and not self.person)
            or (filters.department and not self.departments)
            or (asks_customer and self.customer is None)
        )

    def rows(self, user, filters: Filters) -> QuerySet:
        """What ``user`` may see of them within ``filters``."""
        return self._narrowed(policy_for(self.model).visible_to(user, "view"), filters)

    def counted(self, user, filters: Filters) -> QuerySet:
        """The same rows, in the form in which very many are counted fastest."""
        policy = policy_for(self.model)
        if type(policy) in (ChildPolicy, EitherPolicy) and sees_all(user, self.model):
            return self._narrowed(policy.standing(), filters)
        return self.rows(user, filters)

    def _narrowed(self, rows, filters):
        where = self.where() if callable(self.where) else self.where
        rows = rows.filter(where).order_by()
        if self.date:
            rows = rows.filter(**filters.period.condition(self.date, moment=self.is_moment(self.date)))
        if filters.person:
            rows = rows.filter(any_of(self.person, filters.person))
        if filters.department:
            rows = rows.filter(reduce(or_, (Q(**{f"{path}__in": filters.departments}) for path in self.departments)))
        for name in OF_CUSTOMER:
            if getattr(filters, name):
                rows = rows.filter(**{self.of_customer(name): getattr(filters, name)})
        if filters.category:
            inside = Customer.categories.through.objects.filter(customercategory__in=filters.categories)
            key = f"{self.customer}__in" if self.customer else "pk__in"
            rows = rows.filter(**{key: inside.values("customer")})
        return rows


def everybody() -> User:
    """Somebody who sees everything, without being anybody."""
    return User(is_superuser=True, is_active=True)


def sees_all(user, model) -> bool:
    """Whether the rows of ``model`` that ``user`` sees are all there are: the database is asked the same."""
    policy = policy_for(model)
    if policy.scope(user, "view") != DataScope.ALL:
        return False
    return str(policy.visible_to(user).query) == str(policy.visible_to(everybody()).query)


def any_of(paths, value) -> Q:
    """The first of ``paths`` that leads somewhere leads to ``value``; None: none of them leads anywhere."""
    if value is None:
        return Q(**{f"{path}__isnull": True for path in paths})
    found, before = Q(pk__in=[]), {}
    for path in paths:
        found |= Q(**before, **{path: value})
        before[f"{path}__isnull"] = True
    return found
