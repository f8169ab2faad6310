"""The environment variables that settings are read from, and which of them are not shown."""

from typing import Annotated, get_args

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

PREFIX = "CAPTIONER_"


class MayHoldPassword:
    """Marks a setting whose value is not shown, though it is no key."""


Address = Annotated[str, MayHoldPassword]
"""A URL, in which a password may stand."""


def variables(name: str, field: FieldInfo) -> list[str]:
    """The variables that set it, in upper case; the first that is there counts."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice).upper() for choice in alias.choices]
    return [f"{PREFIX}{name.upper()}"]


def is_secret(field: FieldInfo) -> bool:
    """Whether its value is kept out of what is printed."""
    return MayHoldPassword in field.metadata or _has_secret(field.annotation)


def all_variables(settings: type[BaseSettings]) -> set[str]:
    """Every variable that sets one of them."""
    fields = settings.model_fields.items()
    return {variable for name, field in fields for variable in variables(name, field)}


def _has_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_has_secret, get_args(annotation)))
