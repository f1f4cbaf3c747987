from django.apps import AppConfig

SERIES = {"work_order": ("工单号", "GD{yyyyMMdd}{seq:4}")}


class ServiceConfig(AppConfig):
    name = "service"
    verbose_name = "服务"

    def ready(self):
        from crm import agenda as crm_agenda
        from crm import handover, setup, transitions
        from crm.admin import home, pages
        from customers import activity as customer_activity
        from customers.services import changes, merge_ledger, rating, rulebook
        from customers.tracking import openapi
        from service import activity, agenda, api
        from service.admin import losses_tab, queue, return_visits_tab, work_orders_tab
        from service.home import part
        from service.models import WorkOrder
        from service.services import dispatch, impact, retention, targets, visits, workorders

        setup.SERIES.update(SERIES)
        setup.shipped.add("service.targets", targets.load_targets)
        setup.shipped.add("service.visits", visits.load_rules)
        setup.shipped.add("service.churn", retention.load_rules)
        home.parts.add("service", part)
        openapi.PATHS.add("service", api.paths)
        pages.URLS.add("service.queue", queue.urls)
        pages.SIDEBAR.add("service.queue", queue.in_sidebar)
        customer_activity.TABS.add("workorders", work_orders_tab)
        customer_activity.TABS.add("returns", return_visits_tab)
        customer_activity.TABS.add("losses", losses_tab)
        customer_activity.SOURCES.add("workorders", activity.work_orders)
        customer_activity.SOURCES.add("returns", activity.return_visits)
        customer_activity.SOURCES.add("measures", activity.measures)
        customer_activity.BUTTONS.add("workorders", activity.customer_buttons)
        crm_agenda.SOURCES.add("workorders", agenda.WORK_ORDERS)
        crm_agenda.SOURCES.add("returns", agenda.RETURN_VISITS)
        transitions.after.add("service.workorders", workorders.followed)
        transitions.after.add("service.visits", visits.planned_after)
        transitions.after.add("service.retention", retention.recovered_by)
        handover.HANDOVERS.add("workorders", handover.Kind(WorkOrder, unit="张", obstacles=workorders.closed_to))
        merge_ledger.MERGES.add("service.CustomerLoss.customer", retention.merged)
        workorders.opened.add("dispatch", dispatch.dispatch_new)
        rulebook.EXEMPTIONS.add("有未归档的工单", workorders.open_of_customers)
        changes.EFFECTS.add("workorders", impact.open_work_orders)
        rating.RATING.add("claims", impact.claims)
