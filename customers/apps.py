from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    verbose_name = "客户"

    def ready(self):
        from crm import agenda as crm_agenda
        from crm import handover, ownership, setup, transitions
        from crm.admin import home, pages
        from customers import activity, agenda
        from customers.admin import duplicates as duplicate_pages
        from customers.home import part
        from customers.services import changes, credit, merge_parts, pool, rating, rulebook
        from customers.services.lifecycle import load_stage_policies
        from customers.services.reviews import reviewed_directly

        home.parts.add("customers", part)
        activity.SOURCES.add("interactions", activity.interactions)
        activity.SOURCES.add("visits", activity.visits)
        crm_agenda.SOURCES.add("visits", agenda.VISITS)
        merge_parts.register()
        handover.HANDOVERS.add("customers", pool.HANDOVER)
        pages.SIDEBAR.add("customers.duplicates", duplicate_pages.in_sidebar)
        setup.shipped.add("customers.stages", load_stage_policies)
        setup.shipped.add("customers.sea", rulebook.load_pool_rules)
        ownership.changing.add("customers.sea", pool.note_owner)
        rulebook.EXEMPTIONS.add("有审批在途", rulebook.pending_approvals)
        transitions.after.add("customers.reviews", reviewed_directly)
        changes.EFFECTS.add("credit", credit.limit_effects)
        rating.RATING.add("tenure", rating.tenure)
        rating.RATING.add("satisfaction", rating.satisfaction)
