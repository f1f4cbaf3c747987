"""Excel pages: upload, column mapping, preview, result, undo; template and export of a list."""

from collections import Counter
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
CELLS_SHOWN = 12
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
            "lines": resource.lines and resource.lines._meta.sheet,
        },
    )


def _receive(request, resource, file) -> ImportBatch:
    """Keep the upload and read its top; a file that cannot be read leaves nothing behind."""
    batch = ImportBatch(
        resource=resource.label, user=request.user, file_name=Path(file.name).name[:255], file=files.keep_upload(file)
    )
    try:
        lines = mapping.find_lines(batch, resource, request.user)
        found = mapping.peek(batch, resource, request.user, beside=lines.sheet if lines else "")
    except WorkbookError:
        files.discard(batch)
        raise
    mapping.take(batch, found, request.user)
    with transaction.atomic():
        batch.save()
        if lines:
            mapping.take_lines(batch, lines, request.user)
    return batch


def download_template(model_admin, request):
    _require(model_admin.has_import_permission(request))
    resource = model_admin.resource_class()
    context = Context(request.user)
    name = str(resource.model._meta.verbose_name)
    columns = _template_columns(resource, context)
    beside = []
    if resource.lines:
        lines = resource.lines()
        beside = [(lines._meta.sheet, _template_columns(lines, context))]
    keys = "或".join(resource.fields[key].column_name for key, _ in resource._meta.keys)
    notes = [
        "带 * 的列必须填写，其余可以留空；留空不会清除已有内容。",
        f"按{keys}识别已有记录，识别到的会更新。",
        "可以增删列、调整列的顺序，也可以直接导入您自己的表格，导入时再匹配列。",
        *getattr(resource._meta, "notes", ()),
        *[f"“{sheet}”表填写明细，与表头一起导入，合计由系统计算；没有明细的可以空着。" for sheet, _ in beside],
    ]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "template.xlsx"
        template.write_template(target, columns, title=f"{name}导入模板", notes=notes, beside=beside)
        return FileResponse(target.open("rb"), as_attachment=True, filename=f"{name}导入模板.xlsx")


def _template_columns(resource, context):
    return [field.column(context) for field in resource.visible(context.user, importing=True).values()]


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
        options = {"kind": request.POST.get("format"), "names": names, "with_lines": "lines" in request.POST}
        if names and options["kind"] in export.FORMATS:
            if export.in_background(total):
                return _export_later(request, resource, query, total, options)
            return _export_now(request, resource, rows, options)
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
            "lines": lines.resource._meta.sheet if (lines := export.lines_of(resource, request.user)) else "",
            "list_url": f"{model_admin._url('changelist')}?{query}",
        },
    )


def _export_now(request, resource, rows, options):
    name = export_job.file_name(resource, options["kind"])
    with TemporaryDirectory() as folder:
        target = Path(folder) / name
        count = export.write(target, resource, request.user, rows, **options)
        export.record(request.user, resource, count, name)
        _note(request, resource, count)
        return FileResponse(target.open("rb"), as_attachment=True, filename=name)


def _export_later(request, resource, query, total, options):
    job = jobs.enqueue(
        "excel.export",
        by=request.user,
        title=f"导出{resource.model._meta.verbose_name}（{total} 行）",
        params={"resource": resource.label, "query": query, **options},
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
    list_select_related = ["lines"]
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
        sheets = [
            "，".join(f"{label} {part.counts[name]}" for name, label in _KIND_WORDS.items() if part.counts.get(name))
            for part in obj.parts
        ]
        return "；明细：".join(filter(None, sheets))

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
        if request.method == "POST" and not {"reread", "reread_lines"} & request.POST.keys():
            problem = self._take_mapping(request, batch, resource)
            if not problem:
                self._start(request, batch, "excel.check", State.CHECKING, "检查")
                return HttpResponseRedirect(self._url("change", batch.pk))
            messages.error(request, problem)
        if "reread_lines" in request.POST:
            self._reread_lines(request, batch, resource)
        sheet, row = batch.sheet, batch.header_row
        if "reread" in request.POST:
            chosen = request.POST.get("sheet", "")
            row = int(request.POST["header_row"]) if request.POST.get("header_row", "").isdigit() else 0
            sheet, row = chosen, row if chosen == batch.sheet else 0
        try:
            beside = batch.parts[1].sheet if len(batch.parts) > 1 else ""
            found = mapping.peek(batch, resource, request.user, sheet=sheet, header_row=row, beside=beside)
        except WorkbookError as error:
            messages.error(request, str(error))
            back = "map" if "reread" in request.POST else None
            return HttpResponseRedirect(self._url(back, batch.pk) if back else _list_page(resource, "import"))
        if (found.sheet, found.header_row) != (batch.sheet, batch.header_row):
            mapping.take(batch, found, request.user)
            batch.save()
        return self._mapping_page(request, batch, resource, found)

    def _reread_lines(self, request, batch, resource):
        """Take the lines from the sheet and the row that were chosen, or leave them out."""
        sheet, row = request.POST.get("sheet", ""), request.POST.get("header_row", "")
        former = batch.parts[1] if len(batch.parts) > 1 else None
        if not sheet:
            if former:
                former.delete()
                batch.refresh_from_db()
            return
        row = int(row) if row.isdigit() and former and sheet == former.sheet else 0
        try:
            found = mapping.peek(batch, resource.lines(), request.user, sheet=sheet, header_row=row)
        except WorkbookError as error:
            messages.error(request, str(error))
        else:
            mapping.take_lines(batch, found, request.user)

    def _mapping_page(self, request, batch, resource, found):
        fields = resource.visible(request.user, importing=True)
        context = Context(request.user)
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
                "heads": _columns(batch, resource, found, request.user),
                "defaults": defaults,
                "existing": EXISTING.items(),
                "chosen_existing": batch.options.get("existing", "update"),
                "has_guard": bool(resource._meta.guard),
                "has_lines": resource.lines is not None,
                "lines": self._lines(request, batch, resource, found),
            },
        )

    def _lines(self, request, batch, resource, found):
        """What the page shows of the sheet with the lines: which it may be, and how its columns match."""
        if resource.lines is None or len(found.sheets) < 2:
            return None
        shown = {"sheets": [name for name in found.sheets if name != found.sheet], "name": resource.lines._meta.sheet}
        if len(batch.parts) == 1:
            return shown
        part, lines = batch.lines, resource.lines()
        peeked = mapping.peek(part, lines, request.user, sheet=part.sheet, header_row=part.header_row)
        return shown | {"found": peeked, "columns": _columns(part, lines, peeked, request.user)}

    def _take_mapping(self, request, batch, resource) -> str:
        fields = resource.visible(request.user, importing=True)
        defaults = {
            key.removeprefix("default-"): word.strip()
            for key, word in request.POST.items()
            if key.startswith("default-") and word.strip() and key.removeprefix("default-") in fields
        }
        existing = request.POST.get("existing")
        existing = existing if existing in EXISTING else "update"
        batch.options |= {"defaults": defaults, "existing": existing, "rename": "rename" in request.POST}
        problem = _take_columns(request, batch, resource, "column-", defaults)
        if len(batch.parts) > 1:
            batch.lines.options |= {"existing": existing}
            if more := _take_columns(request, batch.lines, resource.lines(), "line-"):
                problem = problem or f"工作表“{batch.lines.sheet}”：{more}"
        if problem:
            return problem
        for part in batch.parts:
            part.save()
            mapping.remember(resource_for(part.resource), request.user, part.titles, part.mapping, part.options)
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
        shown = batch.parts[-1] if request.GET.get("sheet") == "lines" else batch
        if request.method == "POST":
            return self._map_words(request, batch, shown)
        kinds = {kind.name.lower(): kind for kind in Kind}
        chosen = request.GET.get("kind", "")
        rows = ImportRow.objects.filter(batch=shown)
        if chosen in kinds:
            rows = rows.filter(kind=kinds[chosen])
        elif chosen == "refused":
            rows = rows.filter(outcome=ImportRow.Outcome.REFUSED)
        counts = Counter()
        for part in batch.parts:
            counts.update({name: n for name, n in part.counts.items() if isinstance(n, int)})
        page = Paginator(rows.order_by("number"), 50).get_page(request.GET.get("p"))
        return self.page(
            request,
            "crm/excel/preview.html",
            {
                "title": f"导入预览：{batch.file_name}"
                if batch.state == State.CHECKED
                else f"导入结果：{batch.file_name}",
                "batch": batch,
                "parts": [
                    ("lines" if part.heads_id else "", part.sheet, sum(part.counts.get(n, 0) for n in _KIND_WORDS))
                    for part in batch.parts
                ],
                "sheet": "lines" if shown.heads_id else "",
                "shown": shown,
                "tabs": [(name, label, shown.counts.get(name, 0)) for name, label in _KIND_WORDS.items()],
                "chosen": chosen,
                "page": page,
                "rows": _described(resource_for(shown.resource), request.user, page.object_list),
                "unknown": _unknown(resource_for(shown.resource), request.user, shown, batch.state),
                "counts": counts,
                "to_write": counts["new"] + counts["changed"],
                "faulty": counts["conflict"] + counts["error"] + counts["outcome_refused"],
                "may_confirm": batch.state == State.CHECKED,
                "may_undo": batch.state in (State.APPLIED, State.FAILED),
                "list_url": _list_page(resource, "changelist"),
                "import_url": _list_page(resource, "import"),
            },
        )

    def _map_words(self, request, batch, part):
        """Take what the person said unknown words of a sheet mean, and check again."""
        if batch.state == State.CHECKED:
            words = part.options.setdefault("values", {})
            for key, meaning in request.POST.items():
                if key.startswith("word-") and meaning:
                    name, _, word = key.removeprefix("word-").partition(":")
                    words.setdefault(name, {})[text.fold(word)] = "" if meaning == "-" else meaning
            part.save(update_fields=["options"])
            resource = resource_for(part.resource)
            mapping.remember(resource, request.user, part.titles, part.mapping, part.options)
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
            ImportRow.objects.filter(batch__in=batch.parts).delete()
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


def _columns(batch, resource, found, user) -> dict:
    """The columns of a sheet and what they are imported as."""
    rows = [
        {"index": index, "title": title, "samples": samples, "target": batch.mapping.get(str(index), "")}
        for index, (title, samples) in enumerate(zip(found.titles, found.samples, strict=True))
        if title or samples
    ]
    targets = resource.visible(user, importing=True).values()
    return {
        "prefix": "line-" if batch.heads_id else "column-",
        "rows": rows,
        "targets": targets,
        "matched": len(batch.mapping),
    }


def _take_columns(request, batch, resource, prefix, defaults=()) -> str:
    """Take what the columns of ``batch`` were matched to; gives what is wrong with that."""
    fields = resource.visible(request.user, importing=True)
    chosen = {}
    for key, name in request.POST.items():
        if key.startswith(prefix) and name in fields:
            if name in chosen.values():
                return f"“{fields[name].column_name}”被匹配了两次，每个字段只能对应一列。"
            chosen[key.removeprefix(prefix)] = name
    missing = [
        f.column_name for n, f in fields.items() if f.required and n not in chosen.values() and n not in defaults
    ]
    if missing:
        return f"必填的“{'”“'.join(missing)}”还没有对应的列，请选择一列或填写默认值。"
    batch.mapping = chosen
    return ""


def _expected(batch, kind) -> int:
    """How much there is to do, for the progress bar: rows to read, rows to write, or log entries to undo."""
    every = [part.counts for part in batch.parts]
    if kind == "excel.check":
        return sum(counts.get("rows") or sum(counts.get(name, 0) for name in _KIND_WORDS) for counts in every)
    if kind == "excel.apply":
        return sum(counts.get("new", 0) + counts.get("changed", 0) for counts in every)
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
        described.append({"row": row, "cells": cells[:CELLS_SHOWN], "changes": changes, "problems": problems})
    return described


def _cell(row, index) -> str:
    """The cell to blame as a spreadsheet calls it: E245."""
    return f"{column_letter(index)}{row.number}" if index is not None else ""


def _place(model, companion, name):
    return (companion.model, name[1:]) if name.startswith("+") else (model, name)


def _unknown(resource, user, batch, state):
    """Words nobody knows, with what they could mean: only before the import."""
    if state != State.CHECKED:
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
