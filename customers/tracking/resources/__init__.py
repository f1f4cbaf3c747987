from customers.tracking.resources import traces  # noqa: F401
