"""Issuing, revealing and exchanging what customers' programs identify themselves by, and checking signatures."""

import hashlib
import hmac
from datetime import timedelta

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from crm import actor, audit, records
from crm.models import Operation
from crm.policies import policy_for
from crm.secrets import Secret, generate
from customers.models import ApiCredential, CancelKey, Customer
from customers.models.credentials import exactly, in_good_standing
from customers.services.reviews import require_usable

MIN_LENGTH = 8
MAX_OVERLAP_DAYS = 30
# customers who may have chosen the same name for a key
MAX_NAMESAKES = 20
# how exactly "last used" is known: less often than every request is written
USED_GRAIN = timedelta(minutes=1)


class WrongPassword(ValidationError):
    """The password that was entered again is not the person's."""

    def __init__(self):
        super().__init__("登录密码不正确，密钥没有显示。")


# --- API credentials --------------------------------------------------------------------------------------------------


@sensitive_variables("secret")
def issue_credential(credential, *, by, secret="") -> ApiCredential:
    """Save the new ``credential``. Without a ``secret`` (one taken over from an old system) it gets one of its own.

    Raises PermissionDenied, ValidationError.
    """
    with transaction.atomic():
        _hold_customer(credential, by)
        credential.app_id = exactly(credential.app_id) or f"ky{generate()[:18]}"
        credential.app_secret = _sealed(secret, "app_secret")
        credential.full_clean(exclude=["status"])
        return records.save(credential, by=by)


@sensitive_variables("password")
def reveal_secret(credential, *, by, password) -> str:
    """The app_secret in clear, for ``by`` who has entered the password again; every try is logged.

    Raises PermissionDenied, WrongPassword, crm.secrets.Unreadable.
    """
    if not policy_for(ApiCredential).may(by, "reveal", credential):
        raise PermissionDenied("没有查看接口密钥的权限。")
    right = by.check_password(password)
    with actor.acting(by):
        remark = "查看应用密钥" if right else "查看应用密钥：登录密码不正确，没有显示"
        audit.record(credential, Operation.REVEAL, remark=remark)
    if not right:
        raise WrongPassword
    return credential.app_secret.open()


# --- Cancel keys ------------------------------------------------------------------------------------------------------


@sensitive_variables("token")
def issue_cancel_key(key, *, by, token="") -> str:
    """Save the new ``key``; gives its token in clear, which nobody can look up again.

    Only customers that are approved and enabled get one. ``token`` is one taken over from an old system. Raises
    PermissionDenied, ValidationError.
    """
    token = token.strip() or generate()
    with transaction.atomic():
        require_usable(_hold_customer(key, by), "新建取消密钥")
        key.app_key = exactly(key.app_key) or new_app_key()
        key.app_token = _sealed(token, "app_token")
        key.full_clean(exclude=["status"])
        records.save(key, by=by)
    return token


def new_app_key() -> str:
    return f"ck{generate()[:18]}"


@sensitive_variables("token")
def rotate_cancel_key(key, *, by, overlap_days, version=None) -> str:
    """Give ``key`` a new token and leave the present one valid for ``overlap_days`` (0–30); gives the new one in clear.

    ``version`` is the one that was looked at: the same order given twice makes one change. Raises PermissionDenied,
    ValidationError.
    """
    if not 0 <= overlap_days <= MAX_OVERLAP_DAYS:
        raise ValidationError(f"旧密钥的保留天数应在 0 到 {MAX_OVERLAP_DAYS} 之间。")
    token, now = generate(), timezone.now()
    with transaction.atomic():
        customer = Customer._base_manager.select_for_update().get(pk=key.customer_id)
        stored = CancelKey._base_manager.select_for_update().get(pk=key.pk)
        if by is not None and not policy_for(CancelKey).may(by, "change", stored):
            raise PermissionDenied("没有更换取消密钥的权限。")
        if version is not None and stored.lock_version != version:
            raise ValidationError("密钥刚刚已被更换或修改，没有再次更换；请核对后重试。")
        require_usable(customer, "更换取消密钥")
        if not stored.is_enabled:
            raise ValidationError("密钥已停用，请先启用再更换。")
        stored.former_token = stored.app_token if overlap_days else Secret()
        stored.former_until = now + timedelta(days=overlap_days) if overlap_days else None
        stored.app_token, stored.rotated_at = Secret.seal(token), now
        kept = f"旧密钥保留 {overlap_days} 天" if overlap_days else "旧密钥立即失效"
        records.save(stored, by=by, reason=f"更换密钥，{kept}")
    return token


def _hold_customer(credential, by):
    """The customer of a new ``credential``, locked, if ``by`` may add one to it."""
    customer = Customer._base_manager.select_for_update().get(pk=credential.customer_id)
    if by is not None and not policy_for(type(credential)).may_add_to(by, customer):
        raise PermissionDenied(f"没有为该客户新建{credential._meta.verbose_name}的权限。")
    return customer


@sensitive_variables("secret")
def _sealed(secret, field) -> Secret:
    secret = secret.strip() or generate()
    if len(secret) < MIN_LENGTH:
        raise ValidationError({field: f"密钥至少要有 {MIN_LENGTH} 个字符。"})
    return Secret.seal(secret)


# --- Signatures -------------------------------------------------------------------------------------------------------


@sensitive_variables()
def active_secrets(customer, app_key) -> list[str]:
    """The tokens that sign for ``customer`` under ``app_key`` now: the present one, and the former one in its overlap.

    None for a key that is unknown, disabled or removed, or whose customer is not approved and enabled.
    """
    key = _live_key(customer, app_key)
    return _tokens(key) if key is not None else []


@sensitive_variables()
def verify_signature(customer, app_key, message: bytes, signature: str) -> bool:
    """Whether ``signature`` is the HMAC-SHA256 (hex) of ``message`` under a token that is valid now.

    Compared in constant time, with as many tokens whether the key exists or not. One that fits sets ``last_used_at``.
    """
    key = _live_key(customer, app_key)
    tokens = _tokens(key) if key is not None else []
    fits = False
    # always two comparisons: a missing token is replaced by one that nobody knows
    for token in [*tokens, generate(), generate()][:2]:
        expected = hmac.new(token.encode(), message, hashlib.sha256).hexdigest()
        fits |= hmac.compare_digest(expected.encode(), signature.strip().lower().encode())
    if fits:
        _note_use(key)
    return fits


@sensitive_variables()
def authenticate(app_key, message: bytes, signature: str) -> CancelKey | None:
    """The key whose token signed ``message``, with its customer; whether both are enabled the caller asks.

    A key's name is unique within its customer only: the signature tells namesakes apart, and one that fits two tells
    nothing. Compared in constant time, with as many tokens whether there is such a key or not.
    """
    keys = CancelKey.objects.valid().filter(app_key_key=exactly(app_key)).select_related("customer").order_by("pk")
    candidates = [(key, token) for key in keys[:MAX_NAMESAKES] for token in _tokens(key)]
    candidates += [(None, generate())] * max(0, 2 - len(candidates))
    given, found = signature.strip().lower().encode(), []
    for key, token in candidates:
        expected = hmac.new(token.encode(), message, hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), given) and key is not None and key not in found:
            found.append(key)
    if len(found) != 1:
        return None
    _note_use(found[0])
    return found[0]


def _live_key(customer, app_key) -> CancelKey | None:
    rows = CancelKey.objects.valid().filter(customer=customer, app_key_key=exactly(app_key))
    key = rows.select_related("customer").first()
    return key if key is not None and key.is_enabled and in_good_standing(key) else None


@sensitive_variables()
def _tokens(key) -> list[str]:
    found = [key.app_token]
    if key.former_until is not None and timezone.now() < key.former_until:
        found.append(key.former_token)
    return [secret.open() for secret in found if secret]


def _note_use(key) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > USED_GRAIN:
        key.last_used_at = now
        key.save(update_fields=["last_used_at"])
