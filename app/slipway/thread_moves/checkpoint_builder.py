"""Builds the checkpoint of one namespace for the graph of another version: channels under their new names, the migrated
state, and what each node has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.types import TASKS
from langgraph.constants import START
from langgraph.types import Send

from slipway.graphs.interface import Graph
from slipway.graphs.migration_set import place_of
from slipway.thread_moves.channels import is_state, renamed_channel, stored_value, type_problem
from slipway.thread_moves.errors import CannotMove, MigrationFailed
from slipway.thread_moves.migrating import MigratedState
from slipway.thread_moves.stored_thread import StoredCheckpoint


@dataclass(frozen=True, slots=True)
class CheckpointBuilder:
    """Builds it from the stored checkpoint, and from its state before and after the migrations."""

    stored: StoredCheckpoint
    graph: Graph
    before: MigratedState
    after: MigratedState
    next_version: Callable[[Any, Any], Any]

    def checkpoint(self) -> Checkpoint:
        """With the id of the stored one. Raises `MigrationFailed` if a channel of the result does not fit."""
        old = self.stored.checkpoint
        values: dict[str, Any] = {}
        versions: ChannelVersions = {}
        replaced: dict[str, Any] = {}
        newest = self.next_version(max(old["channel_versions"].values(), default=None), None)
        for channel, version in old["channel_versions"].items():
            name = self._name(channel)
            if name in self.graph.channels and not (is_state(channel) and name not in self.after.values):
                versions[name] = version
                if not is_state(channel) and channel in old["channel_values"]:
                    stored = old["channel_values"][channel]
                    values[name] = self._internal(channel, stored)
                    if not _equal(stored, values[name]):
                        versions[name], replaced[name] = newest, version
        self._add_state(values, versions, replaced, newest)
        checkpoint: dict[str, Any] = {
            **old,
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": self._seen(versions, replaced),
        }
        checkpoint.pop("updated_channels", None)  # LangGraph then asks each node of the new graph
        return checkpoint  # type: ignore[return-value]

    def _name(self, channel: str) -> str:
        return renamed_channel(channel, self.after.nodes, self.after.channels, self.graph.channels)

    def _internal(self, channel: str, value: Any) -> Any:
        if channel == START:
            return self.after.input
        if channel == TASKS:
            nodes = self.after.nodes
            return [Send(nodes.get(send.node, send.node), send.arg) for send in self.after.sends]
        if channel.startswith("join:") and isinstance(value, set | frozenset):
            return {self.after.nodes.get(name, name) for name in value}
        return value

    def _add_state(
        self, values: dict[str, Any], versions: ChannelVersions, replaced: dict[str, Any], newest: Any
    ) -> None:
        """Adds the state channels. A value that is not stored yet gets the version `newest`; `replaced` gets the
        version that it had."""
        old_names = {new: old for old, new in self.after.channels.items()}
        for channel, value in self.after.values.items():
            spec = self.graph.channels.get(channel)
            self._require(channel, spec, value)
            old_name = old_names.get(channel, channel)
            stored = stored_value(spec, value)
            same = old_name in self.before.values and _equal(self.before.values[old_name], value)
            if same and channel in versions and old_name == channel and stored is value:
                values[channel] = self.stored.checkpoint["channel_values"][channel]
                continue
            values[channel] = stored
            if channel in versions:
                replaced[channel] = versions[channel]
            versions[channel] = newest

    def _require(self, channel: str, spec: object, value: Any) -> None:
        if self.after.last is None:
            if spec is None:
                raise CannotMove(
                    "channel.removed",
                    f"channel {channel!r} has a value, and the new version does not have the channel: add a migration",
                )
            return
        pair, migration = self.after.last
        if spec is None:
            raise MigrationFailed(
                pair,
                f"it returned channel {channel!r}, which version {pair[1]} does not have: delete it from values, or "
                "rename it",
                place_of(migration),
            )
        if channel in self.before.values and _equal(self.before.values[channel], value):
            return
        problem = type_problem(spec, value)
        if problem:
            raise MigrationFailed(
                pair, f"the value of channel {channel!r} has the wrong type: {problem}", place_of(migration)
            )

    def _seen(self, versions: ChannelVersions, replaced: Mapping[str, Any]) -> dict[str, ChannelVersions]:
        """What each node has seen. A node that has seen the old version of a value has seen the new one."""
        seen: dict[str, ChannelVersions] = {}
        for node, by_channel in self.stored.checkpoint["versions_seen"].items():
            moved = seen.setdefault(self.after.nodes.get(node, node), {})
            for channel, version in by_channel.items():
                name = self._name(channel)
                if name in versions:
                    moved[name] = versions[name] if replaced.get(name) == version else version
        return seen


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(type(one) is type(other) and one == other)
    except Exception:  # values of the project may compare as they like
        return False
