"""The board of open opportunities: a column per stage with its sums; the filters are those of the list."""

from dataclasses import dataclass

from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from sales.models import Opportunity, OpportunityStage, OpportunityStatus
from sales.services import opportunities
from sales.services.opportunities import Sums

IN_COLUMN = 30


@dataclass
class Column:
    stage: OpportunityStage
    sums: Sums
    cards: list[Opportunity]
    link: str  # the list of all of them

    @property
    def hidden(self) -> int:
        return self.sums.count - len(self.cards)


def board(model_admin, request):
    listed = model_admin.get_changelist_instance(request)
    rows = listed.queryset.filter(status=OpportunityStatus.OPEN)
    found = opportunities.sums(rows, by="stage")
    stages = opportunities.active_stages()
    retired = set(found) - {stage.pk for stage in stages}
    stages += OpportunityStage.objects.filter(pk__in=retired).order_by("sort", "id")
    columns = [_column(model_admin, listed, rows, stage, found.get(stage.pk, Sums())) for stage in stages]
    shown = [card.pk for column in columns for card in column.cards]
    movable = model_admin.policy.visible_to(request.user, "change").filter(pk__in=shown)
    whole = opportunities.sums(rows).get(None, Sums())
    context = {
        "title": "商机看板",
        "crumb": "看板",
        "listed": listed,
        "columns": columns,
        "whole": whole,
        "targets": [stage for stage in stages if stage.is_active and stage.is_valid],
        "movable": set(movable.values_list("pk", flat=True)),
        "owners": next((spec for spec in listed.filter_specs if spec.title == "负责人"), None),
        "carried": [(name, value) for name, value in request.GET.items() if name not in ("owner", "q", "p")],
        "today": timezone.localdate(),
        "here": request.get_full_path(),
        "list_url": reverse("admin:sales_opportunity_changelist") + listed.get_query_string(),
        "media": model_admin.media,
    }
    return model_admin.page(request, "sales/board.html", context)


def _column(model_admin, listed, rows, stage, sums):
    order = [F("expected_close_date").asc(nulls_last=True), "-pk"]
    cards = list(rows.filter(stage=stage).order_by(*order)[:IN_COLUMN]) if sums.count else []
    for card in cards:
        card.shown_amount = model_admin.amount(card)
        card.shown_customer = model_admin.buyer(card)
    narrowed = listed.get_query_string({"stage": stage.pk, "status": OpportunityStatus.OPEN})
    return Column(stage, sums, cards, model_admin._url("changelist") + narrowed)
