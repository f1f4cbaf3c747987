"""What is due, and for whom: next steps, visits and whatever else an app adds to ``SOURCES``.

Days are those of Asia/Shanghai. A record keeps its own reach: the sources ask the policies of their models.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Protocol

from django.utils import timezone

from crm.jobs import periodic
from crm.notifications import notify
from crm.registries import Registry

MOST = 500
MISSED_DAYS = 3  # so long after its day something still gets its reminder: workers may have stood still


@dataclass(frozen=True)
class Occasion:
    """One thing that is due. ``people`` are reminded of it; ``key`` is new when it is put off."""

    time: datetime
    kind: str
    icon: str
    title: str
    link: str
    key: str
    note: str = ""
    people: tuple = ()
    is_done: bool = False

    @property
    def is_overdue(self) -> bool:
        return not self.is_done and self.time < timezone.now()

    @property
    def day(self):
        return timezone.localtime(self.time).date()


class Source(Protocol):
    def allows(self, user) -> bool:
        """Whether ``user`` may see things of this kind at all."""

    def occasions(self, user, since, until, *, mine, done, most) -> list[Occasion]:
        """Those in [since, until) within the reach of ``user``, everybody's for None; ``mine``: his own to do."""


SOURCES = Registry("agenda")


def allowed(user) -> bool:
    return any(source.allows(user) for _, source in SOURCES)


def occasions(user, since, until, *, mine=True, done=False, most=MOST) -> list[Occasion]:
    """What is due from ``since`` (None: ever) until before ``until``, earliest first."""
    found = []
    for _, source in SOURCES:
        if user is None or source.allows(user):
            found += source.occasions(user, since, until, mine=mine, done=done, most=most)
    return sorted(found, key=lambda one: one.time)[:most]


def start_of(day) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def tomorrow() -> datetime:
    return start_of(timezone.localdate() + timedelta(days=1))


# --- Reminders -------------------------------------------------------------------------------------------------------


def to_remind() -> list[Occasion]:
    since = start_of(timezone.localdate() - timedelta(days=MISSED_DAYS))
    return [one for one in occasions(None, since, tomorrow(), mine=False, most=100_000) if one.people]


def preview() -> list[str]:
    return [
        f"{timezone.localtime(one.time):%m-%d %H:%M} {one.kind}：{one.title}（{'、'.join(map(str, one.people))}）"
        for one in to_remind()
    ]


@periodic("agenda.remind", title="提醒今天的跟进与拜访", daily="08:30", preview=preview)
def remind(run):
    """Tell everybody once of each thing that is due today or was missed in the last days."""
    due, told = to_remind(), 0
    for start in range(0, len(due), 100):
        chunk = due[start : start + 100]
        with run.chunk(done=start + len(chunk)):
            told += sum(
                notify(
                    one.people,
                    title=f"{timezone.localtime(one.time):%m-%d %H:%M} {one.kind}：{one.title}"[:200],
                    key=f"agenda:{one.key}",
                    body=one.note,
                    link=one.link,
                    level="warning" if one.is_overdue else "info",
                )
                for one in chunk
            )
    return {"message": f"发出 {told} 条提醒"}
