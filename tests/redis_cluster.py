"""A real cluster of Valkey that tests start: three primaries with a replica each."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import redis

from slipway.processes.valkey_program import valkey_program

SLOTS: Final = 16384
NODE_TIMEOUT_MS: Final = 1500
"""A primary that its peers do not reach for this time is replaced by its replica."""
SOCKET: Final = "valkey.sock"
"""The unix socket of each server, in its folder."""
WITHIN_S: Final = 20.0
_MOVED_KEYS_AT_ONCE: Final = 100


@dataclass(slots=True)
class Node:
    """One server. `port` is where clients connect; `announced_port` is the port that the cluster tells clients."""

    number: int
    port: int
    bus_port: int
    announced_port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def node_id(self) -> str:
        return f"{self.number + 1:040x}"

    @property
    def client(self) -> redis.Redis:
        """A client for this node alone, without a cluster."""
        return redis.Redis("127.0.0.1", self.port, decode_responses=True, socket_timeout=WITHIN_S)

    def call(self, *words: Any) -> Any:
        """The reply of this node to one command."""
        with self.client as client:
            return client.execute_command(*words)

    @property
    def slots(self) -> Sequence[Any]:
        """Which nodes serve which slots, as this node says."""
        return cast(Sequence[Any], self.call("CLUSTER", "SLOTS"))


class RedisCluster:
    """The nodes of a cluster. The first half of them begin as primaries, the others as their replicas. Methods block
    until the cluster agrees; those that need long are called in a thread by tests that send meanwhile."""

    def __init__(self, folder: Path, primaries: int, replicas: int) -> None:
        ports = _free_ports(2 * (primaries + replicas))
        self.nodes = [
            Node(number, port, bus_port, port, folder / str(number))
            for number, (port, bus_port) in enumerate(zip(ports[::2], ports[1::2], strict=True))
        ]
        self._count = primaries
        self.absent: set[int] = set()
        """The numbers of nodes that are suspended."""
        for node in self.nodes:
            node.folder.mkdir()
            (node.folder / "nodes.conf").write_text(self._configuration(node))

    def _configuration(self, myself: Node) -> str:
        """The file in which a node keeps what it knows of the cluster: with all of it, the cluster is complete as soon
        as its nodes have started."""
        lines = []
        for node in self.nodes:
            primary = self.nodes[node.number % self._count]
            flags = "master" if node is primary else "slave"
            first, end = (SLOTS * number // self._count for number in (node.number, node.number + 1))
            words = (
                node.node_id,
                f"127.0.0.1:{node.announced_port}@{node.bus_port},,tls-port=0,shard-id={primary.number + 1:040x}",
                f"myself,{flags}" if node is myself else flags,
                "-" if node is primary else primary.node_id,
                *("0", "0", str(primary.number + 1), "connected"),
                *((f"{first}-{end - 1}",) if node is primary else ()),
            )
            lines.append(" ".join(words))
        return "\n".join([*lines, f"vars currentEpoch {self._count} lastVoteEpoch 0", ""])

    @property
    def hosts(self) -> str:
        """The addresses of all nodes, as in the URL of a cluster."""
        return ",".join(f"127.0.0.1:{node.announced_port}" for node in self.nodes)

    @property
    def url(self) -> str:
        return f"redis://{self.hosts}"

    def start(self, *options: str) -> None:
        """Starts all nodes, and waits until the cluster serves all slots and has its replicas."""
        self._options = options
        for node in self.nodes:
            self._start(node)
        self.wait_until_complete()

    def _start(self, node: Node) -> None:
        node.process = subprocess.Popen(
            [
                *(str(valkey_program()), "--port", str(node.port), "--bind", "127.0.0.1", "--dir", str(node.folder)),
                *("--save", "", "--appendonly", "no", "--cluster-enabled", "yes"),
                *("--cluster-port", str(node.bus_port), "--unixsocket", SOCKET),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-replica-validity-factor", "0"),
                *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *self._options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for node in self.nodes:
            self.kill(node)

    def kill(self, node: Node) -> None:
        """Kills a node with SIGKILL."""
        if node.process is not None:
            node.process.send_signal(signal.SIGKILL)
            node.process.wait(WITHIN_S)
            node.process = None

    @contextlib.contextmanager
    def suspended(self, node: Node) -> Iterator[None]:
        """Within the block, a node does nothing, and its connections stay open."""
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        self.absent.add(node.number)
        try:
            yield
        finally:
            node.process.send_signal(signal.SIGCONT)
            self.absent.discard(node.number)

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.process is not None and node.number not in self.absent]

    def complete(self) -> bool:
        """Starts nodes that were killed, and waits until the cluster is whole again: all slots stable, each primary
        with a replica."""
        for node in self.nodes:
            if node.process is None:
                self._start(node)
        self.wait_until_complete()
        return True

    def wait_until_complete(self) -> None:
        """Waits until all running nodes agree which primary serves each slot, and replicas are in sync."""
        _until(self._is_complete)

    def _is_complete(self) -> bool:
        views = []
        for node in self.running:
            if "cluster_state:ok" not in node.call("CLUSTER", "INFO"):
                return False
            replication = node.call("INFO", "replication")
            if replication["role"] == "slave" and replication["master_link_status"] != "up":
                return False
            views.append({(low, high): tuple(primary[:2]) for low, high, primary, *_ in node.slots})
        replicas = len(self.nodes) - self._count
        roles = [node.call("ROLE")[0] for node in self.running]
        return all(view == views[0] for view in views) and (
            len(self.running) < len(self.nodes) or roles.count("slave") == replicas
        )

    def primary_of(self, slot: int) -> Node:
        """The node that serves a slot, as most running nodes say."""
        claims = [port for node in self.running for low, high, (_, port, *_), *_ in node.slots if low <= slot <= high]
        port = max(set(claims), key=claims.count)
        return next(node for node in self.nodes if node.announced_port == port)

    @property
    def primaries(self) -> list[Node]:
        return [node for node in self.running if node.call("ROLE")[0] == "master"]

    def other_primary(self, node: Node) -> Node:
        """A primary that is not this node."""
        return next(each for each in self.primaries if each is not node)

    def announce(self, node: Node, port: int) -> None:
        """From now on the cluster tells clients this port of a node."""
        node.announced_port = port
        node.call("CONFIG", "SET", "cluster-announce-port", port)
        _until(lambda: all(port in _ports(each) for each in self.running))

    def fail_over(self, slot: int) -> None:
        """Promotes the replica of the primary that serves a slot, as an operator does for maintenance."""
        primary = self.primary_of(slot)
        replica = next(node for node in self.running if node.call("ROLE")[:3] == ["slave", "127.0.0.1", primary.port])
        replica.call("CLUSTER", "FAILOVER")
        _until(lambda: self.primary_of(slot) is replica)
        self.wait_until_complete()

    # moving a slot key by key

    def begin_move(self, slot: int, source: Node, target: Node) -> None:
        """From now on the slot is being moved: keys that `source` does not have any more are asked from `target`."""
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))

    def move_keys(self, slot: int, source: Node, target: Node, count: int = _MOVED_KEYS_AT_ONCE) -> int:
        """Moves at most `count` keys of the slot. Returns how many were left to be moved."""
        names = source.call("CLUSTER", "GETKEYSINSLOT", slot, count)
        if names:
            source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
        return len(names)

    def end_move(self, slot: int, source: Node, target: Node) -> None:
        """The slot belongs to `target` alone. Waits until all nodes know it."""
        for node in (target, source, *(each for each in self.primaries if each not in (source, target))):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", _id(target))
        self.wait_until_complete()

    def move_slot(self, slot: int, target: Node) -> None:
        """Moves a slot key by key."""
        source = self.primary_of(slot)
        self.begin_move(slot, source, target)
        while self.move_keys(slot, source, target):
            pass
        self.end_move(slot, source, target)

    def move_slot_at_once(self, slot: int, target: Node) -> None:
        """Moves a slot as Valkey 9 does: copied like to a replica, then handed over in a moment."""
        source = self.primary_of(slot)
        source.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", _id(target))
        _until(lambda: self.primary_of(slot) is target)
        self.wait_until_complete()


def _id(node: Node) -> str:
    return str(node.call("CLUSTER", "MYID"))


def _ports(node: Node) -> list[int]:
    return [port for _, _, *servers in node.slots for _, port, *_ in servers]


def _until(predicate: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            if predicate():
                return
        assert time.monotonic() < deadline, f"the cluster did not settle within {WITHIN_S:g} s"
        time.sleep(0.02)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextlib.contextmanager
def running_cluster(*options: str, primaries: int = 3, replicas: int = 3) -> Iterator[RedisCluster]:
    """A cluster, which stops at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-cluster-"))
    cluster = RedisCluster(folder, primaries, replicas)
    try:
        cluster.start(*options)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
