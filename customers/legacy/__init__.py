"""Customers and what belongs to them, from the old systems: a module for each."""

from customers.legacy import fastapi, java

__all__ = ["fastapi", "java"]
