"""Background work of the reports: what is slow is counted in time."""

from reports import summaries  # noqa: F401
