"""One graph as `langgraph.json` names it, with its versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from slipway.graphs.review_policy import NO_POLICIES, ReviewPolicies
from slipway.graphs.served_version import Moves

Priority = Literal["high", "normal", "low"]

ExecutionMode = Literal["worker", "inline"]

Durability = Literal["sync", "async", "exit", "replicated"]
"""When a checkpoint is stored (`run_options.RunOptions.durability`)."""

OnExhausted = Literal["fail", "pause"]
"""What becomes of a run whose retries or attempts are used up."""


@dataclass(frozen=True, slots=True)
class DeclaredVersion:
    """One entry of `versions`."""

    name: str
    source: str
    """`./file.py:attribute` or `package.module:attribute`, as written."""


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One entry of `graphs` with its settings in `slipway.graphs`. Reading it imports nothing."""

    graph_id: str
    source: str
    """`./file.py:attribute` or `package.module:attribute`, as written. That of the default version."""
    description: str | None = None
    execution: ExecutionMode = "worker"
    inline_budget_s: float | None = None
    """Seconds for which an inline run may execute in the web process before a worker continues it. None means the
    setting `inline_budget_s`."""
    ceilings: dict[str, float] = field(default_factory=dict)
    """Limits by name, such as `max_steps`: this graph's, and those of `slipway.ceilings` that it does not set."""
    versions: tuple[DeclaredVersion, ...] = ()
    """Oldest first. Empty if langgraph.json names no version: then the graph has one, and its name is made from the
    release and the fingerprint."""
    default_version: str | None = None
    """The version of new threads. None if langgraph.json names no version."""
    moves: Moves = "at-resume"
    migrations: str | None = None
    """`./file.py` with the functions that migrate stored threads from one version to another."""
    on_exhausted: OnExhausted = "fail"
    durability: Durability | None = None
    """The durability of runs whose request names none. None means `async`."""
    behaviour: str = ""
    """What the project counts up when code changes so that stored threads must not continue with it, although the
    structure of the graph stays the same."""
    removed_channels: tuple[str, ...] = ()
    """State channels whose values threads may lose between two runs: the project has removed them deliberately."""
    config: dict[str, Any] = field(default_factory=dict)
    """The config of the graph's system assistant (`LANGGRAPH_CONFIG`). Other assistants do not inherit it."""
    priority: Priority = "normal"
    max_running_runs: int | None = None
    """The most runs of this graph that execute at the same time in the whole deployment. Further runs wait."""
    keep_checkpoints: int | Literal["all"] | None = None
    """How many of the last checkpoints of a thread are kept. None means the setting `keep_checkpoints`."""
    reviews: ReviewPolicies = NO_POLICIES
    """The policies of the questions that the graph asks."""
