"""On which version of the new release a stored thread would continue, or why on none of them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from slipway.deploy_checks.reads import CheckedThread
from slipway.graph_versions.record import KnownVersions
from slipway.graphs.interface import Graphs
from slipway.graphs.served_version import Moves, ServedVersion
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import Reason
from slipway.rollouts.record import Rollout

DEPLOY_REASONS: Final = {
    "graph.removed": "The new release has no such graph.",
    "version.unserved": (
        "The new release does not serve the version of the thread, and the thread may not move: the graph's `moves` is "
        "`pinned`, or it is `at-next-run` and something of the thread is open."
    ),
    "version.older": (
        "The new release serves only an older version than that of the thread, and no rollout names it as current."
    ),
    "checkpoint.damaged": "The newest checkpoint of the thread cannot be read.",
    "structure.unknown": (
        "A factory builds the graph for each run, so the check cannot compare it. The thread is not held for that."
    ),
}
"""Reasons that only a deploy check finds."""


@dataclass(frozen=True, slots=True)
class Target:
    """The version of the new release on which a thread would continue."""

    version: ServedVersion
    structure: GraphStructure | None
    """None if it is known only when a run opens the graph."""
    same_code: bool = False
    """Whether the thread was executed with the same structure before, so that nothing needs to be compared."""
    before_input: bool = False
    """Whether it moves only when a run with an input of its own starts."""
    stays: str = ""
    """The version of the thread or one that stands for it, if the new release serves it: the thread stays on it if it
    cannot move."""


@dataclass(frozen=True, slots=True)
class NewGraph:
    """A graph of the new release."""

    graph_id: str
    moves: Moves
    versions: Mapping[str, ServedVersion]
    structures: Mapping[str, GraphStructure | None]
    default: str
    """The version of new runs: the one that a rollout names as current, if the release serves it."""
    current_of_rollout: str | None
    ramping: str | None
    """The version to which a rollout gives a share of the new threads."""
    registered: Sequence[str]
    """The names of all versions that processes have registered, from the oldest to the newest."""
    without_name: Container[str]
    """Those of them that langgraph.json did not name."""

    def target_of(self, thread: CheckedThread) -> Target | Reason:
        """Where the thread would continue."""
        before_input = self.moves == "at-next-run" and bool(thread.version)
        if thread.version in self.versions:
            if self._moves(thread):
                return self._target(self.default, thread, before_input=before_input, stays=thread.version)
            return self._target(thread.version, thread)
        default = self.versions[self.default]
        same = self._same(thread)
        if not default.declared:
            return self._target(same or default.name, thread)
        if thread.version and not self._may_move(thread):
            return self._target(same, thread) if same else self._unserved(thread)
        if thread.version and self._would_go_back(thread.version):
            return self._target(same, thread) if same else self._older(thread)
        return self._target(default.name, thread, before_input=before_input, stays=same or "")

    def _same(self, thread: CheckedThread) -> str | None:
        """The oldest version with the code of the thread, if that of the thread has no name of its own."""
        if not thread.schema or thread.version not in self.without_name:
            return None
        return next((each.name for each in self.versions.values() if each.schema == thread.schema), None)

    def _moves(self, thread: CheckedThread) -> bool:
        """Whether a thread, whose version is served, moves to the default version with its next run."""
        return (
            thread.version not in (self.default, self.ramping)
            and self._may_move(thread)
            and not self._would_go_back(thread.version)
        )

    def _may_move(self, thread: CheckedThread) -> bool:
        return self.moves == "at-resume" or (self.moves == "at-next-run" and not thread.is_open)

    def _would_go_back(self, version: str) -> bool:
        """Whether the default version is older, and no operator has chosen it."""
        return self.is_older(self.default, version) and self.current_of_rollout != self.default

    def _target(self, name: str, thread: CheckedThread, *, before_input: bool = False, stays: str = "") -> Target:
        version = self.versions[name]
        same_code = bool(thread.schema) and version.schema == thread.schema
        return Target(version, self.structures[name], same_code, before_input, stays)

    def is_older(self, name: str, other: str) -> bool:
        """Whether a version was registered before another one. False if one of them is not known."""
        known = self.registered
        return name in known and other in known and known.index(name) < known.index(other)

    def _unserved(self, thread: CheckedThread) -> Reason:
        is_pinned = self.moves == "pinned"
        why = "is pinned to it" if is_pinned else "may not move while something of it is open"
        moves = "" if is_pinned else ', or permit the move with "moves": "at-resume"'
        return Reason(
            "version.unserved",
            f"this release does not serve {self.graph_id}@{thread.version}, and the thread {why}: add the version to "
            f'"versions", or keep workers of a release that has it{moves}',
        )

    def _older(self, thread: CheckedThread) -> Reason:
        return Reason(
            "version.older",
            f"this release serves {self.graph_id}@{self.default}, which is older than the thread's version "
            f"{thread.version}: name it as current (`slipway rollout rollback {self.graph_id}`), or serve version "
            f"{thread.version}",
        )


async def new_graphs(graphs: Graphs, known: KnownVersions, rollouts: Mapping[str, Rollout]) -> dict[str, NewGraph]:
    """The graphs of the new release, by id. Reads the structures of those with factories."""
    await graphs.identify()
    found = {}
    for graph_id in graphs.names():
        versions = {each.name: each for each in graphs.versions(graph_id)}
        rollout = rollouts.get(graph_id)
        current = None if rollout is None else rollout.current
        default = graphs.default_version(graph_id) if current not in versions else current
        if default not in versions:  # the declared default failed to load, which the release check reports
            continue
        assert default is not None
        found[graph_id] = NewGraph(
            graph_id,
            graphs.spec(graph_id).moves,
            versions,
            {name: await graphs.structure(graph_id, name) for name in versions},
            default,
            current,
            None if rollout is None or rollout.ramp is None else rollout.ramp.version,
            [each.name for each in known.of_graph(graph_id)],
            {each.name for each in known.of_graph(graph_id) if not each.declared},
        )
    return found
