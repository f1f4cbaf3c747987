from django.apps import AppConfig


class SalesConfig(AppConfig):
    name = "sales"
    verbose_name = "销售"

    def ready(self):
        from crm import agenda as crm_agenda
        from crm.admin import home
        from customers import activity as customer_activity
        from sales import activity, agenda
        from sales.home import part
        from sales.services import followups, leads

        home.parts.add("sales", part)
        customer_activity.SOURCES.add("followups", activity.of_customer)
        customer_activity.ROW_LINKS.add("followups", activity.row_link)
        customer_activity.BUTTONS.add("followups", activity.customer_buttons)
        crm_agenda.SOURCES.add("leads", agenda.OF_LEADS)
        crm_agenda.SOURCES.add("customers", agenda.OF_CUSTOMERS)
        leads.conversions.add("followups", followups.carry_over)
