from crm.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.crm.jobs.workshop"]  # noqa: F405
