from customers.admin import accounts, categories, contacts, credit, paths  # noqa: F401
