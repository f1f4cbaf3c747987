from reports.admin import targets  # noqa: F401
