import re

from django.conf import settings


def test_the_example_names_every_setting_the_environment_may_give():
    read = set()
    for file in ("crm/settings.py", "crm/management/commands/serve.py"):
        source = (settings.BASE_DIR / file).read_text()
        read |= set(re.findall(r'(?:\benv(?:\.\w+)?|\bdatabase|environ\.get)\(\s*"([A-Z_]+)"', source))
    named = set(re.findall(r"^#?([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), re.MULTILINE))
    assert {"DATABASE_URL", "DEBUG", "PORT"} <= read
    assert read == named
