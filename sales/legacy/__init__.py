"""What we sell and how, from the old systems: a module for each."""

from sales.legacy import fastapi, java

__all__ = ["fastapi", "java"]
