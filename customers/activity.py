"""What happened with a customer, newest first: its own conversations and visits, and what upper apps add to them."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html_join

from crm.admin import quick
from crm.policies import policy_for
from crm.registries import Registry
from customers.models import Interaction, VisitPlan

SHOWN, MOST = 5, 50

# asked with (customer, user, most): the newest of its kind as ``Event``s
SOURCES = Registry("timeline of a customer")
# asked with (customer, user): ``Button``s that add something to it
BUTTONS = Registry("quick additions to a customer")
# asked with (customer, user): more of the customer's page, as HTML
PANELS = Registry("panels on the page of a customer")

# gives a read-only inline of what an upper app keeps about a customer
TABS = Registry("tabs of a customer")

# ``(model, label)`` of what may be added to a customer from its row in the list
ROW_LINKS = Registry("quick additions in the list of customers")


# asked with (customer, user): ``(label, what, address)`` of the records that it came from
ORIGINS = Registry("where a customer comes from")


@dataclass(frozen=True)
class Event:
    time: datetime
    kind: str
    icon: str
    link: str
    text: str
    facts: tuple[str, ...] = ()  # type, place, who took part
    by: object = None
    next: str = ""
    state: str = ""


@dataclass(frozen=True)
class Button:
    label: str
    icon: str
    link: str
    is_quick: bool = True  # a small form in a dialog, else a page


def change_url(obj) -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


def context(events, buttons) -> dict:
    events = sorted(events, key=lambda event: event.time, reverse=True)[:MOST]
    return {"recent": events[:SHOWN], "earlier": events[SHOWN:], "buttons": buttons, "most": MOST}


def of_customer(customer, user) -> dict:
    """The panel on the customer's page."""
    events = [event for found in SOURCES.ask(customer, user, MOST).values() for event in found]
    added = [button for found in BUTTONS.ask(customer, user).values() for button in found]
    return context(events, added + own_buttons(customer, user))


def buttons_for(model, root, field, user, label, icon) -> list[Button]:
    if not policy_for(model).may_add_to(user, root):
        return []
    return [Button(label, icon, quick.link(model, root, field))]


def interactions(customer, user, most):
    rows = policy_for(Interaction).visible_to(user).filter(customer=customer)
    rows = rows.select_related("type", "tag", "contact", "author").order_by("-time", "-id")[:most]
    return [
        Event(
            time=row.time,
            kind="会话",
            icon="forum",
            link=change_url(row),
            text="\n".join(filter(None, [row.overview, row.content])),
            facts=tuple(str(fact) for fact in (row.type, row.tag, row.contact, row.address) if fact),
            by=row.author,
        )
        for row in rows
    ]


def visits(customer, user, most):
    rows = policy_for(VisitPlan).visible_to(user).filter(customer=customer)
    rows = rows.select_related("contact", "created_by").prefetch_related("participants")
    return [
        Event(
            time=row.time,
            kind="拜访",
            icon="directions_walk",
            link=change_url(row),
            text="\n".join(filter(None, [row.purpose, row.summary, row.cancel_reason])),
            facts=tuple(str(fact) for fact in (row.contact, row.address, *row.participants.all()) if fact),
            by=row.created_by,
            state=row.get_status_display(),
        )
        for row in rows.order_by("-time", "-id")[:most]
    ]


def own_buttons(customer, user):
    found = buttons_for(Interaction, customer, "customer", user, "记会话", "forum")
    return found + buttons_for(VisitPlan, customer, "customer", user, "安排拜访", "directions_walk")


def has_row_links(user) -> bool:
    return any(policy_for(model).allows(user, "add") for model, _ in ROW_LINKS.ask().values())


def origins(customer, user) -> list[tuple[str, str, str]]:
    return [origin for found in ORIGINS.ask(customer, user).values() for origin in found]


def row_links(customer):
    links = [(quick.link(model, customer, "customer"), label) for model, label in ROW_LINKS.ask().values()]
    return format_html_join(" ", quick.ROW_LINK, links)
