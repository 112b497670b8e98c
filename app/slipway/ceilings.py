"""Ceilings: the hard limits of a chain of runs, and what the chain has used.

They are set in this order: built-in default, deployment (settings), graph, assistant, request. An assistant and a
request can only lower them. A run that answers an interrupt inherits the usage of its chain, and the lower ceilings of
the run that it answers (`inherit_chain` in `redis/lua/lib/runs.lua`), so a loop cannot escape a ceiling through
interrupts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from slipway.errors import CeilingHit, InvalidRequest
from slipway.settings import NOT_ENFORCED, Settings

NAMES: Final = (
    "max_steps",
    "max_node_visits",
    "max_attempts",
    "max_retries",
    "max_active_s",
    "max_step_s",
    "max_state_bytes",
    "max_event_bytes",
)
"""In the order in which the record of a run stores their numbers; `redis/lua/lib/ceilings.lua` has the same list.
A new name is added at the end."""

Limits = dict[str, float]
"""Limits by the name of the ceiling. A missing name means that there is no limit."""


def stored_limits(limits: Limits) -> str:
    """The limits as the record of a run stores them: the numbers in the order of `NAMES`, separated by commas. A place
    is empty if there is no limit. The text is short, because one field of more than 64 bytes makes Redis store the
    whole record in twice the bytes."""
    return _stored_numbers(tuple(map(limits.get, NAMES)))


@lru_cache(maxsize=256)  # almost all runs have the limits of their graph
def _stored_numbers(numbers: tuple[float | None, ...]) -> str:
    return ",".join("" if number is None else repr(float(number)).removesuffix(".0") for number in numbers)


def limits_from(stored: bytes) -> Limits:
    """The limits of a stored text. Earlier releases stored a JSON object."""
    if stored.startswith(b"{"):
        limits: Limits = orjson.loads(stored)
        return limits
    return dict(_stored_pairs(stored))


@lru_cache(maxsize=256)
def _stored_pairs(stored: bytes) -> list[tuple[str, float]]:
    numbers = stored.split(b",")
    return [(name, float(number)) for name, number in zip(NAMES, numbers, strict=False) if number]


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
    `InvalidRequest` for a ceiling that is unknown, not enforced, or not a number of 0 or more."""
    for name, limit in ceilings.items():
        field_path = f"{path}.{name}"
        if name in NOT_ENFORCED:
            raise InvalidRequest(field_path, NOT_ENFORCED[name])
        if name not in NAMES:
            raise InvalidRequest(field_path, f"is not a ceiling; choose from: {', '.join(NAMES)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
            raise InvalidRequest(field_path, "must be a number, 0 or more")
    return {name: float(limit) for name, limit in ceilings.items()}


TASK_ID_LENGTH: Final = 8
"""Characters of a task id that are stored and compared. Task ids are digests, so these few distinguish the tasks of one
node in two supersteps."""


@dataclass(slots=True)
class Usage:
    """What a chain of runs has used so far."""

    steps: int = 0
    retries: int = 0
    active_s: float = 0.0
    event_bytes: int = 0
    node_visits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    superstep: dict[str, str] = field(default_factory=dict)
    """The first `TASK_ID_LENGTH` characters of the first task id of each node in the superstep that was counted last. A
    superstep that is executed again, after an answer or a crash, has the same task ids, and is not counted again."""

    @classmethod
    def from_public(cls, stored: Mapping[str, Any]) -> Usage:
        """The usage of a run: the object that `public` returned, of which members may be missing."""
        if not stored:
            return cls()
        return cls(
            steps=stored.get("steps", 0),
            retries=stored.get("retries", 0),
            active_s=stored.get("active_s", 0.0),
            event_bytes=stored.get("event_bytes", 0),
            node_visits=defaultdict(int, stored.get("node_visits", {})),
            superstep={node: task[:TASK_ID_LENGTH] for node, task in stored.get("superstep", {}).items()},
        )

    def public(self) -> dict[str, Any]:
        """The usage as clients receive it."""
        return dict(zip(_USAGE_MEMBERS, self._values(), strict=True))

    def _values(self) -> list[Any]:
        active_s = round(self.active_s, 3)
        return [self.steps, self.retries, active_s, self.event_bytes, dict(self.node_visits), self.superstep]

    def stored(self) -> str:
        """The usage as the record of a run stores it: the values of `public` as JSON."""
        values = self._values()
        try:
            return orjson.dumps(values).decode()
        except orjson.JSONEncodeError:  # the name of a node is no valid UTF-8
            return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace").decode()

    def with_counts_of(self, earlier: Usage) -> Usage:
        """This usage with the supersteps and visits of `earlier`: the usage if all work since `earlier` is lost."""
        return replace(self, steps=earlier.steps, node_visits=earlier.node_visits, superstep=earlier.superstep)


_USAGE_MEMBERS: Final = ("steps", "retries", "active_s", "event_bytes", "node_visits", "superstep")
"""The members of a usage in the order in which they are stored."""


def public_usage(stored: bytes) -> dict[str, Any]:
    """The object that clients receive, from the field of the record: a list of the values, without members at the end
    that have no value yet. Earlier releases stored the object."""
    values = orjson.loads(stored)
    return values if isinstance(values, dict) else dict(zip(_USAGE_MEMBERS, values, strict=False))


@dataclass(slots=True)
class Ceilings:
    """Limits and usage. Every method that counts raises `CeilingHit` *before* the work that exceeds a ceiling is
    done."""

    limits: Limits
    usage: Usage
    _counted_tasks: dict[str, str] = field(default_factory=dict)
    """The counted tasks of the superstep that was counted last. If the current superstep is a repetition of it, its
    tasks are not counted again."""

    @property
    def steps_left(self) -> int:
        """Supersteps that the chain may still execute."""
        return int(self.limits["max_steps"]) - self.usage.steps

    @property
    def active_left_s(self) -> float:
        """Seconds that the chain may still execute. Waiting for people does not count."""
        return self.limits["max_active_s"] - self.usage.active_s

    @property
    def step_s(self) -> float:
        """Seconds that one superstep may take."""
        return self.limits["max_step_s"]

    def count_superstep(self, node: str, task_id: str) -> None:
        """Counts a superstep that starts with this task. A repeated superstep is counted once."""
        counted = self.usage.superstep
        if counted.get(node) != task_id[:TASK_ID_LENGTH]:
            if self.steps_left <= 0:
                raise self.error_for("steps", self.usage.steps)
            self.usage.steps += 1
        self._counted_tasks, self.usage.superstep = counted, {}

    def count_visit(self, node: str, task_id: str) -> None:
        """Counts the visit of a node whose task starts. A node is counted once in a superstep, however many tasks it
        has."""
        if node in self.usage.superstep:
            return
        task_id = task_id[:TASK_ID_LENGTH]
        if self._counted_tasks.get(node) != task_id:
            visits = self.usage.node_visits.get(node, 0)
            if visits >= self.limits["max_node_visits"]:
                raise self.error_for("node_visits", visits, node)
            self.usage.node_visits[node] += 1
        self.usage.superstep[node] = task_id

    def count_retry(self) -> None:
        if self.usage.retries >= self.limits["max_retries"]:
            raise self.error_for("retries", self.usage.retries)
        self.usage.retries += 1

    def count_event(self, size_bytes: int) -> None:
        """Counts the bytes of an event that will be appended."""
        self.usage.event_bytes += size_bytes
        if self.usage.event_bytes > self.limits["max_event_bytes"]:
            raise self.error_for("event_bytes", self.usage.event_bytes)

    def error_for(self, ceiling: str, used: float, node: str | None = None) -> CeilingHit:
        """`ceiling` is a code without its prefix `ceiling.`; `used` is in the unit of the limit."""
        setting = {"time": "max_active_s", "step_time": "max_step_s"}.get(ceiling, f"max_{ceiling}")
        return CeilingHit(ceiling, self.limits[setting], used, node)
