from customers.resources import accounts, contacts  # noqa: F401
