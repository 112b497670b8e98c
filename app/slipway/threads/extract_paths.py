"""`extract` of a thread search: parts of each thread by path, such as `values.messages[-1].content`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from slipway.errors import InvalidRequest

ROOTS: Final = ("values", "metadata", "config", "interrupts")
MOST: Final = 10

_ALIAS: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")

Path = tuple[str | int, ...]


def paths_of(asked: Mapping[str, str], taken: frozenset[str]) -> dict[str, Path]:
    """Alias → path, checked. `taken` are names an alias may not have. Raises `InvalidRequest`."""
    if len(asked) > MOST:
        raise InvalidRequest("extract", f"has {len(asked)} paths; {MOST} is the most")
    return {_alias(alias, taken): _path(alias, text) for alias, text in asked.items()}


def extracted(thread: Mapping[str, Any], paths: Mapping[str, Path]) -> dict[str, Any]:
    """What lies at each path; null where nothing does."""
    return {alias: _at(thread, path) for alias, path in paths.items()}


def _alias(alias: str, taken: frozenset[str]) -> str:
    if not _ALIAS.fullmatch(alias) or alias in taken:
        raise InvalidRequest(f"extract.{alias}", "the alias must be an identifier that is no field of a thread")
    return alias


def _path(alias: str, text: str) -> Path:
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (step[0].startswith(".") and at == 0) or (step[1] and at and not step[0].startswith(".")):
            raise InvalidRequest(f"extract.{alias}", f"{text!r} is not a path such as values.messages[-1].content")
        steps.append(step[1] if step[2] is None else int(step[2]))
        at = step.end()
    if not steps or steps[0] not in ROOTS:
        raise InvalidRequest(f"extract.{alias}", f"the path must begin with {', '.join(ROOTS)}")
    return tuple(steps)


def _at(value: Any, path: Path) -> Any:
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
