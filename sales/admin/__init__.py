from sales.admin import followups, leads  # noqa: F401
