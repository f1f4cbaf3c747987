"""Taking a file in: size, type, content and scanner first, then the record and the file together."""

import hashlib
import re
import unicodedata
from contextlib import contextmanager
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.template.defaultfilters import filesizeformat

from crm import records
from crm.attachments import pictures, scanner, store, types
from crm.models import DictionaryItem
from crm.policies import policy_for

PICTURE, OTHER = "picture", "other"
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]')


class Refused(ValidationError):
    """The file is not taken in; the message names it and says what to do."""


def allowed() -> list[str]:
    """Extensions that may be uploaded, as the settings say."""
    return [extension for extension in settings.ATTACHMENT_TYPES if extension in types.TYPES]


def clean_name(name) -> str:
    """``name`` without path, control and direction signs: what a list and a download may show."""
    name = unicodedata.normalize("NFC", str(name)).replace("\\", "/").rpartition("/")[2]
    name = _FORBIDDEN.sub("", name).strip(" .")
    stem, dot, extension = name.rpartition(".")
    return f"{stem[: 250 - len(extension)]}.{extension}" if dot else name[:250]


def extension_of(name) -> str:
    return PurePosixPath(name).suffix.lower().removeprefix(".")


def parent_field(model) -> str:
    """The foreign key of ``model`` to the record its files hang on: the first step to what its rights follow."""
    return policy_for(model).path.partition("__")[0]


def receive(model, parent, upload, *, by, kind=None, remark=""):
    """Attach ``upload`` (an UploadedFile) to ``parent`` as a new ``model``; gives the record.

    ``kind`` is a dictionary item; without one a picture is 图片 and everything else 其他. Raises PermissionDenied, and
    Refused for a file that is empty, too large, of a type that is not allowed, not what its name says, or infected.
    """
    _check_right(model, parent, by)
    with checked(upload) as (path, values), transaction.atomic():
        parent = type(parent)._base_manager.select_for_update().get(pk=parent.pk)
        _check_right(model, parent, by)
        kind = kind or kind_of(values["extension"])
        attachment = model(**{parent_field(model): parent}, **values, kind=kind, remark=remark)
        attachment.full_clean(exclude=["state"])
        records.save(attachment, by=by)
        # before the commit: a record without its file would be worse than a file without its record
        store.place(path)
    return attachment


@contextmanager
def checked(upload):
    """``(path, values)``: a checked copy of ``upload`` and what its record says of it. Whoever places the copy
    (``store.place``) keeps it. Raises Refused."""
    name = clean_name(upload.name)
    extension = check_outside(name, upload.size)
    path = store.incoming()
    try:
        digest, size = _write(upload, path, name)
        has_preview = _check_inside(path, name, extension)
        values = {"name": name, "extension": extension, "size": size, "digest": digest, "file": path.name}
        yield path, values | {"has_preview": has_preview}
    finally:
        store.discard(path)


def may_attach(user, model, parent) -> bool:
    """As the rights stand now; their root may lie further up than the record the file hangs on."""
    policy = policy_for(model)
    return policy.may_add_to(user, policy.root_of(model(**{parent_field(model): parent})))


def _check_right(model, parent, by):
    if by is not None and not may_attach(by, model, parent):
        raise PermissionDenied("没有为该记录上传附件的权限。")


def check_outside(name, size) -> str:
    """What name and size tell before anything is read; gives the extension. Raises Refused."""
    extension = extension_of(name)
    if extension not in allowed():
        what = f" {extension} " if extension else "没有扩展名的"
        raise Refused(f"“{name}”没有上传：不支持{what}文件。可以上传：{'、'.join(allowed())}。")
    if not size:
        raise Refused(f"“{name}”没有上传：文件是空的。")
    if size > settings.ATTACHMENT_MAX_BYTES:
        raise _too_large(name, size)
    return extension


def _too_large(name, size) -> Refused:
    limit = filesizeformat(settings.ATTACHMENT_MAX_BYTES)
    return Refused(f"“{name}”没有上传：文件有 {filesizeformat(size)}，超过上限 {limit}。请压缩或拆分后再上传。")


def _write(upload, path, name) -> tuple[str, int]:
    """Store the upload at ``path``; gives its SHA-256 and its true size."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        path.chmod(0o600)
        for chunk in upload.chunks():
            size += len(chunk)
            if size > settings.ATTACHMENT_MAX_BYTES:
                raise _too_large(name, size)
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest(), size


def _check_inside(path, name, extension) -> bool:
    """The content and the scanner; gives whether there are pictures to show."""
    try:
        types.verify(path, extension)
        found = scanner.scan(path, name)
        if found is not None:
            raise Refused(f"“{name}”没有上传：安全扫描发现“{found}”。请先杀毒，确认无误后再上传。")
        picture = types.TYPES[extension].picture
        return bool(picture) and pictures.draw(path, picture)
    except types.Mismatch as error:
        raise Refused(f"“{name}”没有上传：{error}。请确认没有选错文件、没有改过扩展名，并且能正常打开。") from error
    except scanner.ScannerFailed as error:
        raise Refused(f"“{name}”没有上传：安全扫描暂时不可用，请稍后再试，或联系管理员。") from error


def kind_of(extension):
    code = PICTURE if types.TYPES[extension].picture else OTHER
    return DictionaryItem.objects.filter(type="attachment_kind", code=code).first()
