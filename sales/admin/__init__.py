from sales.admin import leads  # noqa: F401
