"""Large exports in the background, and the list that an export page was opened from."""

from pathlib import Path
from tempfile import TemporaryDirectory

from django.apps import apps
from django.contrib import admin
from django.http import QueryDict
from django.test import RequestFactory
from django.utils import timezone

from crm import files
from crm.excel import export
from crm.excel.resource import resource_for


def listed(model, user, query: str):
    """The rows of the list of ``model`` under the list parameters ``query``, as ``user`` sees it now."""
    request = RequestFactory().get("/", QueryDict(query))
    request.user = user
    model_admin = admin.site._registry[model]
    return model_admin.get_changelist_instance(request).get_queryset(request)


def file_name(resource, kind) -> str:
    return f"{resource.model._meta.verbose_name}_{timezone.localtime():%Y%m%d_%H%M}.{kind}"


def run_export(run) -> dict:
    """Job handler: write the file with the rights the person has now, keep it for download, note it in the log."""
    params = run.job.params
    resource = resource_for(params["resource"])
    queryset = listed(apps.get_model(params["resource"]), run.user, params["query"])
    name = file_name(resource, params["kind"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        rows = export.write(
            path,
            resource,
            run.user,
            queryset,
            kind=params["kind"],
            names=params["names"],
            with_lines=params["with_lines"],
            on_progress=lambda done: run.beat(done, run.job.total, f"已写入 {done} 行"),
        )
        with run.chunk(done=rows, checkpoint={}, message=f"共 {rows} 行"):
            stored = files.keep(path, user=run.user, name=name, rows=rows)
            export.record(run.user, resource, rows, name)
    return {"file": stored.pk, "rows": rows}
