"""Options had no prefix once: `MAX_STEPS` was what `SLIPWAY_MAX_STEPS` is. Which of those names are set and were
probably meant for Slipway, so that an operator learns that they have no effect any more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from slipway.environment_variables import variable_of
from slipway.settings import Settings

_COMMON_NAMES: Final = frozenset({"config", "host", "log_format", "log_level", "port", "redis_url"})
"""Names that so many programs use that nothing follows from them. Two of them still count, and two are harmless."""


def renamed_options_in(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values under former names, by option: those that the option would take, and that are not set under its
    present name."""
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
    """What to do about one of them."""
    former, present = option.upper(), variable_of(option)
    return f"{former} does not configure Slipway any more: set {present} instead, or unset {former} if it is not meant"
