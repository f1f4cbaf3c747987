import tomllib

from django.conf import settings


def test_the_import_contracts_speak_of_every_app_of_ours():
    """An app left out of import-linter's packages may import whatever it likes."""
    apps = {name.partition(".")[0] for name in settings.INSTALLED_APPS}
    ours = {name for name in apps if (settings.BASE_DIR / name).is_dir()}
    config = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]
    inside = next(contract for contract in config["contracts"] if "containers" in contract)
    assert "crm" in ours
    assert set(config["root_packages"]) == set(inside["containers"]) == ours
