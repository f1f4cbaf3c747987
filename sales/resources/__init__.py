from sales.resources import followups, leads  # noqa: F401
