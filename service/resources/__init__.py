from service.resources import retention, visits, workorders  # noqa: F401
