from reports.resources import targets  # noqa: F401
