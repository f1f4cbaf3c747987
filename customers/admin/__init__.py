from customers.admin import accounts, contacts  # noqa: F401
