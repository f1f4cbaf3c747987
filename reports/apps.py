from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    verbose_name = "报表"

    def ready(self):
        from crm.admin import home
        from crm.admin import pages as site_pages
        from crm.admin.row_sets import ROW_SETS
        from reports import pages
        from reports.home import part

        home.parts.add("reports", part)
        site_pages.URLS.add("reports", pages.urls)
        site_pages.SIDEBAR.add("reports", pages.in_sidebar)
        ROW_SETS.add("reports", pages.row_set)
