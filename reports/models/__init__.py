from reports.models.summaries import ReportSummary
from reports.models.targets import SalesTarget

__all__ = ["ReportSummary", "SalesTarget"]
