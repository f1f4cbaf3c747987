"""Model fields shared by all domains."""

from collections.abc import Callable

from django import forms
from django.core import checks
from django.core.exceptions import ValidationError
from django.db import models

from crm import text
from crm.secrets import Secret


class KeyField(models.CharField):
    """A stored normal form of other fields, kept up by every way of saving (``pre_save`` runs in bulk paths too).

    Compared byte by byte on MySQL, so that SQLite and every MySQL collation agree on what is equal. An empty normal
    form is stored as NULL, so a unique key leaves blank values alone.
    """

    def __init__(self, *args, source: str = "", normalize: Callable = text.fold, **kwargs):
        self.source, self.normalize = source, normalize
        kwargs = {"max_length": 200, "null": True, "blank": True, "editable": False, **kwargs}
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"source": self.source, "normalize": self.normalize}

    def db_type(self, connection):
        kind = super().db_type(connection)
        return f"{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if connection.vendor == "mysql" else kind

    def compute(self, instance) -> str | None:
        return self.normalize(getattr(instance, self.source))[: self.max_length] or None

    def pre_save(self, instance, add):
        if self.source:
            setattr(instance, self.attname, self.compute(instance))
        return getattr(instance, self.attname)


class PhoneField(models.CharField):
    """A telephone number as people write it; matched through a ``KeyField(normalize=text.phone_key)`` beside it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"max_length": 40, "blank": True, "default": "", **kwargs})

    def validate(self, value, instance):
        super().validate(value, instance)
        if value and not text.is_phone(value):
            raise ValidationError(f"“{value}”不是有效的电话号码，请检查位数和符号。")


class DictionaryField(models.ForeignKey):
    """One active item of a dictionary type, e.g. ``DictionaryField("客户等级", type="level")``."""

    def __init__(self, verbose_name=None, *, type="", **kwargs):
        self.type = type
        kwargs.setdefault("to", "crm.DictionaryItem")
        kwargs.setdefault("on_delete", models.PROTECT)
        kwargs.setdefault("related_name", "+")
        kwargs.setdefault("null", True)
        kwargs.setdefault("blank", True)
        kwargs["limit_choices_to"] = {"type": type}
        super().__init__(verbose_name=verbose_name, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("limit_choices_to", None)
        return name, path, args, kwargs | {"type": self.type}


class MultiChoiceField(models.CharField):
    """Several of a fixed set of choices in one column, stored as ``,a,b,`` in the order of the choices.

    The value is a list of codes; ``filter(field__contains=",a,")`` finds rows that hold ``a``.
    """

    def __init__(self, *args, options=(), **kwargs):
        self.options = list(options)
        super().__init__(*args, **{"max_length": 255, "blank": True, "default": list, **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"options": self.options}

    def from_db_value(self, value, expression, connection):
        return self.to_python(value)

    def to_python(self, value):
        if isinstance(value, str):
            value = [code for code in value.split(",") if code]
        chosen = set(value or [])
        known = [code for code, _ in self.options if code in chosen]
        return known + sorted(chosen - set(known))

    def get_prep_value(self, value):
        if isinstance(value, str) and value.startswith(","):
            return value
        codes = self.to_python(value)
        return f",{','.join(codes)}," if codes else ""

    def value_to_string(self, obj):
        return self.get_prep_value(self.value_from_object(obj))

    def validate(self, value, instance):
        unknown = set(value or []) - {code for code, _ in self.options}
        if unknown:
            raise ValidationError(f"“{'、'.join(sorted(unknown))}”不在可选范围内。")

    def run_validators(self, value):
        super().run_validators(self.get_prep_value(value))

    def formfield(self, **kwargs):
        kwargs.pop("max_length", None)
        return forms.MultipleChoiceField(
            choices=self.options,
            required=not self.blank,
            label=self.verbose_name,
            help_text=self.help_text,
            widget=kwargs.get("widget")
            if isinstance(kwargs.get("widget"), forms.CheckboxSelectMultiple)
            else forms.CheckboxSelectMultiple,
        )

    def labels(self, value) -> list[str]:
        names = dict(self.options)
        return [names.get(code, code) for code in value or []]


class EncryptedField(models.Field):
    """A ``crm.secrets.Secret``: sealed in the database, in memory, in fixtures and backups; in no form.

    Plain text is refused (``Secret.seal`` it). The field adds itself to ``audit_secrets``, so that the log says that it
    changed and never how; a model with versions must leave it out of them.
    """

    description = "加密保存的密钥"
    empty_strings_allowed = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"blank": True, "default": Secret, "editable": False, **kwargs})

    def contribute_to_class(self, cls, name, **kwargs):
        super().contribute_to_class(cls, name, **kwargs)
        cls.audit_secrets = tuple(dict.fromkeys([*getattr(cls, "audit_secrets", ()), name]))

    def get_internal_type(self):
        return "TextField"

    def check(self, **kwargs):
        if hasattr(self.model, "history_object"):
            message = f"{self.model._meta.label}.{self.name} 会把密钥写进版本记录，请用 excluded_fields 排除。"
            return [*super().check(**kwargs), checks.Error(message, obj=self, id="crm.E005")]
        return super().check(**kwargs)

    def from_db_value(self, value, expression, connection):
        return Secret(value or "")

    def to_python(self, value):
        if isinstance(value, Secret):
            return value
        if value and not str(value).startswith("gAAAA"):
            raise ValidationError("密钥必须先加密再保存。")
        return Secret(value or "")

    def get_prep_value(self, value):
        return self.to_python(value).token

    def value_to_string(self, obj):
        return self.get_prep_value(self.value_from_object(obj))

    def formfield(self, **kwargs):
        return None
