"""Sends commands to the servers of a Redis or Valkey Cluster: one connection to each primary.

A command goes to the server that has the slot of its first key, a script to the server of its shard. Servers answer
while slots move:

- MOVED: another server has the slot now. The command is sent to that server, and the topology is read again.
- ASK: the slot is being moved, and this key is already at the other server. The command is sent to that one, once.
- TRYAGAIN: the slot is being moved, and the keys of the command are on two servers. It is sent again after a pause.
- CLUSTERDOWN: no server has the slot at this moment. The topology is read again, then the command is sent again.
- UNBLOCKED: a server ended a command that blocked, because it is not a primary any more.

None of them has executed the command, so each command is sent again, also one that is not repeatable, until its timeout
is over. If a connection is lost, repeatable commands without a reply are sent to the server that then has the slot; the
others fail with `StoreUnavailable`.

Commands of one shard that are sent one after another are executed in this order, unless one is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from slipway.redis.cluster_slots import ANYWHERE, first_key_of, guard_keys, slot_of
from slipway.redis.cluster_topology import ClusterTopology, Node, named_in
from slipway.redis.connection import Address, Arg, pack
from slipway.redis.script import Script
from slipway.redis.server_pipeline import Command, Router, ServerPipeline, fail, script_call
from slipway.redis.shard_ids import shard_in

_TRY_AGAIN_S: Final = 0.05
"""The pause before a command is sent again to a cluster that cannot execute it at this moment."""
_REDIRECTS_AT_ONCE: Final = 3
"""How often a command is redirected without a pause. Servers that do not agree yet name each other."""
_IN_A_SCRIPT: Final = " script: "
"""An error with this text comes from inside a script, so a part of the script was executed."""
_REDIRECT_WORDS: Final = 3
_LAST_REPLIES_WITHIN_S: Final = 1.0
"""Seconds in which a server that has no slots any more may reply to what it was sent before."""
_ASKING: Final = pack(("ASKING",))


class ConnectServer(Protocol):
    """Makes a pipeline to one server, which is not open yet."""

    def __call__(
        self,
        address: Address,
        name: str,
        *,
        router: Router,
        on_connected: Callable[[], object],
        large: Callable[[], ServerPipeline] | None,
    ) -> ServerPipeline: ...


class _Shard(NamedTuple):
    """The shard of a script call."""

    slot: int
    guards: tuple[str, ...]


class ClusterPipeline:
    """Commands to a cluster. `connect` makes the pipeline to one of its servers. `patience_s` is the timeout of a
    command, `on_connected` is called whenever a server is connected. With `large_commands`, large commands have a
    connection of their own to each server. Without `counts_metrics`, scripts count nothing for metrics."""

    def __init__(
        self,
        topology: ClusterTopology,
        name: str,
        connect: ConnectServer,
        *,
        patience_s: float,
        on_connected: Callable[[], object] = lambda: None,
        large_commands: bool = False,
        counts_metrics: bool = True,
    ) -> None:
        self.topology, self._name, self._connect = topology, name, connect
        self._patience_s, self._call_when_connected = patience_s, on_connected
        self._large_commands, self._counts_metrics = large_commands, counts_metrics
        self._servers: dict[Node, ServerPipeline] = {}
        self._shards: dict[str, _Shard] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._connections = self._round_trips = 0
        """Of servers that are not used any more."""
        self._is_open = self._closed = False
        topology.listen(self._on_topology)

    async def open(self) -> None:
        """Reads the topology and connects to all primaries. Raises `ConfigError` if the address is not that of a
        complete cluster, and `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self.topology.open()
        servers = {node: self._server(node) for node in self.topology.primaries}
        results = await asyncio.gather(*(server.open() for server in servers.values()), return_exceptions=True)
        problems = [result for result in results if isinstance(result, BaseException)]
        if problems:
            await asyncio.gather(*(server.close() for server in servers.values()))
            self.topology.refresh()  # for a later call: the cluster may replace the server
            raise problems[0]
        self._servers, self._is_open = servers, True

    async def close(self) -> None:
        """Disconnects from all servers. Commands without a reply fail with `StoreUnavailable`."""
        self._closed = True
        await self.topology.close(self._on_topology)
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    def reconnect(self) -> None:
        """Closes all sockets at once and opens new ones."""
        for server in self._servers.values():
            server.reconnect()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which it was opened. Replies arrive on this loop."""
        return self._loop

    @property
    def connected(self) -> bool:
        """Whether a command to any server would be sent at once."""
        return self._is_open and all(server.connected for server in self._servers.values())

    @property
    def reconnected(self) -> bool:
        """Whether a connection to any server broke at least once and was opened again."""
        return any(server.reconnected for server in self._servers.values())

    def connected_for_s(self) -> float:
        """The age of the youngest connection; 0 while one is missing."""
        return min((server.connected_for_s() for server in self._servers.values()), default=0.0)

    @property
    def connections(self) -> int:
        """How often it has connected to a server."""
        return self._connections + sum(server.connections for server in self._servers.values())

    @property
    def round_trips(self) -> int:
        """How many writes it has sent, to all servers together."""
        return self._round_trips + sum(server.round_trips for server in self._servers.values())

    @property
    def servers(self) -> Mapping[str, ServerPipeline]:
        """A pipeline to each primary, by its address: for commands about servers."""
        return {str(self.topology.address.at(*node)): server for node, server in self._servers.items()}

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        """Sends one command to the server of its first key, together with all others of this event loop iteration. For
        a command without a key, `at` is a key, or the key prefix, of the shard whose server executes it."""
        key = first_key_of(args)
        if key is None:
            assert at is not None or args[0] in ANYWHERE, f"{args[0]!r} has no key: `at` must name a shard"
            assert args[0] != "SCAN" or shard_in(at or ""), "SCAN finds keys of one server: name a shard"
            key = at or ""
        reply = self._loop.create_future()
        command = Command(pack(args), reply, repeatable, self._loop.time() + self._patience_s, slot=slot_of(key))
        self.route(command)
        return reply

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        """Calls a script on the server of its shard: that of its first key, or else of the key prefix, which is its
        first argument. With the keys, it declares the guard keys of the shard (`cluster_slots.guard_keys`)."""
        if script.uncounted is not None and not self._counts_metrics:
            script = script.uncounted
        if script.sharded is not None and self.topology.has_sharded_pubsub:
            script = script.sharded
        shard = self._shard(keys[0] if keys else _text(args[0]))
        deadline = self._loop.time() + self._patience_s
        command = script_call(script, [*keys, *shard.guards], args, self._loop, deadline)
        command.slot = shard.slot
        return self._server_of(shard.slot).accept(command, may_be_overtaken)

    async def will_be_executed(self) -> bool:
        """False: a server may redirect each command, and then needs this process for a second try."""
        return False

    def _shard(self, key: str) -> _Shard:
        name = shard_in(key)
        if not name:  # a record that stands alone, in one key
            return _Shard(slot_of(key), ())
        if name not in self._shards:
            self._shards[name] = _Shard(slot_of(name), guard_keys(name))
        return self._shards[name]

    # Router

    def route(self, command: Command) -> None:
        """Sends a command to the server that has its slot now."""
        assert command.slot is not None
        if self._closed:
            fail([command], "the connection was closed")
        else:
            self._server_of(command.slot).take_over([command])

    def on_error(self, command: Command, reason: str) -> bool:
        if command.slot is None or _IN_A_SCRIPT in reason:
            return False
        word, *rest = reason.split(maxsplit=_REDIRECT_WORDS)
        if word not in ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED"):
            return False
        named = named_in(rest[1]) if word in ("MOVED", "ASK") else None
        command.redirects += named is not None
        if self._loop.time() >= command.deadline or self._closed:
            fail([command], f"it cannot do this now: {reason}")
        elif word == "ASK" and named is not None:
            asking = Command(_ASKING, self._loop.create_future(), False, command.deadline)
            asking.reply.cancel()  # nobody needs it
            self._server(named).take_over([asking, command])
        elif named is not None and command.redirects <= _REDIRECTS_AT_ONCE:
            self.topology.moved(command.slot, named)
            self.route(command)
        else:
            if word != "TRYAGAIN":
                self.topology.refresh()
            self._loop.call_later(_TRY_AGAIN_S, self.route, command)
        return True

    def on_lost(self) -> None:
        if self._is_open and not self._closed:
            self.topology.refresh()

    def _server_of(self, slot: int) -> ServerPipeline:
        return self._server(self.topology.slots[slot])

    def _server(self, node: Node) -> ServerPipeline:
        """The pipeline to a server. It connects in the background if there is none."""
        server = self._servers.get(node)
        if server is None:
            server = self._new_server(node)
            if self._is_open:
                self._servers[node] = server
                server.start()
        return server

    def _new_server(self, node: Node) -> ServerPipeline:
        address = self.topology.address.at(*node)
        large = partial(self._connect, address, f"{self._name} large", router=self, on_connected=_nothing, large=None)
        return self._connect(
            address,
            self._name,
            router=self,
            on_connected=self._call_when_connected,
            large=large if self._large_commands else None,
        )

    def _on_topology(self) -> bool:
        """Sends what waits for a lost server to the server that has the slots now, and leaves servers without slots."""
        if not self._is_open or self._closed:
            return True
        primaries = self.topology.primaries
        waiting = [command for server in self._servers.values() for command in server.hand_over()]
        for node in self._servers.keys() - primaries:
            self._retire(self._servers.pop(node))
        servers = [self._server(node) for node in primaries]
        for command in waiting:
            self.route(command)
        return all(server.connected for server in servers)

    def _retire(self, server: ServerPipeline) -> None:
        """Closes a pipeline as soon as its replies have arrived, or if they do not arrive any more."""
        self._connections += server.connections
        self._round_trips += server.round_trips
        task = asyncio.create_task(self._leave(server), name=f"leave a server of {self._name}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _leave(self, server: ServerPipeline) -> None:
        for command in await server.leave(_LAST_REPLIES_WITHIN_S):
            self.route(command)


def _text(word: Arg) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


def _nothing() -> None:
    """Nobody needs to know when a connection for large commands is open."""
