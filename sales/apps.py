from django.apps import AppConfig

SERIES = {
    "product": ("产品编号", "CP{seq:6}"),
    "opportunity": ("商机编号", "SJ{yyyyMMdd}{seq:4}"),
    "quotation": ("报价单号", "QT{yyyyMMdd}{seq:4}"),
    "contract": ("合同编号", "HT{yyyyMMdd}{seq:4}"),
    "order": ("订单编号", "DD{yyyyMMdd}{seq:4}"),
    "payment": ("回款单号", "HK{yyyyMMdd}{seq:4}"),
}


class SalesConfig(AppConfig):
    name = "sales"
    verbose_name = "销售"

    def ready(self):
        from crm import agenda as crm_agenda
        from crm import handover, ownership, setup, transitions
        from crm.admin import home
        from crm.trails import Kind
        from customers import activity as customer_activity
        from customers.services import changes, duplicates, merging, rulebook
        from customers.tracking import openapi
        from customers.tracking.services import recording
        from sales import activity, agenda, api, money, papers
        from sales.admin.opportunities import customer_tab
        from sales.home import opportunities_part, part
        from sales.models import Contract, FollowUp, Lead, Opportunity
        from sales.services import followups, leads, opportunities, sms

        setup.SERIES.update(SERIES)
        setup.shipped.add("sales.stages", opportunities.load_stages)
        setup.shipped.add("sales.sms", sms.load_rules)
        transitions.after.add("sales.opportunities", opportunities.ended)
        transitions.after.add("sales.sms", sms.follow)
        changes.EFFECTS.add("opportunities", opportunities.open_effects)
        rulebook.EXEMPTIONS.add("有进行中的商机", opportunities.customers_with_open)
        home.parts.add("sales", part)
        home.parts.add("sales.opportunities", opportunities_part)
        customer_activity.SOURCES.add("followups", activity.of_customer)
        customer_activity.SOURCES.add("sms", activity.messages)
        customer_activity.ORIGINS.add("leads", activity.origin_of)
        customer_activity.ROW_LINKS.add("followups", activity.row_link)
        customer_activity.BUTTONS.add("followups", activity.customer_buttons)
        customer_activity.SOURCES.add("opportunities", activity.opportunities)
        customer_activity.BUTTONS.add("opportunities", activity.opportunity_buttons)
        customer_activity.TABS.add("opportunities", customer_tab)
        crm_agenda.SOURCES.add("leads", agenda.OF_LEADS)
        crm_agenda.SOURCES.add("customers", agenda.OF_CUSTOMERS)
        crm_agenda.SOURCES.add("opportunities", agenda.OF_OPPORTUNITIES)
        openapi.PATHS.add("sales", api.paths)
        recording.KINDS.add("sales.followups", lambda: {FollowUp: Kind.FOLLOW_UP})
        handover.HANDOVERS.add("leads", handover.Kind(Lead, unit="条", obstacles=leads.closed_to))
        handover.HANDOVERS.add("opportunities", handover.Kind(Opportunity))
        handover.HANDOVERS.add("contracts", handover.Kind(Contract, unit="份"))
        ownership.changing.add("sales.leads", leads.note_assignment)
        merging.JOURNALS.add("sales.SmsDelivery", sms.go_with)
        merging.LOCKS.add("leads", leads.lock_of_customers)
        duplicates.MENTIONS.add("leads", leads.mentioned)
        leads.conversions.add("followups", followups.carry_over)
        money.join()
        papers.join()
