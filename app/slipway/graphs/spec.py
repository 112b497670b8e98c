"""One graph as `langgraph.json` names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Priority = Literal["high", "normal", "low"]

ExecutionMode = Literal["worker", "inline"]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph as langgraph.json names it. Nothing has been imported for it."""

    graph_id: str
    source: str
    """`./file.py:attribute` or `package.module:attribute`, as written."""
    description: str | None = None
    execution: ExecutionMode = "worker"
    inline_budget_s: float | None = None
    """How long the web process keeps an inline run before a worker continues it; None leaves that to the settings."""
    ceilings: dict[str, float] = field(default_factory=dict)
    """By name, such as `max_steps`: the file's own for all graphs, overridden by those of this graph."""
    version: str = "1"
    config: dict[str, Any] = field(default_factory=dict)
    """Of the graph's system assistant (`LANGGRAPH_CONFIG`); assistants that clients make do not inherit it."""
    priority: Priority = "normal"
    max_running_runs: int | None = None
    """Runs of this graph that execute at once in the whole deployment; further ones wait."""
