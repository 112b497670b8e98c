"""Ceilings: the hard limits of a chain of runs, and what the chain has used.

They are set in this order: built-in default, deployment (settings), graph, assistant, request. An assistant and a
request can only lower them. A run that answers an interrupt inherits the usage of its chain, and the lower ceilings of
the run that it answers (`inherit_chain` in `redis/lua/lib/runs.lua`), so a loop cannot escape a ceiling through
interrupts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

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

Limits = dict[str, float]
"""Limits by the name of the ceiling. A missing name means that there is no limit."""


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


@dataclass(slots=True)
class Usage:
    """What a chain of runs has used so far."""

    steps: int = 0
    retries: int = 0
    active_s: float = 0.0
    event_bytes: int = 0
    node_visits: Counter[str] = field(default_factory=Counter)
    superstep: dict[str, str] = field(default_factory=dict)
    """The first task id of each node in the superstep that was counted last. A superstep that is executed again, after
    an answer or a crash, has the same task ids, and is not counted again."""

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Usage:
        """The usage in a run record: the object that `public` returned."""
        return cls(
            steps=stored.get("steps", 0),
            retries=stored.get("retries", 0),
            active_s=stored.get("active_s", 0.0),
            event_bytes=stored.get("event_bytes", 0),
            node_visits=Counter(stored.get("node_visits", {})),
            superstep=dict(stored.get("superstep", {})),
        )

    def public(self) -> dict[str, Any]:
        """The usage as the run record stores it and as clients receive it."""
        return {
            "steps": self.steps,
            "retries": self.retries,
            "active_s": round(self.active_s, 3),
            "event_bytes": self.event_bytes,
            "node_visits": dict(self.node_visits),
            "superstep": self.superstep,
        }

    def with_counts_of(self, earlier: Usage) -> Usage:
        """This usage with the supersteps and visits of `earlier`: the usage if all work since `earlier` is lost."""
        return replace(self, steps=earlier.steps, node_visits=earlier.node_visits, superstep=earlier.superstep)


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
        if counted.get(node) != task_id:
            if self.steps_left <= 0:
                raise self.error_for("steps", self.usage.steps)
            self.usage.steps += 1
        self._counted_tasks, self.usage.superstep = counted, {}

    def count_visit(self, node: str, task_id: str) -> None:
        """Counts the visit of a node whose task starts. A node is counted once in a superstep, however many tasks it
        has."""
        if node in self.usage.superstep:
            return
        if self._counted_tasks.get(node) != task_id:
            if self.usage.node_visits[node] >= self.limits["max_node_visits"]:
                raise self.error_for("node_visits", self.usage.node_visits[node], node)
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
