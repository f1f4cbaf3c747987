"""Customers and what belongs to them, from the old systems: a module for each."""

from customers.legacy import dms, eplus, fastapi, java

__all__ = ["dms", "eplus", "fastapi", "java"]
