from service.admin import dispatch, retention, targets, visits, workorders  # noqa: F401


def work_orders_tab():
    """Provider of ``customers.activity.TABS``, as the next two."""
    return workorders.WorkOrderInline


def return_visits_tab():
    return visits.ReturnVisitInline


def losses_tab():
    return retention.CustomerLossInline
