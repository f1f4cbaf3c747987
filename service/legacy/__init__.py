"""Work orders, return visits and churn, from the old systems: a module for each."""

from service.legacy import fastapi, java

__all__ = ["fastapi", "java"]
