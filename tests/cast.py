"""A small company with records in different hands, and who may do what to each of them.

Every text column of every row holds a canary, a word found nowhere else; ``World`` knows who may see it. What is
expected here is written down by hand for each situation, never asked of ``crm.policies``: only the model permissions
of the shipped roles are read.
"""

import re
from dataclasses import dataclass, field

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django_fsm import FSMField

from crm import actor, ownership
from crm.approvals.rows import RequestPolicy
from crm.fields import KeyField, MultiChoiceField, PhoneField
from crm.models import ApprovalRequest, ApprovalTask, BusinessLog, Company, Department, Role, User
from crm.policies import ChildPolicy, LogPolicy, OwnedPolicy, PersonalPolicy, ProjectionPolicy, registered, walk
from customers.models import Customer, PoolRule, SeaCustomer
from customers.tracking.permissions import ActorPolicy
from reports.models import SalesTarget
from reports.policies import TargetPolicy
from sales.models import Lead, LeadPool, PooledLead
from service.models import WorkOrder
from tests.factories import make

DEPARTMENTS = {"总部": None, "华南大区": "总部", "深圳一部": "华南大区", "深圳二部": "华南大区", "华北大区": "总部"}
# name: (role, department)
PEOPLE = {
    "nobody": (None, "总部"),
    "owner": ("销售", "深圳一部"),
    "viewer": ("销售", "华北大区"),
    "editor": ("销售", "华北大区"),
    "colleague": ("销售", "深圳一部"),
    "manager": ("销售主管", "深圳一部"),
    "director": ("销售总监", "华南大区"),
    "outsider": ("销售主管", "华北大区"),
    "ex_owner": ("销售", "华北大区"),
    "auditor": ("审计", "总部"),
    "administrator": ("管理员", "总部"),
    "superuser": (None, "总部"),
    "neighbour": ("销售", "深圳二部"),
}
CAST = ["anonymous", *(name for name in PEOPLE if name != "neighbour")]
EVERYWHERE = {"auditor", "administrator", "superuser"}
# whose record it is, and whom the row lets in: to read, to change, to do what only owners do
SITUATIONS = {
    "mine": ("owner", {"owner", "viewer", "editor", "manager", "director"}, {"owner", "editor", "manager", "director"}),
    "colleagues": ("colleague", {"colleague", "manager", "director"}, {"colleague", "manager", "director"}),
    "neighbours": ("neighbour", {"neighbour", "director"}, {"neighbour", "director"}),
    "elsewhere": ("outsider", {"outsider"}, {"outsider"}),
    "unowned": (None, set(), set()),
    "removed": ("owner", set(), set()),
}
FULL_RIGHTS = {"mine": {"owner", "manager", "director"}}
# columns that programs read: a canary there would break the page instead of showing up on it
NOT_TEXT = {
    "password",
    "pattern",
    "kind",
    "resource",
    "file",
    "link",
    "key",
    "shape",
    "period",
    "state",
    "sheet",
    "digest",
}
CANARY = re.compile(r"canary\d{5}|1397\d{7}")


@dataclass(eq=False)
class Row:
    """One record of the world and the names of those who may see, change and remove it."""

    obj: models.Model
    situation: str
    view: set[str]
    change: set[str]
    delete: set[str]
    canaries: dict[str, str] = field(default_factory=dict)
    assign: set[str] = field(default_factory=set)  # who besides may say who works on it

    @property
    def model(self):
        return type(self.obj)

    @property
    def label(self):
        """A canary in the name of the record, as somebody would type it into a search box."""
        return next((word for word in self.canaries.values() if word in str(self.obj)), "canary00000").upper()

    def __repr__(self):
        return f"{self.model.__name__}({self.situation})"


class World:
    def __init__(self):
        self.people: dict[str, User] = {}
        self.rows: list[Row] = []
        self.readers: dict[str, set[str]] = {}
        self._rights: dict[str, set[str]] = {}

    # --- Who may what ------------------------------------------------------------------------------------------------

    def holds(self, name, action, model) -> bool:
        """Whether the role of ``name`` has the model permission."""
        return permission_name(action, model) in self._rights.get(name, ())

    def holders(self, action, model) -> set[str]:
        return {name for name in self.people if self.holds(name, action, model)}

    def user(self, name) -> User | None:
        """The person as the next request would load him."""
        return User.objects.get(pk=self.people[name].pk) if name in self.people else None

    # --- Rows --------------------------------------------------------------------------------------------------------

    def of(self, model, situation="mine"):
        """The record of ``model`` in ``situation``, freshly read."""
        return model._base_manager.get(pk=self.row(model, situation).obj.pk)

    def row(self, model, situation="mine") -> Row:
        return next(row for row in self.rows if row.model is model and row.situation == situation)

    def rows_of(self, model) -> list[Row]:
        return [row for row in self.rows if row.model is model]

    def leaks(self, name, text) -> set[str]:
        """Canaries in ``text`` that ``name`` may not see, with where they come from."""
        return {word for word in CANARY.findall(text) if name not in self.readers.get(word, {name})}

    def source_of(self, canary) -> str:
        return next((f"{row} {column}" for row in self.rows for column, word in row.canaries.items() if word == canary))

    # --- Building ----------------------------------------------------------------------------------------------------

    def add(self, obj, situation, view, change=(), delete=(), *, readers=None, labels_for=None):
        """Take ``obj`` in and write canaries over its texts; ``labels_for`` may see its name besides ``view``."""
        row = Row(obj, situation, set(view), set(change), set(delete))
        for column in obj._meta.concrete_fields:
            if takes_canary(column):
                number = len(self.readers) + 1
                word = f"1397{number:07}" if isinstance(column, PhoneField) else f"canary{number:05}"
                setattr(obj, column.attname, f"{word}@example.com" if isinstance(column, models.EmailField) else word)
                row.canaries[column.name] = word
                self.readers[word] = set(view if readers is None else readers)
        if row.canaries:
            obj.save()
        for word in row.canaries.values():
            if labels_for and word in str(obj):
                self.readers[word] |= labels_for
        self.rows.append(row)
        return row


def takes_canary(column) -> bool:
    if isinstance(column, KeyField | FSMField | MultiChoiceField) or not isinstance(
        column, models.CharField | models.TextField
    ):
        return False
    roomy = column.max_length is None or column.max_length >= 11
    return roomy and not column.choices and not column.primary_key and column.name not in NOT_TEXT


def permission_name(action, model) -> str:
    return f"{model._meta.app_label}.{action}_{model._meta.model_name}"


def build() -> World:
    world = World()
    _hire(world)
    policies = registered()
    with actor.acting(world.people["administrator"], ip="10.0.0.9"):
        shared = [m for m, policy in policies.items() if not isinstance(policy, _Scoped)]
        for model in sorted(shared, key=lambda model: model is User):
            _share(world, model)
        for model in (m for m, policy in policies.items() if isinstance(policy, OwnedPolicy)):
            _own(world, model)
        _pool(world)
        _sea(world)
        waiting = [(m, policy) for m, policy in policies.items() if isinstance(policy, ChildPolicy)]
        for model, policy in sorted(waiting, key=lambda item: item[1].path.count("__")):
            _belong(world, model, policy)
        for model in (m for m, policy in policies.items() if isinstance(policy, PersonalPolicy)):
            _keep(world, model)
        for model in (m for m, policy in policies.items() if isinstance(policy, ActorPolicy)):
            _watch(world, model)
        _aim(world)
        _ask(world)
        _remove(world)
        _log(world)
    return world


_Scoped = (
    OwnedPolicy,
    ChildPolicy,
    PersonalPolicy,
    LogPolicy,
    ProjectionPolicy,
    RequestPolicy,
    ActorPolicy,
    TargetPolicy,
)


def _hire(world):
    departments = {}
    for name, parent in DEPARTMENTS.items():
        departments[name] = make(Department, name=name, parent=departments.get(parent), manager=None)
    roles = {role.name: role for role in Role.objects.all()}
    every = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")}
    for name, (role, department) in PEOPLE.items():
        world.people[name] = make(
            User,
            username=name,
            full_name=name,
            department=departments[department],
            groups=[roles[role]] if role else [],
            is_superuser=name == "superuser",
        )
        granted = roles[role].permissions.select_related("content_type") if role else []
        world._rights[name] = {f"{p.content_type.app_label}.{p.codename}" for p in granted}
    world._rights["superuser"] = every


def _share(world, model):
    """Reference data: by model permission alone; whoever fills in any form may see the names."""
    staff = set(world.people) - {"nobody"}
    rights = [world.holders(action, model) for action in ("view", "change", "delete")]
    if model is not User:
        row = world.add(make(model), "shared", *rights, labels_for=staff)
        if model is Company:  # contracts on paper and in files give its full name
            world.readers[row.canaries["name"]] |= staff
        return
    for name, user in world.people.items():
        view, change, delete = rights
        change = change if name != "superuser" else {"superuser"}
        world.add(user, name, view, change, delete, readers=view | {name}, labels_for=staff)


def _own(world, model):
    for situation, (holder, readers, writers) in SITUATIONS.items():
        first = world.people["ex_owner"] if situation == "mine" else world.people.get(holder)
        obj = make(model, owner=first, **_about(world, model, situation))
        if situation == "mine":
            ownership.set_owner(obj, world.people[holder], by=None, reason="移交")
            ownership.add_collaborator(obj, world.people["viewer"], by=None, level="view")
            ownership.add_collaborator(obj, world.people["editor"], by=None, level="change")
        if situation == "removed":
            readers = writers = masters = set()
        else:
            readers, writers = readers | EVERYWHERE, writers | EVERYWHERE
            masters = FULL_RIGHTS.get(situation, writers) | EVERYWHERE
        rights = zip(("view", "change", "delete"), (readers, writers, masters), strict=True)
        world.add(obj, situation, *(names & world.holders(action, model) for action, names in rights))


def _about(world, model, situation):
    """What has an owner is about a customer in other hands; a work order is read by the customer's people too."""
    names = {field.name for field in model._meta.concrete_fields}
    if "customer" not in names or model is Lead:
        return {}
    other = situation if model is WorkOrder else "elsewhere" if situation == "mine" else "mine"
    about = {"customer": world.row(Customer, other).obj}
    return about | ({"contact": None} if "contact" in names else {})


def _pool(world):
    """Leads in pools: a private one has a member and an admin; what waits in a pool is offered with little of it.

    Everything of an unclaimed lead but what the list of its pool shows, its telephone number above all, is a canary
    for all who are neither its pool's admins nor see all leads.
    """
    pool = make(LeadPool, is_public=False, members=[world.people["colleague"]], admins=[world.people["outsider"]])
    for situation, holder, view, change in (
        ("in private pool", None, {"outsider"}, set()),
        ("of private pool", "neighbour", {"neighbour", "director", "outsider"}, {"neighbour", "director"}),
    ):
        lead = make(Lead, pool=pool, owner=world.people.get(holder))
        rights = zip(("view", "change", "delete"), (view, change, change), strict=True)
        row = world.add(
            lead, situation, *((names | EVERYWHERE) & world.holders(action, Lead) for action, names in rights)
        )
        row.assign = {"outsider"}
    world.row(Lead).obj.customer = world.row(Customer, "elsewhere").obj
    world.row(Lead).obj.save()

    claim, look = world.holders("claim", PooledLead), world.holders("view", PooledLead)
    for situation, lookers, takers in (
        ("unowned", look, claim),
        (
            "in private pool",
            look & {"colleague", "outsider", *EVERYWHERE},
            claim & {"colleague", "outsider", "superuser"},
        ),
    ):
        row = world.row(Lead, situation)
        shown = {name: row.canaries[name] for name in ("name", "overview")}
        for word in shown.values():
            world.readers[word] |= lookers
        offer = PooledLead.objects.get(pk=row.obj.pk)
        world.rows.append(Row(offer, situation, lookers, takers, takers, shown))


def _sea(world):
    """Customers without owner: everybody with the right is shown their names, one only to a single department.

    The telephone number and whatever else the list of the sea does not show is a canary for those people.
    """
    south = Department.objects.get(name="华南大区")
    rule = make(PoolRule, category=None, departments=[south])
    closed = make(Customer, owner=None, level=rule.level)
    row = world.add(
        closed,
        "in closed sea",
        *(EVERYWHERE & world.holders(action, Customer) for action in ("view", "change", "delete")),
    )
    assert row.canaries["phone"]
    claim, look = world.holders("claim", SeaCustomer), world.holders("view", SeaCustomer)
    inside = {"owner", "colleague", "manager", "director", "neighbour"}
    for situation, lookers, takers in (
        ("unowned", look, claim),
        ("in closed sea", look & (inside | EVERYWHERE), claim & (inside | {"superuser"})),
    ):
        row = world.row(Customer, situation)
        shown = {name: row.canaries[name] for name in ("name", "short_name")}
        for word in shown.values():
            world.readers[word] |= lookers
        offer = SeaCustomer.objects.get(pk=row.obj.pk)
        world.rows.append(Row(offer, situation, lookers, takers, takers, shown))


def _belong(world, model, policy):
    """Children of each owned record; their other links lead to a record in other hands."""
    for path, root_policy in policy.roots.items():
        _belong_at(world, model, policy, path, root_policy.model)


def _belong_at(world, model, policy, path, root):
    step, _, beyond = path.partition("__")
    parent_model = model._meta.get_field(step).related_model
    for parent in world.rows_of(parent_model):
        if walk(parent.obj, beyond) is None:
            continue
        links = {step: parent.obj}
        for column in model._meta.concrete_fields:
            if column.name in policy.roots:
                links.setdefault(column.name, None)
            elif isinstance(registered().get(column.related_model), OwnedPolicy) and column.name != "default_of":
                if column.name in ("contract", "work_order") and step == "customer":
                    continue  # these are of the same customer
                other = "elsewhere" if parent.situation == "mine" else "mine"
                links[column.name] = world.row(column.related_model, other).obj
        top = world.row(root, parent.situation)
        also = _read_besides(world, policy, step, parent)
        if parent.situation == "removed" and hasattr(policy, "reaches_all"):
            also |= EVERYWHERE  # what was done to a customer does not go with it
        rights = [
            names & world.holders(action, model)
            for action, names in (("view", top.view | also), ("change", top.change), ("delete", top.change))
        ]
        world.add(make(model, **links), parent.situation, *rights)


def _read_besides(world, policy, step, parent):
    """Who may read what hangs on ``parent`` because of another record that it has become."""
    found = set()
    for path in getattr(policy, "also_read", ()):
        first, further = path.split("__")
        key = getattr(parent.obj, f"{further}_id", None) if first == step else None
        if key is not None and parent.situation != "removed":
            related = type(parent.obj)._meta.get_field(further).related_model
            found |= next(row.view for row in world.rows_of(related) if row.obj.pk == key)
    return found


def _keep(world, model):
    for name in ("owner", "manager"):
        world.add(make(model, user=world.people[name]), name, {name}, {name})


def _watch(world, model):
    """What is said about a colleague's work is read by those above him; the outsider heads his own department."""
    for name, above in (("owner", {"manager", "director"}), ("outsider", {"outsider"})):
        view, change, delete = (
            (above | EVERYWHERE) & world.holders(act, model) for act in ("view", "change", "delete")
        )
        world.add(make(model, actor=world.people[name]), name, view, change - {name}, delete - {name})


def _aim(world):
    """Sales targets of people in different hands: each sees his own, managers those of their people."""
    for situation, person, readers in (
        ("mine", "owner", {"owner", "manager", "director"}),
        ("neighbours", "neighbour", {"neighbour", "director"}),
        ("elsewhere", "outsider", {"outsider"}),
    ):
        target = make(SalesTarget, person=world.people[person])
        rights = [
            (readers | EVERYWHERE) & world.holders(action, SalesTarget) for action in ("view", "change", "delete")
        ]
        world.add(target, situation, *rights)


def _ask(world):
    """A request about each customer; the one about the first waits for somebody who may not see the customer."""
    for target in world.rows_of(Customer):
        gone = target.situation == "removed"
        applicant = "superuser" if gone else next(iter(sorted(target.change)))
        request = make(ApprovalRequest, target_id=target.obj.pk, applicant=world.people[applicant])
        waiting = {"outsider"} if target.situation == "mine" else set()
        for name in waiting:
            make(ApprovalTask, request=request, user=world.people[name])
        view = {"superuser"} if gone else target.view | waiting
        world.add(request, "about removed" if gone else target.situation, view, {applicant} | waiting)


def _remove(world):
    """Removed records are gone for everybody; what the log says of them, those who read all of it may read."""
    for row in [row for row in world.rows if row.situation == "removed"]:
        readers = EVERYWHERE & world.holders("view", BusinessLog) & world.holders("view", row.model)
        for word in row.canaries.values():
            world.readers[word] = readers
        if hasattr(row.obj, "owner_id"):
            row.obj.refresh_from_db()
            row.obj.is_valid = False
            row.obj.save()


def _log(world):
    """One entry of the log about each owned record."""
    for row in [row for row in world.rows if hasattr(row.obj, "owner_id") and not row.model._meta.proxy]:
        kind = ContentType.objects.get_for_model(row.model)
        entry = BusinessLog.objects.filter(object_id=row.obj.pk, content_type=kind).earliest("id")
        readers = row.view if row.situation != "removed" else EVERYWHERE & world.holders("view", row.model)
        world.rows.append(Row(entry, row.situation, readers & world.holders("view", BusinessLog), set(), set()))
