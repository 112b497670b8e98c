"""Which events of a thread a subscription of the event protocol is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.errors import RefusedRequest
from slipway.event_protocol.run_translator import ProtocolEvent

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
    """`namespaces` are prefixes, None for any; `depth` is how many segments deeper than a prefix an event may lie."""

    channels: frozenset[str]
    namespaces: tuple[tuple[str, ...], ...] | None = None
    depth: int | None = None

    @classmethod
    def of(
        cls, channels: Sequence[str], namespaces: Sequence[Sequence[str]] | None = None, depth: int | None = None
    ) -> EventFilter:
        """Raises `RefusedRequest` for no channel, and for one that there is not."""
        if not channels:
            raise RefusedRequest(f"channels: name at least one of {', '.join(CHANNELS)} or {NAMED}<name>")
        for channel in channels:
            if channel not in CHANNELS and not (channel.startswith(NAMED) and len(channel) > len(NAMED)):
                raise RefusedRequest(f"channels: {channel!r} is not one of {', '.join(CHANNELS)} or {NAMED}<name>")
        prefixes = None if namespaces is None else tuple(tuple(prefix) for prefix in namespaces)
        return cls(frozenset(channels), prefixes, depth)

    def wants(self, event: ProtocolEvent) -> bool:
        """Whether the event is for this subscription."""
        return self._in_channel(event) and self._in_place(event.namespace)

    def _in_channel(self, event: ProtocolEvent) -> bool:
        channel = event.method.partition(".")[0]
        return channel in self.channels or (channel == "custom" and f"{NAMED}{event.data.get('name')}" in self.channels)

    def _in_place(self, namespace: tuple[str, ...]) -> bool:
        if self.namespaces is None:
            return self.depth is None or len(namespace) <= self.depth
        return any(self._below(prefix, namespace) for prefix in self.namespaces)

    def _below(self, prefix: tuple[str, ...], namespace: tuple[str, ...]) -> bool:
        deeper = len(namespace) - len(prefix)
        if deeper < 0 or (self.depth is not None and deeper > self.depth):
            return False
        return all(
            wanted == segment or (":" not in wanted and wanted == segment.partition(":")[0])
            for wanted, segment in zip(prefix, namespace, strict=False)
        )
