from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    verbose_name = "客户"

    def ready(self):
        from crm.admin import home
        from customers.home import part

        home.parts.add("customers", part)
