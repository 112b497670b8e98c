"""Counts what a chain of runs uses, and raises before a ceiling is exceeded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from slipway.accounting.limits import Limits
from slipway.accounting.metered_usage import NANO, MeteredUsage, ModelUsage
from slipway.accounting.usage import TASK_ID_LENGTH, Usage
from slipway.errors import CODES, CeilingHit, limit_name

WARNING_AT: Final = 0.8
"""The part of a limit from which on a warning is due. There is none for a limit of so few that all of it is used
then."""

Warn = Callable[[str, float, float], None]
"""Called once for each ceiling of a chain: its name without `max_`, what is used, and the limit."""


@dataclass(slots=True)
class Ceilings:
    """Limits and usage. Every method that counts raises `CeilingHit` *before* the work that exceeds a ceiling is
    done. A method is called by one thread at a time."""

    limits: Limits
    usage: Usage
    metered: MeteredUsage = field(default_factory=MeteredUsage)
    warn: Warn = lambda ceiling, used, limit: None
    counted_until: float = 0.0
    """The time (`time.monotonic`) until which the active seconds are in the usage. 0 before the attempt starts."""
    _counted_tasks: dict[str, str] = field(default_factory=dict)
    """The counted tasks of the superstep that was counted last. If the current superstep is a repetition of it, its
    tasks are not counted again."""
    _nested_supersteps: dict[str, int] = field(default_factory=dict)
    """By namespace of a subgraph that executes: its superstep that was counted last."""

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

    def warn_once(self, ceiling: str, used: float) -> None:
        """Warns of a ceiling whose use the usage does not have, unless the chain was warned of it before."""
        if ceiling not in self.usage.warned:
            self.usage.warned.append(ceiling)
            self.warn(ceiling, used, self.limits[f"max_{ceiling}"])

    def count_time(self, now: float) -> None:
        """Adds the seconds since the last call to the usage; `now` is a time of `time.monotonic`."""
        before = self.usage.active_s
        self.usage.active_s += now - self.counted_until
        self.counted_until = now
        limit = self.limits["max_active_s"]
        if before < WARNING_AT * limit <= self.usage.active_s:
            self.warn("active_s", self.usage.active_s, limit)

    def count_superstep(self, node: str, task_id: str) -> None:
        """Counts a superstep that starts with this task. A repeated superstep is counted once."""
        counted = self.usage.superstep
        if counted.get(node) != task_id[:TASK_ID_LENGTH]:
            self._count_step()
        self._counted_tasks, self.usage.superstep = counted, {}
        self._nested_supersteps.clear()

    def count_visit(self, node: str, task_id: str) -> None:
        """Counts the visit of a node whose task starts. A node is counted once in a superstep, however many tasks it
        has."""
        if node in self.usage.superstep:
            return
        task_id = task_id[:TASK_ID_LENGTH]
        if self._counted_tasks.get(node) != task_id:
            self._count_visit(node)
        self.usage.superstep[node] = task_id

    def count_nested(self, namespace: str, superstep: int) -> bool:
        """Counts a task of a subgraph, and the superstep of the subgraph if it is the first task of it. `namespace` is
        that of the task. Returns whether it was counted: a repeated task is not, and neither is another task of the
        same node in the same superstep."""
        around, _, task = namespace.rpartition("|")
        node = "|".join(part.partition(":")[0] for part in namespace.split("|"))
        task_id = task.partition(":")[2][:TASK_ID_LENGTH]
        is_new = self._nested_supersteps.get(around) != superstep
        repeated = task_id in (self._counted_tasks.get(node), self.usage.superstep.get(node))
        counted_in = f"{around}|{node}"
        if repeated or (not is_new and self._nested_supersteps.get(counted_in) == superstep):
            self._nested_supersteps[around] = superstep
            return False
        if is_new:
            self._count_step(node)
        self._count_visit(node)
        self._nested_supersteps[around] = self._nested_supersteps[counted_in] = superstep
        self.usage.superstep[node] = task_id
        return True

    def _count_step(self, node: str | None = None) -> None:
        used, limit = self.usage.steps, self.limits["max_steps"]
        if used >= limit:
            raise self.error_for("steps", used, node)
        self.usage.steps = used + 1
        if used < WARNING_AT * limit <= used + 1 < limit:
            self.warn("steps", used + 1, limit)

    def _count_visit(self, node: str) -> None:
        visits, limit = self.usage.node_visits.get(node, 0), self.limits["max_node_visits"]
        if visits >= limit:
            raise self.error_for("node_visits", visits, node)
        self.usage.node_visits[node] += 1
        is_own_limit = limit < self.limits["max_steps"]  # else the warning of supersteps says the same
        if is_own_limit and visits < WARNING_AT * limit <= visits + 1 < limit:
            self.warn("node_visits", visits + 1, limit)

    def count_retry(self) -> None:
        used, limit = self.usage.retries, self.limits["max_retries"]
        if used >= limit:
            raise self.error_for("retries", used)
        self.usage.retries = used + 1
        if used < WARNING_AT * limit <= used + 1 < limit:
            self.warn("retries", used + 1, limit)

    def count_event(self, size_bytes: int) -> None:
        """Counts the bytes of an event that will be appended."""
        before, limit = self.usage.event_bytes, self.limits["max_event_bytes"]
        self.usage.event_bytes += size_bytes
        if before < WARNING_AT * limit <= self.usage.event_bytes <= limit:
            self.warn("event_bytes", self.usage.event_bytes, limit)
        if self.usage.event_bytes > limit:
            raise self.error_for("event_bytes", self.usage.event_bytes)

    def count_tool_call(self, node: str | None = None) -> None:
        """Counts a call of a tool that is about to be made."""
        used, limit = self.metered.tool_calls, self.limits.get("max_tool_calls")
        if limit is not None and used >= limit:
            raise self.error_for("tool_calls", used, node)
        self.metered.count_tool_call()
        if limit is not None and used < WARNING_AT * limit <= used + 1 < limit:
            self.warn("tool_calls", used + 1, limit)

    def reserve_model_call(self, model: str, call: ModelUsage, node: str | None = None) -> None:
        """Counts a call of a model with the most that it may use. Raises if the sum with all calls that have not ended
        could pass a ceiling."""
        metered = self.metered
        self._check_reservation("tokens", metered.tokens, call.tokens, 1, node)
        self._check_reservation("cost_usd", metered.cost_nano, call.cost_nano, NANO, node)
        metered.reserve(model, call)

    def _check_reservation(self, ceiling: str, used: int, needed: int, unit: int, node: str | None) -> None:
        limit = self.limits.get(f"max_{ceiling}")
        if limit is not None and needed and used + needed > limit * unit:
            raise CeilingHit(CODES.get(ceiling, ceiling), limit, used / unit, node, needed=needed / unit)

    def settle_model_call(
        self, model: str, reserved: ModelUsage, used: ModelUsage, *, metered: bool = True, priced: bool = True
    ) -> None:
        """Replaces the reservation of a call that has ended by what it used. `metered`: whether the provider has said
        what it used. `priced`: whether the model has a price."""
        usage = self.metered
        tokens, cost_nano = usage.settled_tokens, usage.settled_cost_nano
        usage.settle(model, reserved, used, priced=priced)
        if not metered:
            usage.unmetered_calls += 1
        self._warn_of("tokens", tokens, tokens + used.tokens, 1)
        self._warn_of("cost_usd", cost_nano, cost_nano + used.cost_nano, NANO)

    def _warn_of(self, ceiling: str, before: int, after: int, unit: int) -> None:
        limit = self.limits.get(f"max_{ceiling}")
        if limit is not None and before < WARNING_AT * limit * unit <= after:
            self.warn(ceiling, after / unit, limit)

    def error_for(self, ceiling: str, used: float, node: str | None = None) -> CeilingHit:
        """`ceiling` is a code without its prefix `ceiling.`; `used` is in the unit of the limit."""
        return CeilingHit(ceiling, self.limits[limit_name(ceiling)], used, node)
