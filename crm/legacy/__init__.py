"""Moving in from the five systems that this one replaces: ``docs/legacy.md``."""
