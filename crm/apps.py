from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class KeyuanAdminConfig(AdminConfig):
    default_site = "crm.site.KeyuanSite"


class CrmConfig(AppConfig):
    name = "crm"
    verbose_name = "系统管理"

    def ready(self):
        from crm import checks, files  # noqa: F401
        from crm.admin import agenda, home
        from crm.jobs.schedule import sync_schedules
        from crm.setup import after_migrate

        home.parts.add("agenda", agenda.part)
        autodiscover_modules("permissions", "approvals", "background", "search", "legacy")
        post_migrate.connect(after_migrate, dispatch_uid="crm.setup")
        post_migrate.connect(sync_schedules, sender=self, dispatch_uid="crm.jobs")
