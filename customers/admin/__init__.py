from customers.admin import accounts, attachments, categories, contacts, credentials, credit, paths  # noqa: F401
