"""Excel pages: upload, column mapping, preview, result, undo; template and export of a list."""

from pathlib import Path
from tempfile import TemporaryDirectory

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from crm import jobs, text, trails
from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.jobs import figures
from crm.audit_display import Words
from crm.excel import apply, errors, export, export_job, files, mapping, template
from crm.excel.reader import WorkbookError, column_letter
from crm.excel.resource import registered, resource_for
from crm.excel.widgets import Context
from crm.models import ImportBatch, ImportRow

State, Kind = ImportBatch.State, ImportRow.Kind
EXISTING = {"update": "更新（预览时逐项列出）", "skip": "跳过", "refuse": "视为错误"}


# --- Pages of a model's list -----------------------------------------------------------------------------------------


def urls(model_admin, name):
    view = model_admin.admin_site.admin_view

    def bind(handler):
        return view(lambda request: handler(model_admin, request))

    return [
        path("import/", bind(upload), name=f"{name}_import"),
        path("import/template/", bind(download_template), name=f"{name}_import_template"),
        path("export/", bind(export_list), name=f"{name}_export"),
    ]


def _require(allowed):
    if not allowed:
        raise PermissionDenied


def upload(model_admin, request):
    _require(model_admin.has_import_permission(request))
    resource = model_admin.resource_class()
    problem = ""
    if request.method == "POST":
        file = request.FILES.get("file")
        if file is None:
            problem = "请选择要导入的文件。"
        else:
            try:
                batch = _receive(request, resource, file)
                return HttpResponseRedirect(reverse("admin:crm_importbatch_change", args=[batch.pk]))
            except WorkbookError as error:
                problem = str(error)
    recent = ImportBatch.objects.filter(user=request.user, resource=resource.label)[:5]
    return model_admin.page(
        request,
        "crm/excel/upload.html",
        {
            "title": f"导入{resource.model._meta.verbose_name}",
            "problem": problem,
            "recent": recent,
            "template_url": model_admin._url("import_template"),
            "list_url": model_admin._url("changelist"),
        },
    )


def _receive(request, resource, file) -> ImportBatch:
    """Keep the upload and read its top; a file that cannot be read leaves nothing behind."""
    batch = ImportBatch(
        resource=resource.label, user=request.user, file_name=Path(file.name).name[:255], file=files.keep_upload(file)
    )
    try:
        found = mapping.peek(batch, resource, request.user)
    except WorkbookError:
        files.discard(batch)
        raise
    batch.sheet, batch.header_row, batch.titles = found.sheet, found.header_row, found.titles
    batch.counts = {"rows": found.total}
    batch.mapping, batch.options = mapping.suggest(resource, request.user, found.titles)
    batch.save()
    return batch


def download_template(model_admin, request):
    _require(model_admin.has_import_permission(request))
    resource = model_admin.resource_class()
    context = Context(request.user)
    name = str(resource.model._meta.verbose_name)
    columns = [field.column(context) for field in resource.visible(request.user, importing=True).values()]
    keys = "或".join(resource.fields[key].column_name for key, _ in resource._meta.keys)
    notes = [
        "带 * 的列必须填写，其余可以留空；留空不会清除已有内容。",
        f"按{keys}识别已有记录，识别到的会更新。",
        "可以增删列、调整列的顺序，也可以直接导入您自己的表格，导入时再匹配列。",
        *getattr(resource._meta, "notes", ()),
    ]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "template.xlsx"
        template.write_template(target, columns, title=f"{name}导入模板", notes=notes)
        return FileResponse(target.open("rb"), as_attachment=True, filename=f"{name}导入模板.xlsx")


def export_list(model_admin, request):
    _require(model_admin.has_export_permission(request))
    resource = model_admin.resource_class()
    query = request.GET.urlencode()
    rows = resource.policy.limit(
        model_admin.get_changelist_instance(request).get_queryset(request), request.user, "export"
    )
    total = rows.count()
    fields = resource.visible(request.user)
    if request.method == "POST":
        names = [name for name in request.POST.getlist("columns") if name in fields]
        kind = request.POST.get("format")
        if names and kind in export.FORMATS:
            if export.in_background(total):
                return _export_later(request, resource, query, names, kind, total)
            return _export_now(request, resource, rows, names, kind)
        messages.error(request, "请至少选择一列。")
    return model_admin.page(
        request,
        "crm/excel/export.html",
        {
            "title": f"导出{resource.model._meta.verbose_name}",
            "total": total,
            "fields": fields.values(),
            "formats": export.FORMATS.items(),
            "background": export.in_background(total),
            "list_url": f"{model_admin._url('changelist')}?{query}",
        },
    )


def _export_now(request, resource, rows, names, kind):
    name = export_job.file_name(resource, kind)
    with TemporaryDirectory() as folder:
        target = Path(folder) / name
        count = export.write(target, resource, request.user, rows, kind=kind, names=names)
        export.record(request.user, resource, count, name)
        _note(request, resource, count)
        return FileResponse(target.open("rb"), as_attachment=True, filename=name)


def _export_later(request, resource, query, names, kind, total):
    job = jobs.enqueue(
        "excel.export",
        by=request.user,
        title=f"导出{resource.model._meta.verbose_name}（{total} 行）",
        params={"resource": resource.label, "query": query, "names": names, "format": kind},
        total=total,
    )
    _note(request, resource, total)
    return HttpResponseRedirect(reverse("admin:crm_job_change", args=[job.pk]))


def _note(request, resource, rows):
    words = f"导出{resource.model._meta.verbose_name} {rows} 行"
    trails.note(request, trails.Kind.EXPORT, words, model=resource.model, rows=rows)


# --- Pages of one import ---------------------------------------------------------------------------------------------


@admin.register(ImportBatch)
class ImportBatchAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "upload_file", 10, "数据与任务"
    list_display = ["file_name", "kind", "state_name", "summary", "created_at"]
    change_form_outer_before_template = None

    @display(description="导入对象")
    def kind(self, obj):
        return resource_for(obj.resource).model._meta.verbose_name if obj.resource in registered() else obj.resource

    @display(
        description="状态",
        label={"待确认": "warning", "已导入": "success", "失败": "danger", "导入中": "info", "检查中": "info"},
    )
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="结果")
    def summary(self, obj):
        counts = obj.counts
        parts = [f"{label} {counts[name]}" for name, label in _KIND_WORDS.items() if counts.get(name)]
        return "，".join(parts)

    def get_urls(self):
        view = self.admin_site.admin_view
        steps = {"map": self.map_view, "confirm": self.confirm, "undo": self.undo, "cancel": self.cancel}
        return [
            *[
                path(f"<path:object_id>/{step}/", view(page), name=f"crm_importbatch_{step}")
                for step, page in steps.items()
            ],
            path("<path:object_id>/errors/", view(self.errors), name="crm_importbatch_errors"),
            *super().get_urls(),
        ]

    def _batch(self, request, object_id):
        batch = self.visible_object(request, object_id)
        resource = resource_for(batch.resource)
        _require(resource.policy.allows(request.user, "import"))
        return batch, resource

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """The page that fits the state: mapping, progress, preview or result."""
        batch, resource = self._batch(request, object_id)
        self._notice_failure(batch)
        if batch.state == State.UPLOADED:
            return HttpResponseRedirect(self._url("map", batch.pk))
        if batch.state in (State.CHECKING, State.APPLYING, State.UNDOING):
            context = {"title": batch.file_name, "batch": batch, "job": batch.job, "figures": figures(batch.job)}
            return self.page(request, "crm/excel/progress.html", context)
        return self.preview(request, batch, resource)

    def _notice_failure(self, batch):
        """A job that failed leaves its batch where the person can go on: mapping again, or the partial result."""
        if batch.state in (State.CHECKING, State.APPLYING, State.UNDOING) and batch.job and batch.job.is_finished:
            batch.refresh_from_db()
            if (
                batch.state in (State.CHECKING, State.APPLYING, State.UNDOING)
                and batch.job.state != batch.job.State.DONE
            ):
                batch.message = batch.job.message or "处理没有完成。"
                batch.state = State.UPLOADED if batch.state == State.CHECKING else State.FAILED
                batch.save(update_fields=["state", "message"])

    # Mapping

    def map_view(self, request, object_id):
        batch, resource = self._batch(request, object_id)
        if batch.state not in (State.UPLOADED, State.CHECKED):
            return HttpResponseRedirect(self._url("change", batch.pk))
        if request.method == "POST" and "reread" not in request.POST:
            problem = self._take_mapping(request, batch, resource)
            if not problem:
                self._start(request, batch, "excel.check", State.CHECKING, "检查")
                return HttpResponseRedirect(self._url("change", batch.pk))
            messages.error(request, problem)
        sheet, row = batch.sheet, batch.header_row
        if "reread" in request.POST:
            chosen = request.POST.get("sheet", "")
            row = int(request.POST["header_row"]) if request.POST.get("header_row", "").isdigit() else 0
            sheet, row = chosen, row if chosen == batch.sheet else 0
        try:
            found = mapping.peek(batch, resource, request.user, sheet=sheet, header_row=row)
        except WorkbookError as error:
            messages.error(request, str(error))
            back = "map" if "reread" in request.POST else None
            return HttpResponseRedirect(self._url(back, batch.pk) if back else _list_page(resource, "import"))
        if (found.sheet, found.header_row) != (batch.sheet, batch.header_row):
            batch.sheet, batch.header_row, batch.titles = found.sheet, found.header_row, found.titles
            batch.counts = {"rows": found.total}
            batch.mapping, _ = mapping.suggest(resource, request.user, found.titles)
            batch.save()
        return self._mapping_page(request, batch, resource, found)

    def _mapping_page(self, request, batch, resource, found):
        fields = resource.visible(request.user, importing=True)
        context = Context(request.user)
        columns = [
            {"index": index, "title": title, "samples": samples, "target": batch.mapping.get(str(index), "")}
            for index, (title, samples) in enumerate(zip(found.titles, found.samples, strict=True))
            if title or samples
        ]
        defaults = [
            {
                "name": name,
                "field": field,
                "words": field.widget.words(context)[:300],
                "value": batch.options.get("defaults", {}).get(name, ""),
            }
            for name, field in fields.items()
            if field.widget.kind in ("choice", "boolean", "multichoice") or field.required
        ]
        return self.page(
            request,
            "crm/excel/mapping.html",
            {
                "title": f"匹配列：{batch.file_name}",
                "batch": batch,
                "found": found,
                "columns": columns,
                "targets": fields.values(),
                "defaults": defaults,
                "existing": EXISTING.items(),
                "chosen_existing": batch.options.get("existing", "update"),
                "has_guard": bool(resource._meta.guard),
                "matched": len(batch.mapping),
            },
        )

    def _take_mapping(self, request, batch, resource) -> str:
        fields = resource.visible(request.user, importing=True)
        chosen = {}
        for key, name in request.POST.items():
            if key.startswith("column-") and name in fields:
                if name in chosen.values():
                    return f"“{fields[name].column_name}”被匹配了两次，每个字段只能对应一列。"
                chosen[key.removeprefix("column-")] = name
        defaults = {
            key.removeprefix("default-"): word.strip()
            for key, word in request.POST.items()
            if key.startswith("default-") and word.strip() and key.removeprefix("default-") in fields
        }
        missing = [
            f.column_name for n, f in fields.items() if f.required and n not in chosen.values() and n not in defaults
        ]
        if missing:
            return f"必填的“{'”“'.join(missing)}”还没有对应的列，请选择一列或填写默认值。"
        existing = request.POST.get("existing")
        batch.mapping = chosen
        batch.options |= {
            "defaults": defaults,
            "existing": existing if existing in EXISTING else "update",
            "rename": "rename" in request.POST,
        }
        batch.save()
        mapping.remember(resource, request.user, batch.titles, batch.mapping, batch.options)
        return ""

    def _start(self, request, batch, kind, state, verb):
        """Hand the next step to a worker; a second click finds the step already taken."""
        with transaction.atomic():
            locked = ImportBatch.objects.select_for_update().get(pk=batch.pk)
            if locked.state != batch.state:
                return
            locked.job = jobs.enqueue(
                kind,
                by=request.user,
                title=f"{verb} {batch.file_name}"[:200],
                params={"batch": batch.pk},
                total=_expected(batch, kind),
                link=self._url("change", batch.pk),
            )
            locked.state, locked.message = state, ""
            locked.save(update_fields=["job", "state", "message"])

    # Preview and result

    def preview(self, request, batch, resource):
        if request.method == "POST":
            return self._map_words(request, batch)
        kinds = {kind.name.lower(): kind for kind in Kind}
        chosen = request.GET.get("kind", "")
        rows = ImportRow.objects.filter(batch=batch)
        if chosen in kinds:
            rows = rows.filter(kind=kinds[chosen])
        elif chosen == "refused":
            rows = rows.filter(outcome=ImportRow.Outcome.REFUSED)
        page = Paginator(rows.order_by("number"), 50).get_page(request.GET.get("p"))
        return self.page(
            request,
            "crm/excel/preview.html",
            {
                "title": f"导入预览：{batch.file_name}"
                if batch.state == State.CHECKED
                else f"导入结果：{batch.file_name}",
                "batch": batch,
                "tabs": [(name, label, batch.counts.get(name, 0)) for name, label in _KIND_WORDS.items()],
                "chosen": chosen,
                "page": page,
                "rows": _described(resource, request.user, page.object_list),
                "unknown": _unknown(resource, request.user, batch),
                "to_write": batch.counts.get("new", 0) + batch.counts.get("changed", 0),
                "faulty": batch.counts.get("conflict", 0)
                + batch.counts.get("error", 0)
                + batch.counts.get("outcome_refused", 0),
                "may_confirm": batch.state == State.CHECKED,
                "may_undo": batch.state in (State.APPLIED, State.FAILED),
                "list_url": _list_page(resource, "changelist"),
                "import_url": _list_page(resource, "import"),
            },
        )

    def _map_words(self, request, batch):
        """Take what the person said unknown words mean, and check again."""
        if batch.state == State.CHECKED:
            words = batch.options.setdefault("values", {})
            for key, meaning in request.POST.items():
                if key.startswith("word-") and meaning:
                    name, _, word = key.removeprefix("word-").partition(":")
                    words.setdefault(name, {})[text.fold(word)] = "" if meaning == "-" else meaning
            batch.save(update_fields=["options"])
            resource = resource_for(batch.resource)
            mapping.remember(resource, request.user, batch.titles, batch.mapping, batch.options)
            self._start(request, batch, "excel.check", State.CHECKING, "检查")
        return HttpResponseRedirect(self._url("change", batch.pk))

    def confirm(self, request, object_id):
        batch, _ = self._batch(request, object_id)
        if request.method != "POST":
            raise Http404
        if batch.state == State.CHECKED:
            self._start(request, batch, "excel.apply", State.APPLYING, "导入")
        return HttpResponseRedirect(self._url("change", batch.pk))

    def undo(self, request, object_id):
        batch, _ = self._batch(request, object_id)
        if request.method != "POST":
            raise Http404
        if batch.state in (State.APPLIED, State.FAILED):
            self._start(request, batch, "excel.undo", State.UNDOING, "撤销导入")
        return HttpResponseRedirect(self._url("change", batch.pk))

    def cancel(self, request, object_id):
        """Give an upload up before anything was written."""
        batch, resource = self._batch(request, object_id)
        if request.method != "POST":
            raise Http404
        if batch.state in (State.UPLOADED, State.CHECKED):
            files.discard(batch)
            ImportRow.objects.filter(batch=batch).delete()
            batch.delete()
            messages.success(request, "已放弃这次导入，没有写入任何数据。")
        return HttpResponseRedirect(_list_page(resource, "import"))

    def errors(self, request, object_id):
        batch, _ = self._batch(request, object_id)
        if not files.path_of(batch).is_file():
            raise Http404("原文件已过期删除。")
        with TemporaryDirectory() as folder:
            target = Path(folder) / "errors.xlsx"
            errors.write(batch, target)
            name = f"{Path(batch.file_name).stem}_错误行_{timezone.localtime():%H%M}.xlsx"
            return FileResponse(target.open("rb"), as_attachment=True, filename=name)


def _expected(batch, kind) -> int:
    """How much there is to do, for the progress bar: rows to read, rows to write, or log entries to undo."""
    counts = batch.counts
    if kind == "excel.check":
        return counts.get("rows") or sum(counts.get(name, 0) for name in _KIND_WORDS)
    if kind == "excel.apply":
        return counts.get("new", 0) + counts.get("changed", 0)
    return apply.entries_of(batch).count()


def _list_page(resource, page):
    return reverse(f"admin:{resource.model._meta.label_lower.replace('.', '_')}_{page}")


_KIND_WORDS = {"new": "新增", "changed": "更新", "unchanged": "无变化", "conflict": "冲突", "error": "错误"}


def _described(resource, user, rows):
    """Staged rows in words: values of new ones, old → new of changed ones, problems of faulty ones."""
    words, model = Words(user), resource.model
    companion = resource.companion
    for row in rows:
        for name, value in row.values.items():
            words.want(*_place(model, companion, name), value)
        for name, (old, new) in row.changes.items():
            words.want(*_place(model, companion, name), old, new)
    described = []
    for row in rows:
        cells = [
            (resource.fields[name].column_name, words.text(*_place(model, companion, name), value))
            for name, value in row.values.items()
            if name in resource.fields
        ]
        changes = [
            (
                resource.fields[name].column_name,
                words.text(*_place(model, companion, name), old),
                words.text(*_place(model, companion, name), new),
            )
            for name, (old, new) in row.changes.items()
            if name in resource.fields
        ]
        problems = [{"cell": _cell(row, problem["index"]), "text": problem["text"]} for problem in row.problems]
        described.append({"row": row, "cells": cells[:8], "changes": changes, "problems": problems})
    return described


def _cell(row, index) -> str:
    """The cell to blame as a spreadsheet calls it: E245."""
    return f"{column_letter(index)}{row.number}" if index is not None else ""


def _place(model, companion, name):
    return (companion.model, name[1:]) if name.startswith("+") else (model, name)


def _unknown(resource, user, batch):
    """Words nobody knows, with what they could mean: only before the import."""
    if batch.state != State.CHECKED:
        return []
    context = Context(user)
    return [
        {
            "name": name,
            "field": resource.fields[name],
            "words": words[:50],
            "choices": resource.fields[name].widget.words(context),
        }
        for name, words in batch.counts.get("unknown", {}).items()
        if name in resource.fields and words
    ]
