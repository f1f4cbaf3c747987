from sales.resources import leads  # noqa: F401
