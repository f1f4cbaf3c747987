from crm.admin import approvals, audit, dictionary, excel, jobs, notifications, numbering, organization, people  # noqa: F401
