"""Every report: ``REPORTS`` by name, in the order of the sidebar."""

from reports.queries import (
    activity,
    churn,
    composition,
    contribution,
    forecast,
    funnel,
    leads,
    lifecycle,
    marketing,
    ranking,
    receipts,
    sea,
    service,
    tracking,
)

MODULES = (
    composition,
    contribution,
    lifecycle,
    churn,
    sea,
    leads,
    marketing,
    activity,
    funnel,
    forecast,
    ranking,
    receipts,
    service,
    tracking,
)
REPORTS = {module.REPORT.name: module.REPORT for module in MODULES}
