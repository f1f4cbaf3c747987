"""Background work of the kernel: the three steps of an import, large exports, what is cleared at night and
of what people are reminded in the morning."""

from crm import agenda, handover, retention  # noqa: F401
from crm.attachments import background  # noqa: F401
from crm.excel.apply import run_apply, run_undo
from crm.excel.check import run_check
from crm.excel.export_job import run_export
from crm.jobs import handler
from crm.legacy import kernel, moves  # noqa: F401

handler("excel.check", title="检查导入文件")(run_check)
handler("excel.apply", title="导入")(run_apply)
handler("excel.undo", title="撤销导入")(run_undo)
handler("excel.export", title="导出")(run_export)
handler("legacy.try", title="试运行迁入")(moves.run_try)
handler("legacy.load", title="迁入旧系统")(moves.run_load)
