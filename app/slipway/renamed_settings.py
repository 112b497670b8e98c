"""Detects settings under their former names, to warn the operator that these names no longer have an effect.

In early versions, settings had no prefix: `MAX_STEPS` is now `SLIPWAY_MAX_STEPS`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from slipway.environment_variables import variable_of
from slipway.settings import Settings

_COMMON_NAMES: Final = frozenset({"config", "host", "log_format", "log_level", "port", "redis_url"})
"""Former names that are not reported, because many other programs use them. `PORT` and `REDIS_URL` still have an
effect."""


def renamed_settings_in(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values that are set under former names, by setting. Includes only settings that are not set under their
    current name, and only values that the setting would accept."""
    own = os.environ if environment is None else environment
    found: dict[str, str] = {}
    for setting, field in Settings.model_fields.items():
        value = own.get(setting.upper(), "")
        if setting in _COMMON_NAMES or not value or own.get(variable_of(setting)):
            continue
        accepted: Any = Annotated[field.annotation, field]
        try:
            TypeAdapter(accepted).validate_python(value)
        except ValidationError:
            continue
        found[setting] = value
    return found


def advice(setting: str) -> str:
    """What the operator should do about the former name of a setting."""
    former, present = setting.upper(), variable_of(setting)
    return f"{former} does not configure Slipway any more: set {present} instead, or unset {former} if it is not meant"
