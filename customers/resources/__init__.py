from customers.resources import accounts, contacts, credit, interactions, paths  # noqa: F401
