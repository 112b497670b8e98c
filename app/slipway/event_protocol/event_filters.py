"""Selects the events that a subscription of the event protocol receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.errors import RefusedRequest
from slipway.event_protocol.protocol_event import ProtocolEvent

CHANNELS: Final = (
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "checkpoints",
    "tasks",
    "custom",
)
NAMED: Final = "custom:"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """`namespaces` are prefixes; None accepts every namespace. `depth` is the most segments that the namespace of an
    event may have after the prefix; None means any number."""

    channels: frozenset[str]
    namespaces: tuple[tuple[str, ...], ...] | None = None
    depth: int | None = None

    @classmethod
    def from_request(
        cls, channels: Sequence[str], namespaces: Sequence[Sequence[str]] | None = None, depth: int | None = None
    ) -> EventFilter:
        """Raises `RefusedRequest` if `channels` is empty or has an unknown channel."""
        if not channels:
            raise RefusedRequest(f"channels: name at least one of {', '.join(CHANNELS)} or {NAMED}<name>")
        for channel in channels:
            if channel not in CHANNELS and not (channel.startswith(NAMED) and len(channel) > len(NAMED)):
                raise RefusedRequest(f"channels: {channel!r} is not one of {', '.join(CHANNELS)} or {NAMED}<name>")
        prefixes = None if namespaces is None else tuple(tuple(prefix) for prefix in namespaces)
        return cls(frozenset(channels), prefixes, depth)

    def matches(self, event: ProtocolEvent) -> bool:
        """Whether the subscription receives the event."""
        return self._in_channel(event) and self._in_namespaces(event.namespace)

    def _in_channel(self, event: ProtocolEvent) -> bool:
        channel = event.method.partition(".")[0]
        return channel in self.channels or (channel == "custom" and f"{NAMED}{event.data.get('name')}" in self.channels)

    def _in_namespaces(self, namespace: tuple[str, ...]) -> bool:
        if self.namespaces is None:
            return self.depth is None or len(namespace) <= self.depth
        return any(self._below(prefix, namespace) for prefix in self.namespaces)

    def _below(self, prefix: tuple[str, ...], namespace: tuple[str, ...]) -> bool:
        deeper = len(namespace) - len(prefix)
        if deeper < 0 or (self.depth is not None and deeper > self.depth):
            return False
        return all(
            expected == segment or (":" not in expected and expected == segment.partition(":")[0])
            for expected, segment in zip(prefix, namespace, strict=False)
        )
