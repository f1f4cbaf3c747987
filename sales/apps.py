from django.apps import AppConfig


class SalesConfig(AppConfig):
    name = "sales"
    verbose_name = "销售"

    def ready(self):
        from crm.admin import home
        from sales.home import part

        home.parts.add("sales", part)
