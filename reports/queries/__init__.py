"""Every report: ``REPORTS`` by name, in the order of the sidebar."""

from reports.queries import (
    activity,
    composition,
    contribution,
    forecast,
    funnel,
    leads,
    lifecycle,
    ranking,
    receipts,
    sea,
)

MODULES = (composition, contribution, lifecycle, sea, leads, activity, funnel, forecast, ranking, receipts)
REPORTS = {module.REPORT.name: module.REPORT for module in MODULES}
