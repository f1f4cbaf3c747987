from customers.admin import (  # noqa: F401
    accounts,
    attachments,
    categories,
    contacts,
    credentials,
    credit,
    duplicates,
    interactions,
    merging,
    paths,
    pool,
)
