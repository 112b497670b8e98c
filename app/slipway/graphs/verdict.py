"""What happens to a stored thread if a version of its graph continues it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class VerdictKind(StrEnum):
    """The three answers."""

    CONTINUE = "continue"
    """The version can continue the thread from its stored checkpoint."""
    MIGRATE = "migrate"
    """It can continue it after registered migrations have changed the checkpoint."""
    HOLD = "hold"
    """It must not: the thread stays as it is."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a thread is held, or what changes for it."""

    code: str
    """Stable, such as `node.removed`. docs/versions.md lists them."""
    text: str
    """A sentence that names the node or the channel, and what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one thread."""

    kind: VerdictKind
    reasons: tuple[Reason, ...] = ()
    """Why it holds; for the other kinds what changes for the thread, most severe first."""
    migrations: tuple[tuple[str, str], ...] = ()
    """The versions from and to which each migration leads, in order. Only if the kind is `migrate`."""


@dataclass(frozen=True, slots=True)
class PendingTask:
    """A task that the stored checkpoint would start, or has started and not all of whose superstep has ended. Also a
    node that follows a task that has finished in this superstep."""

    node: str
    triggers: tuple[str, ...] = ()
    """The channels that start it, sorted. Empty if `Send` has started it, or if they are only written later."""
    is_send: bool = False
    """Whether `Send` has started it."""
    interrupted: bool = False
    """Whether it has asked something that is not answered, or has answers that it has not used yet."""
    started: bool = False
    """Whether parts of its results are stored: answers, results of its tasks, or a checkpoint of its subgraph."""
    finished: bool = False
    """Whether all its results are stored, and are used when the other tasks of its superstep have ended."""
    inside: Position | None = None
    """Where its subgraph is. None if it has none, or the subgraph has stored nothing."""
    follows: bool = False
    """Whether it starts only when the superstep has ended, because a task that has finished starts it."""

    @property
    def is_under_way(self) -> bool:
        """Whether something is stored for this task, which is found again by the id of the task."""
        return self.interrupted or self.started or self.finished or self.inside is not None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a thread is in its graph: the newest checkpoint of one namespace, without the code of the graph."""

    tasks: tuple[PendingTask, ...] = ()
    """Empty between two runs: then nothing is under way."""
    channels: frozenset[str] = frozenset()
    """The state channels that have a value, or get one from a task that has finished."""
    empty: frozenset[str] = frozenset()
    """Those of them whose value is None, or a text or a collection of length 0."""
    waiting_joins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Join channels that have seen some of their nodes and wait for the others: the nodes that were seen."""
    subgraphs: Mapping[str, Position] = field(default_factory=dict)
    """The subgraphs that keep their state between two calls, by node."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.tasks

    def before_input(self) -> Position:
        """What a run with an input of its own finds: LangGraph drops the tasks of the checkpoint and starts again."""
        kept = {name: inside.before_input() for name, inside in self.subgraphs.items()}
        return replace(self, tasks=(), subgraphs=kept)
