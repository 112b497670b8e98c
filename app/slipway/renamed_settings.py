"""Detects options under their former names, so that an operator learns that they have no effect any more.

Options had no prefix in early versions: `MAX_STEPS` is `SLIPWAY_MAX_STEPS` now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from slipway.environment_variables import variable_of
from slipway.settings import Settings

_COMMON_NAMES: Final = frozenset({"config", "host", "log_format", "log_level", "port", "redis_url"})
"""Former names that many other programs use too, so that they are not reported. `PORT` and `REDIS_URL` still count."""


def renamed_options_in(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values under former names, by option. Only values that the option would accept, of options that are not set under
    their present name."""
    own = os.environ if environment is None else environment
    found: dict[str, str] = {}
    for option, field in Settings.model_fields.items():
        value = own.get(option.upper(), "")
        if option in _COMMON_NAMES or not value or own.get(variable_of(option)):
            continue
        accepted: Any = Annotated[field.annotation, field]
        try:
            TypeAdapter(accepted).validate_python(value)
        except ValidationError:
            continue
        found[option] = value
    return found


def advice(option: str) -> str:
    """What the operator should do about the former name of an option."""
    former, present = option.upper(), variable_of(option)
    return f"{former} does not configure Slipway any more: set {present} instead, or unset {former} if it is not meant"
