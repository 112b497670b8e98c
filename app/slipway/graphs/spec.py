"""One graph as `langgraph.json` names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from slipway.graphs.review_policy import NO_POLICIES, ReviewPolicies

Priority = Literal["high", "normal", "low"]

ExecutionMode = Literal["worker", "inline"]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One entry of `graphs` with its settings in `slipway.graphs`. Reading it imports nothing."""

    graph_id: str
    source: str
    """`./file.py:attribute` or `package.module:attribute`, as written."""
    description: str | None = None
    execution: ExecutionMode = "worker"
    inline_budget_s: float | None = None
    """Seconds for which an inline run may execute in the web process before a worker continues it. None means the
    setting `inline_budget_s`."""
    ceilings: dict[str, float] = field(default_factory=dict)
    """Limits by name, such as `max_steps`: this graph's, and those of `slipway.ceilings` that it does not set."""
    version: str = "1"
    config: dict[str, Any] = field(default_factory=dict)
    """The config of the graph's system assistant (`LANGGRAPH_CONFIG`). Other assistants do not inherit it."""
    priority: Priority = "normal"
    max_running_runs: int | None = None
    """The most runs of this graph that execute at the same time in the whole deployment. Further runs wait."""
    keep_checkpoints: int | Literal["all"] | None = None
    """How many of the last checkpoints of a thread are kept. None means the setting `keep_checkpoints`."""
    reviews: ReviewPolicies = NO_POLICIES
    """The policies of the questions that the graph asks."""
