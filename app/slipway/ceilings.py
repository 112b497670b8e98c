"""Ceilings: the hard stops of a chain of runs, as data, and the question "may this go on?".

They are set in order by the built-in defaults, the deployment (settings), the graph, and by the request, which may
lower them and never raise them. What a chain has used is carried over attempts, retries and resumes, so a loop cannot
escape its ceiling by way of approvals.
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
"""Ceilings by name. One that is absent is no ceiling."""


def ceilings_of(settings: Settings, graph: Mapping[str, float], request: Mapping[str, Any]) -> Limits:
    """The ceilings of a new run. A node may be visited in every superstep unless something says otherwise.
    `InvalidRequest` names a ceiling that is unknown or no positive number."""
    limits = {name: float(limit) for name in NAMES if (limit := getattr(settings, name)) is not None}
    limits |= {name: float(limit) for name, limit in graph.items()}
    for name, wanted in checked(request).items():
        limits[name] = min(wanted, limits.get(name, wanted))
    limits.setdefault("max_node_visits", limits["max_steps"])
    return limits


def checked(request: Mapping[str, Any]) -> Limits:
    """Ceilings as a client sent them, or `InvalidRequest`."""
    for name, wanted in request.items():
        path = f"config.configurable.ceilings.{name}"
        if name in NOT_ENFORCED:
            raise InvalidRequest(path, NOT_ENFORCED[name])
        if name not in NAMES:
            raise InvalidRequest(path, f"no such ceiling; there are {', '.join(NAMES)}")
        if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not wanted >= 0:
            raise InvalidRequest(path, "must be a number, 0 or more")
    return {name: float(wanted) for name, wanted in request.items()}


@dataclass(slots=True)
class Usage:
    """What a chain of runs has used so far. `superstep` holds the first task of each node in the superstep that was
    counted last: a superstep that is executed again, with an answer or after a death, has the same tasks."""

    steps: int = 0
    retries: int = 0
    active_s: float = 0.0
    event_bytes: int = 0
    node_visits: Counter[str] = field(default_factory=Counter)
    superstep: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Usage:
        """From the run record's JSON."""
        return cls(
            steps=stored.get("steps", 0),
            retries=stored.get("retries", 0),
            active_s=stored.get("active_s", 0.0),
            event_bytes=stored.get("event_bytes", 0),
            node_visits=Counter(stored.get("node_visits", {})),
            superstep=dict(stored.get("superstep", {})),
        )

    def public(self) -> dict[str, Any]:
        """As the run record shows it."""
        return {
            "steps": self.steps,
            "retries": self.retries,
            "active_s": round(self.active_s, 3),
            "event_bytes": self.event_bytes,
            "node_visits": dict(self.node_visits),
            "superstep": self.superstep,
        }

    def with_counts_of(self, earlier: Usage) -> Usage:
        """This usage with the supersteps and visits of `earlier`: what is left if the work since then is lost."""
        return replace(self, steps=earlier.steps, node_visits=earlier.node_visits, superstep=earlier.superstep)


@dataclass(slots=True)
class Ceilings:
    """Limits beside what was used. Every method that counts raises `CeilingHit` *before* the work beyond is done."""

    limits: Limits
    usage: Usage
    _counted_tasks: dict[str, str] = field(default_factory=dict)
    """The tasks that were counted already, if the present superstep is the one that was counted last."""

    @property
    def steps_left(self) -> int:
        """Supersteps the chain may still take."""
        return int(self.limits["max_steps"]) - self.usage.steps

    @property
    def active_left_s(self) -> float:
        """Seconds of work the chain may still take."""
        return self.limits["max_active_s"] - self.usage.active_s

    @property
    def step_s(self) -> float:
        """Seconds one superstep may take."""
        return self.limits["max_step_s"]

    def count_superstep(self, node: str, task_id: str) -> None:
        """A superstep is about to begin; the task is its first. A superstep that is executed again is counted once."""
        counted = self.usage.superstep
        if counted.get(node) != task_id:
            if self.steps_left <= 0:
                raise self.error_for("steps", self.usage.steps)
            self.usage.steps += 1
        self._counted_tasks, self.usage.superstep = counted, {}

    def count_visit(self, node: str, task_id: str) -> None:
        """A task of a node is about to be executed. A node is counted once a superstep, however many tasks it has."""
        if node in self.usage.superstep:
            return
        if self._counted_tasks.get(node) != task_id:
            if self.usage.node_visits[node] >= self.limits["max_node_visits"]:
                raise self.error_for("node_visits", self.usage.node_visits[node], node)
            self.usage.node_visits[node] += 1
        self.usage.superstep[node] = task_id

    def count_retry(self) -> None:
        """A node has failed and asks to be retried."""
        if self.usage.retries >= self.limits["max_retries"]:
            raise self.error_for("retries", self.usage.retries)
        self.usage.retries += 1

    def count_event(self, size_bytes: int) -> None:
        """An event is about to be logged."""
        self.usage.event_bytes += size_bytes
        if self.usage.event_bytes > self.limits["max_event_bytes"]:
            raise self.error_for("event_bytes", self.usage.event_bytes)

    def error_for(self, ceiling: str, used: float, node: str | None = None) -> CeilingHit:
        """The error for a ceiling that is reached."""
        setting = {"time": "max_active_s", "step_time": "max_step_s"}.get(ceiling, f"max_{ceiling}")
        return CeilingHit(ceiling, self.limits[setting], used, node)
