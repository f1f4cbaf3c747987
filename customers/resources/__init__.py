from customers.resources import accounts, contacts, credit, paths  # noqa: F401
