"""Which database a model lives in: apps of ``settings.DATABASE_APPS`` in one of their own, all others in default."""

from django.conf import settings


class AppRouter:
    def database_of(self, app_label) -> str:
        return next((alias for alias, label in settings.DATABASE_APPS.items() if label == app_label), "default")

    def db_for_read(self, model, **hints):
        return self.database_of(model._meta.app_label)

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return self.database_of(one._meta.app_label) == self.database_of(other._meta.app_label)

    def allow_migrate(self, db, app_label, **hints):
        return db == self.database_of(app_label)
