from customers.admin import accounts, attachments, categories, contacts, credentials, credit, paths, pool  # noqa: F401
