"""The limits of a chain of runs: their names, how a run stores them, and how they are combined.

They are set in this order: built-in default, deployment (settings), graph, assistant, request. An assistant and a
request can only lower them. A run that answers an interrupt inherits the lower ceilings of the run that it answers
(`inherit_chain` in `redis/lua/lib/runs.lua`), so a loop cannot escape a ceiling through interrupts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from slipway.errors import InvalidRequest
from slipway.settings import Settings

NAMES: Final = (
    "max_steps",
    "max_node_visits",
    "max_attempts",
    "max_retries",
    "max_active_s",
    "max_step_s",
    "max_state_bytes",
    "max_event_bytes",
    "max_tool_calls",
    "max_tokens",
    "max_cost_usd",
)
"""In the order in which the record of a run stores their numbers; `redis/lua/lib/ceilings.lua` has the same list.
A new name is added at the end."""

Limits = dict[str, float]
"""Limits by the name of the ceiling. A missing name means that there is no limit."""


def stored_limits(limits: Limits) -> str:
    """The limits as the record of a run stores them: the numbers in the order of `NAMES`, separated by commas. A place
    is empty if there is no limit, and absent at the end. The text is short, because one field of more than 64 bytes
    makes Redis store the whole record in twice the bytes."""
    return _stored_numbers(tuple(map(limits.get, NAMES)))


@lru_cache(maxsize=256)  # almost all runs have the limits of their graph
def _stored_numbers(numbers: tuple[float | None, ...]) -> str:
    texts = ["" if number is None else repr(float(number)).removesuffix(".0") for number in numbers]
    return ",".join(texts).rstrip(",")


def limits_from(stored: bytes) -> Limits:
    """The limits of a stored text. Earlier releases stored a JSON object."""
    if stored.startswith(b"{"):
        limits: Limits = orjson.loads(stored)
        return limits
    return dict(_stored_pairs(stored))


@lru_cache(maxsize=256)
def _stored_pairs(stored: bytes) -> list[tuple[str, float]]:
    numbers = stored.split(b",")
    return [(name, _number(number)) for name, number in zip(NAMES, numbers, strict=False) if number]


def _number(text: bytes) -> float:
    """Clients read 500, not 500.0, where a ceiling is a count."""
    number = float(text)
    return int(number) if number.is_integer() else number


def ceilings_of(settings: Settings, graph: Mapping[str, float], requested: Limits) -> Limits:
    """The ceilings of a new run. Without another limit, a node may be visited in every superstep."""
    limits = {name: float(limit) for name in NAMES if (limit := getattr(settings, name)) is not None}
    limits |= {name: float(limit) for name, limit in graph.items()}
    for name, limit in requested.items():
        limits[name] = min(limit, limits.get(name, limit))
    limits.setdefault("max_node_visits", limits["max_steps"])
    return limits


def parse_limits(ceilings: Mapping[str, Any], path: str) -> Limits:
    """Validates the ceilings of an assistant or a request. `path` names their object in errors. Raises
    `InvalidRequest` for a ceiling that is unknown, or not a number of 0 or more."""
    for name, limit in ceilings.items():
        field_path = f"{path}.{name}"
        if name not in NAMES:
            raise InvalidRequest(field_path, f"is not a ceiling; choose from: {', '.join(NAMES)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
            raise InvalidRequest(field_path, "must be a number, 0 or more")
    return {name: float(limit) for name, limit in ceilings.items()}
