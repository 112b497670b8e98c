"""Which server of a cluster has which slots. redis-py reads and checks it (`redis.asyncio.cluster.NodesManager`); its
connections are closed after each read.

A topology is read again when a server names another one (MOVED), when the cluster is down, and when a connection is
lost; as long as a connection to a server with slots is missing, at an interval, because the cluster replaces a server
that does not reply after a time (`cluster-node-timeout`).
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from redis.asyncio.cluster import ClusterNode, NodesManager
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.cluster_slots import SLOTS
from slipway.redis.connection import Address, UntrustedCertificate

log = structlog.get_logger(__name__)

_CONNECT_WITHIN_S: Final = 1.0
_REPLY_WITHIN_S: Final = 2.0
_LEAST_PAUSE_S: Final = 0.1
"""The least time between two reads."""
_MOST_PAUSE_S: Final = 0.5
"""The time between two reads while a connection is missing."""
_NOT_A_CLUSTER: Final = "cluster support disabled"

IsSettled = Callable[[], bool]
"""Called after each read. Returns whether all connections to servers with slots are open."""


class Node(NamedTuple):
    """A server of a cluster, as the cluster names it to its clients."""

    host: str
    port: int


class ClusterTopology:
    """The servers of one cluster, for one event loop. `address` names some of its servers."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.slots: list[Node] = []
        """The server of each slot."""
        self.has_sharded_pubsub = True
        """Whether messages stay on the servers of their slot (Redis 7, Valkey), instead of being sent to all."""
        self._known: list[Node] = [Node(*each) for each in address.hosts]
        self._listeners: list[IsSettled] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._stale = False

    @property
    def primaries(self) -> frozenset[Node]:
        """The servers that have slots."""
        return frozenset(self.slots)

    async def open(self) -> None:
        """Reads the topology, unless it is known. Raises `ConfigError` if the server is not one of a cluster, or if a
        slot has no server, and `StoreUnavailable` if no server replies."""
        if not self.slots:
            await self._read()
            await self._read_abilities()

    async def close(self, listener: IsSettled) -> None:
        """Ends what it does for a listener. After the last one, nothing is read any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    def listen(self, listener: IsSettled) -> None:
        """From now on `listener` is called after each read."""
        self._listeners.append(listener)

    def moved(self, slot: int, node: Node) -> None:
        """A server has named another server for a slot."""
        self.slots[slot] = node
        self.refresh()

    def refresh(self) -> None:
        """Reads the topology soon. Calls until then are one."""
        self._stale = True
        if self._listeners and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh(), name=f"topology of {self.address}")

    async def _refresh(self) -> None:
        pause_s, logged = _LEAST_PAUSE_S, ""
        while self._stale:
            self._stale = False
            try:
                await self._read()
            except (StoreUnavailable, ConfigError) as error:
                self._stale = True
                if str(error) != logged:
                    log.warning("cluster.not_read", problem=str(error))
                logged = str(error)
            settled = [listener() for listener in self._listeners]
            self._stale |= not all(settled)
            await asyncio.sleep(pause_s)  # others may change it meanwhile, and servers agree after a moment
            pause_s = min(_MOST_PAUSE_S, 2 * pause_s)

    async def _read(self) -> None:
        asked = [self._redis_node(node) for node in random.sample(self._known, len(self._known))]
        manager = NodesManager(asked, require_full_coverage=True, connection_kwargs=self._options())
        try:
            await manager.initialize()
        except RedisClusterException as error:
            raise self._problem(error) from error
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the cluster at {self.address} does not reply: {error}") from error
        finally:
            await asyncio.gather(*(node.disconnect() for node in asked), return_exceptions=True)
        self.slots = [_node(manager.slots_cache[slot][0]) for slot in range(SLOTS)]
        named = [Node(*each) for each in self.address.hosts]
        self._known = list(dict.fromkeys([*map(_node, manager.nodes_cache.values()), *named]))

    async def _read_abilities(self) -> None:
        node = self._redis_node(self.slots[0])
        try:
            (ability,) = await node.execute_command("COMMAND", "INFO", "SPUBLISH")
            self.has_sharded_pubsub = bool(ability)
        except ResponseError:  # this user is not authorized for COMMAND
            self.has_sharded_pubsub = True
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the cluster at {self.address} does not reply: {error}") from error
        finally:
            await node.disconnect()

    def _redis_node(self, node: Node) -> ClusterNode:
        return ClusterNode(node.host, node.port, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            **self.address.redis_py_options(),
            "socket_connect_timeout": _CONNECT_WITHIN_S,
            "socket_timeout": _REPLY_WITHIN_S,
            "retry": Retry(NoBackoff(), 0),
        }

    def _problem(self, error: RedisClusterException) -> Exception:
        reasons = _chain(error)
        for reason in reasons:
            if isinstance(reason, ssl.SSLCertVerificationError):
                return UntrustedCertificate(str(self.address), reason.verify_message)
        if any(_NOT_A_CLUSTER in str(reason) for reason in reasons):
            return ConfigError(
                f"Redis at {self.address} is not a cluster: leave out SLIPWAY_REDIS_CLUSTER, and name one server in "
                "SLIPWAY_REDIS_URL or REDIS_URL"
            )
        if "slots are not covered" in str(error).lower():
            return ConfigError(
                f"the cluster at {self.address} has too few nodes: {_share(str(error))} slots have a server; assign "
                "the others (valkey-cli --cluster fix)"
            )
        refused = [reason for reason in reasons if isinstance(reason, ResponseError)]
        if refused:
            return StoreUnavailable(f"Redis at {self.address} rejects this client: {refused[0]}")
        return StoreUnavailable(f"the cluster at {self.address} does not reply: {reasons[-1]}")


def named_in(address: str) -> Node | None:
    """The server in an error such as `MOVED 3999 127.0.0.1:6381`, from its last word. None if that has only a port."""
    host, _, port = address.rpartition(":")
    return Node(host.removeprefix("[").removesuffix("]"), int(port)) if host else None


def _node(found: ClusterNode) -> Node:
    return Node(str(found.host), int(found.port))


def _chain(error: BaseException | None) -> Sequence[BaseException]:
    """The error, and those because of which it was raised."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _share(text: str) -> str:
    """Such as `10922 of 16384`, from redis-py's sentence."""
    words = text.split()
    at = words.index("of")
    return " ".join(words[at - 1 : at + 2])
