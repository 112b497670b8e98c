"""Receives published messages from the servers of a Redis or Valkey Cluster: one connection to each primary.

A channel has a slot like a key, and a process subscribes to it on the server of this slot. With sharded Pub/Sub
(Redis 7, Valkey) its messages stay on that server and its replicas; older servers send each message to all others.

When a slot moves to another server, the former one ends the subscription. When a server fails, its connection breaks.
In both cases the channel is subscribed on the server that has the slot then, and its handler receives `None`, because
messages may have been lost meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from slipway.redis.cluster_slots import slot_of
from slipway.redis.cluster_topology import ClusterTopology, Node, named_in
from slipway.redis.connection import Connection, pack, reply_error
from slipway.redis.server_subscriber import MESSAGE_PARTS, PING_EVERY_S, UNSUBSCRIBE_WITHIN_S
from slipway.redis.subscriber import MessageHandler

log = structlog.get_logger(__name__)

T = TypeVar("T")

_TRY_AGAIN_S: Final = 0.05
"""The pause before a channel is subscribed again that a server does not have at this moment."""
_TEMPORARY: Final = ("MOVED", "CLUSTERDOWN", "LOADING", "TRYAGAIN")


@dataclass(eq=False, slots=True)
class _Channel:
    """A channel with a handler."""

    name: bytes
    slot: int
    handler: MessageHandler
    acknowledged: asyncio.Future[None]
    """Done when the subscription was confirmed first."""
    server: _Server | None = None
    """Where it is subscribed, or will be."""
    confirmed: bool = False
    """Whether `server` has confirmed the subscription on its present connection."""


class _Server:
    """The channels on the connection to one server."""

    def __init__(self, subscriber: ClusterSubscriber, node: Node, name: str) -> None:
        self._subscriber, self._sharded = subscriber, subscriber.topology.has_sharded_pubsub
        self.connection = Connection(subscriber.topology.address.at(*node), name, self)
        self.channels: dict[bytes, _Channel] = {}
        self._unsubscribed: Counter[bytes] = Counter()
        """Unsubscriptions that the server has not confirmed."""
        self._ping_unanswered = False

    def add(self, channels: Iterable[_Channel]) -> None:
        """Subscribes to channels, as soon as it is connected."""
        added = list(channels)
        for channel in added:
            channel.server, channel.confirmed = self, False
            self.channels[channel.name] = channel
        self._subscribe(added)

    def remove(self, names: Iterable[bytes]) -> None:
        """Unsubscribes from channels."""
        removed = [name for name in names if self.channels.pop(name, None) is not None]
        if removed and self.connection.connected:
            self._unsubscribed.update(removed)
            self._send("UNSUBSCRIBE", removed)

    def ping(self) -> None:
        """Sends a ping. If the last one got no reply, closes the connection instead and opens it again."""
        if self.connection.connected and self._ping_unanswered:
            self.connection.disconnect()
        elif self.connection.connected:
            self._ping_unanswered = True
            self.connection.write([pack(("PING",))])

    def _subscribe(self, channels: Iterable[_Channel]) -> None:
        if self.connection.connected:
            self._send("SUBSCRIBE", [channel.name for channel in channels])

    def _send(self, verb: str, names: list[bytes]) -> None:
        """One command for all channels of a slot: a sharded one must not name two slots."""
        if not self._sharded:
            self.connection.write([pack((verb, *names))])
            return
        by_slot: dict[int, list[bytes]] = {}
        for name in names:
            by_slot.setdefault(slot_of(name), []).append(name)
        self.connection.write([pack((f"S{verb}", *each)) for each in by_slot.values()])

    # ConnectionOwner

    def on_connected(self) -> None:
        """Subscribes to the channels again."""
        self._ping_unanswered = False
        self._unsubscribed.clear()
        if self.channels:
            self._subscribe(self.channels.values())

    def on_lost(self) -> None:
        for channel in self.channels.values():
            channel.confirmed = False
        self._subscriber.topology.refresh()

    def on_unavailable(self) -> None:
        self._subscriber.topology.refresh()

    def on_reply(self, reply: Any) -> None:
        self._ping_unanswered = False
        if (error := reply_error(reply)) is not None:
            self._on_error(str(error))
            return
        if not isinstance(reply, list) or len(reply) != MESSAGE_PARTS:  # the reply to a ping
            return
        kind, name, payload = reply
        if kind in (b"smessage", b"message"):
            if (channel := self.channels.get(name)) is not None:
                channel.handler(payload)
        elif kind in (b"ssubscribe", b"subscribe"):
            if (channel := self.channels.get(name)) is not None:
                self._on_confirmed(channel)
        elif self._unsubscribed[name] > 0:
            self._unsubscribed[name] -= 1
        elif (channel := self.channels.pop(name, None)) is not None:  # its slot has moved
            self._subscriber.lose([channel])

    def _on_confirmed(self, channel: _Channel) -> None:
        if channel.confirmed:
            return
        channel.confirmed = True
        if channel.acknowledged.done():
            channel.handler(None)
        else:
            channel.acknowledged.set_result(None)

    def _on_error(self, problem: str) -> None:
        """A subscription was rejected. The error names at most a slot."""
        word, *rest = problem.split()
        if word not in _TEMPORARY:
            log.error("subscriber.error_received", problem=problem)
            return
        lost = [each for each in self.channels.values() if not each.confirmed]
        if word == "MOVED":
            slot, node = int(rest[0]), named_in(rest[1])
            lost = [each for each in self.channels.values() if each.slot == slot]
            if node is not None:
                self._subscriber.topology.moved(slot, node)
        for channel in lost:
            del self.channels[channel.name]
        self._subscriber.lose(lost)


class ClusterSubscriber:
    """Channels on the servers of one cluster. All subscriptions of one event loop iteration are sent in one write to
    each server."""

    def __init__(self, topology: ClusterTopology, name: str, *, ping_every_s: float = PING_EVERY_S) -> None:
        self.topology, self._name, self._ping_every_s = topology, name, ping_every_s
        self._servers: dict[Node, _Server] = {}
        self._channels: dict[bytes, _Channel] = {}
        self._unsent: list[_Channel] = []
        self._left: list[tuple[_Server, bytes]] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._flush_at = 0.0
        """When it is due: a timer of uvloop does not say when it is."""
        self._pings: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_open = False
        topology.listen(self._on_topology)

    @property
    def connected(self) -> bool:
        """Whether messages can arrive from all servers now."""
        return self._is_open and all(server.connection.connected for server in self._servers.values())

    async def open(self) -> None:
        """Reads the topology and connects to all primaries. Raises `ConfigError` if the address is not that of a
        complete cluster, and `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self.topology.open()
        servers = {node: _Server(self, node, self._name) for node in self.topology.primaries}
        opening = (server.connection.open() for server in servers.values())
        results = await asyncio.gather(*opening, return_exceptions=True)
        problems = [result for result in results if isinstance(result, BaseException)]
        if problems:
            await asyncio.gather(*(server.connection.close() for server in servers.values()))
            self.topology.refresh()  # for a later call: the cluster may replace the server
            raise problems[0]
        self._servers, self._is_open = servers, True
        self._ping_later()

    async def close(self) -> None:
        """Disconnects from all servers. No handler receives anything more."""
        self._is_open = False
        for timer in (self._flushing, self._pings):
            if timer is not None:
                timer.cancel()
        await self.topology.close(self._on_topology)
        await asyncio.gather(*(server.connection.close() for server in self._servers.values()), *self._closing)

    def reconnect(self) -> None:
        """Closes all sockets at once and opens new ones."""
        for server in self._servers.values():
            server.connection.disconnect()

    def subscribe(self, channel: str, handler: MessageHandler) -> asyncio.Future[None]:
        """Subscribes to a channel, which can have one handler. When the future is done, Redis has confirmed the
        subscription, and `handler` receives every message."""
        name = channel.encode()
        subscribed = _Channel(name, slot_of(name), handler, self._loop.create_future())
        self._leave(name)
        self._channels[name] = subscribed
        self._unsent.append(subscribed)
        self._flush_within(0)
        return subscribed.acknowledged

    def unsubscribe(self, channel: str) -> None:
        """The handler of the channel receives nothing more. Redis is told within `UNSUBSCRIBE_WITHIN_S`."""
        self._leave(channel.encode())

    def ping(self) -> None:
        """Sends a ping to each server. If the last one got no reply, closes that connection instead and opens it
        again."""
        for server in self._servers.values():
            server.ping()

    def lose(self, channels: Iterable[_Channel]) -> None:
        """Subscribes to channels again that a server does not have any more."""
        for channel in channels:
            channel.server, channel.confirmed = None, False
            self._unsent.append(channel)
        self.topology.refresh()
        self._flush_within(_TRY_AGAIN_S)

    def _leave(self, name: bytes) -> None:
        channel = self._channels.pop(name, None)
        if channel is None or channel.server is None:
            return
        channel.handler = _ignore
        self._left.append((channel.server, name))
        self._flush_within(UNSUBSCRIBE_WITHIN_S)

    def _flush_within(self, seconds: float) -> None:
        due_at = self._loop.time() + seconds
        if self._flushing is not None:
            if self._flush_at <= due_at:
                return
            self._flushing.cancel()
        self._flush_at, self._flushing = due_at, self._loop.call_at(due_at, self._flush)

    def _flush(self) -> None:
        """Sends what is not sent yet, the unsubscriptions before the subscriptions."""
        self._flushing = None
        left, self._left = self._left, []
        unsent, self._unsent = self._unsent, []
        for server, names in _grouped(left):
            server.remove(names)
        wanted = [channel for channel in unsent if self._channels.get(channel.name) is channel]
        for server, channels in _grouped((self._server_of(channel), channel) for channel in wanted):
            server.add(channels)

    def _server_of(self, channel: _Channel) -> _Server:
        node = self.topology.slots[channel.slot]
        server = self._servers.get(node)
        if server is None:
            server = self._servers[node] = _Server(self, node, self._name)
            server.connection.start()
        return server

    def _on_topology(self) -> bool:
        """Subscribes to channels where their slots are now, and leaves servers without slots."""
        if not self._is_open:
            return True
        moved = [(channel.server, channel) for channel in self._channels.values() if self._is_elsewhere(channel)]
        for server, channels in _grouped((server, channel) for server, channel in moved if server is not None):
            server.remove([channel.name for channel in channels])
        for server, channels in _grouped((self._server_of(channel), channel) for _, channel in moved):
            server.add(channels)
        primaries = self.topology.primaries
        for node in self._servers.keys() - primaries:
            task = asyncio.create_task(self._servers.pop(node).connection.close(), name=f"leave a server: {self._name}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for node in primaries - self._servers.keys():
            self._servers[node] = _Server(self, node, self._name)
            self._servers[node].connection.start()
        return all(server.connection.connected for server in self._servers.values())

    def _is_elsewhere(self, channel: _Channel) -> bool:
        """Whether another server has its slot than the one where it is subscribed."""
        return channel.server is not None and channel.server is not self._servers.get(self.topology.slots[channel.slot])

    def _ping_later(self) -> None:
        self._pings = self._loop.call_later(self._ping_every_s, self._on_ping_due)

    def _on_ping_due(self) -> None:
        self.ping()
        self._ping_later()


def _grouped(pairs: Iterable[tuple[_Server, T]]) -> Iterator[tuple[_Server, list[T]]]:
    """What belongs to each server, in order."""
    groups: dict[_Server, list[T]] = {}
    for server, each in pairs:
        groups.setdefault(server, []).append(each)
    yield from groups.items()


def _ignore(message: bytes | None) -> None:
    """The handler of a channel that nobody follows any more."""
