from crm.admin import (  # noqa: F401
    approvals,
    audit,
    dictionary,
    excel,
    jobs,
    legacy,
    notifications,
    numbering,
    organization,
    people,
)
