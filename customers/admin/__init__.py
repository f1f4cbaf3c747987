from customers.admin import accounts, attachments, categories, contacts, credentials, credit, interactions, paths  # noqa: F401
