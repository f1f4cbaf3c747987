"""Secrets that must be used again and so cannot be hashed: encrypted with a key that is not in the database.

The keys come from ``ENCRYPTION_KEYS``, else from the file ``VAR_DIR/encryption_keys``, made when the first secret is
sealed; the first key seals, all of them open. ``manage.py rotate_secrets`` changes them. See docs/secrets.md.
"""

import os
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import get_random_string
from django.views.decorators.debug import sensitive_variables

SHOWN = "******"
TOKEN_LENGTH = 40


class Unreadable(Exception):
    """The secret was sealed with a key that is not here."""

    def __init__(self):
        super().__init__("密钥无法解密：加密用的密钥文件缺失或不对，请联系管理员恢复 encryption_keys。")


class Secret:
    """A sealed text. Shows itself nowhere: ``open()`` alone gives what it hides."""

    __slots__ = ("token",)

    def __init__(self, token=""):
        self.token = token

    @classmethod
    @sensitive_variables()
    def seal(cls, text) -> "Secret":
        return cls(_box().encrypt(text.encode()).decode() if text else "")

    @sensitive_variables()
    def open(self) -> str:
        """Raises Unreadable."""
        return _open(_box(), self.token) if self.token else ""

    def resealed(self) -> "Secret":
        """The same under the newest key. Raises Unreadable."""
        try:
            return Secret(_box().rotate(self.token.encode()).decode()) if self.token else self
        except InvalidToken as error:
            raise Unreadable from error

    @property
    def is_current(self) -> bool:
        """Whether the newest key alone opens it."""
        try:
            _open(MultiFernet([Fernet(keys()[0])]), self.token)
        except Unreadable:
            return False
        return True

    def __bool__(self):
        return bool(self.token)

    def __eq__(self, other):
        return isinstance(other, Secret) and self.token == other.token

    def __hash__(self):
        return hash(self.token)

    def __str__(self):
        return SHOWN if self.token else ""

    def __repr__(self):
        return f"<Secret {self}>"


def generate() -> str:
    """A new secret: 40 letters and digits, 238 bits."""
    return get_random_string(TOKEN_LENGTH)


# --- Keys -------------------------------------------------------------------------------------------------------------


def keys() -> list[str]:
    """The newest first. Raises Unreadable where there are none."""
    found = settings.ENCRYPTION_KEYS or _file_keys()
    if not found:
        raise Unreadable
    return found


def write_keys(found) -> None:
    """Replace the key file; other processes notice by its time and size."""
    path = settings.ENCRYPTION_KEYS_FILE
    new = _written(path, found)
    new.replace(path)


def _written(path, found):
    """A private file beside ``path`` with these keys, durable before anybody relies on them."""
    new = path.with_name(f"{path.name}.{os.getpid()}.{get_random_string(8)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(found) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return new


def _file_keys() -> list[str]:
    path = settings.ENCRYPTION_KEYS_FILE
    try:
        stat = path.stat()
    except FileNotFoundError:
        return []
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path, _time, _size) -> list[str]:
    return path.read_text().split()


def _make_first_key() -> None:
    """Two processes may want it at once: the second link fails, and the first one's key counts."""
    path = settings.ENCRYPTION_KEYS_FILE
    new = _written(path, [Fernet.generate_key().decode()])
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()


def _box() -> MultiFernet:
    if not settings.ENCRYPTION_KEYS and not _file_keys():
        _make_first_key()
    return MultiFernet([Fernet(key) for key in keys()])


@sensitive_variables()
def _open(box, token) -> str:
    try:
        return box.decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error
