from customers.tracking.admin import alerts, calls, traces  # noqa: F401
