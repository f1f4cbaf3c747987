"""The daily clearing up of the attachment store."""

from crm.attachments import checks, store  # noqa: F401  (checks register themselves)
from crm.jobs import periodic


def preview() -> list[str]:
    return [
        *(f"删除没有传完的文件 {path.name}（{path.stat().st_size} 字节）" for path in store.half_done()),
        *(f"移出没有记录的文件 {path.name}（{path.stat().st_size} 字节）" for path in store.orphans()),
        *(f"删除移出满 {store.LOST_DAYS} 天的文件 {path.name}" for path in store.expired()),
    ]


@periodic("attachments.clear", title="清理附件目录", daily="03:40", preview=preview)
def clear(run):
    """Half uploads go; files without a record are put aside, and go ``LOST_DAYS`` later."""
    half_done, orphans, expired = store.half_done(), store.orphans(), store.expired()
    for path in [*half_done, *expired]:
        path.unlink(missing_ok=True)
    for path in orphans:
        store.lose(path)
    counts = f"未传完 {len(half_done)} 个，移出 {len(orphans)} 个，删除移出的 {len(expired)} 个"
    return {"message": f"清理了附件目录：{counts}"}
