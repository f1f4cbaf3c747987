from crm.admin import audit, dictionary, excel, jobs, notifications, numbering, organization, people  # noqa: F401
