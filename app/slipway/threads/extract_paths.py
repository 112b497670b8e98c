"""`extract` of a thread search: parts of each thread by path, such as `values.messages[-1].content`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from slipway.errors import InvalidRequest

ROOTS: Final = ("values", "metadata", "config", "interrupts")
MAX_PATHS: Final = 10

_ALIAS: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")

ExtractPath = tuple[str | int, ...]


def paths_of(texts: Mapping[str, str], reserved: frozenset[str]) -> dict[str, ExtractPath]:
    """The parsed path of each alias. `reserved` are names that an alias must not have. Raises `InvalidRequest`."""
    if len(texts) > MAX_PATHS:
        raise InvalidRequest("extract", f"has {len(texts)} paths; at most {MAX_PATHS} are allowed")
    return {_alias(alias, reserved): _path(alias, text) for alias, text in texts.items()}


def extract(thread: Mapping[str, Any], paths: Mapping[str, ExtractPath]) -> dict[str, Any]:
    """The value at each path; None where the thread has none."""
    return {alias: _value_at(thread, path) for alias, path in paths.items()}


def _alias(alias: str, reserved: frozenset[str]) -> str:
    if not _ALIAS.fullmatch(alias) or alias in reserved:
        raise InvalidRequest(f"extract.{alias}", "an alias is an identifier, and not the name of a thread's field")
    return alias


def _path(alias: str, text: str) -> ExtractPath:
    steps: list[str | int] = []
    offset = 0
    while offset < len(text):
        step = _STEP.match(text, offset)
        if (
            step is None
            or (step[0].startswith(".") and offset == 0)
            or (step[1] and offset and not step[0].startswith("."))
        ):
            raise InvalidRequest(f"extract.{alias}", f"{text!r} is not a path such as values.messages[-1].content")
        steps.append(step[1] if step[2] is None else int(step[2]))
        offset = step.end()
    if not steps or steps[0] not in ROOTS:
        raise InvalidRequest(f"extract.{alias}", f"the path must begin with {', '.join(ROOTS)}")
    return tuple(steps)


def _value_at(value: Any, path: ExtractPath) -> Any:
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value
