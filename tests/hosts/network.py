"""Hosts of a test: Linux network namespaces, connected by two bridges, and cut off without closing a socket.

The `private` network connects the hosts with each other and with Redis, the `public` one connects web hosts with the
clients. The thread that creates a `Network` is the clients' host. `in_own_namespace` gives it a network namespace of
its own, so no name or address can collide with others on the machine, and the kernel removes everything when the
processes have exited.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from slipway.processes import exec_bound_to_parent
from tests.waiting import wait_until

NetworkName = Literal["private", "public"]
NETWORKS: Final[tuple[NetworkName, ...]] = ("private", "public")

_CREATED_WITHIN_S: Final = 10.0
_NEW_NAMESPACE: Final = 0x40000000
"""CLONE_NEWNET of Linux."""
_OWN_NAMESPACE: Final = Path("/proc/thread-self/ns/net")

_Result = TypeVar("_Result")


def missing_requirement() -> str | None:
    """Why no network of hosts can be created here; None if it can."""
    script = "ip link add test0 type veth peer name test1 && ip link add test2 type bridge"
    try:
        done = subprocess.run(
            ("unshare", "--net", "sh", "-c", script),
            check=False,
            capture_output=True,
            text=True,
            timeout=_CREATED_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"network namespaces need the command `unshare` of util-linux: {error}"
    if done.returncode:
        return f"network namespaces, veth pairs and bridges are not permitted here: {done.stderr.strip()}"
    return None


def in_own_namespace(main: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Executes `main` on an event loop in a thread that has a network namespace of its own. What it starts has the
    same namespace."""

    def execute() -> _Result:
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAMESPACE):
            raise OSError(ctypes.get_errno(), "no network namespace can be created")
        return asyncio.run(main())

    with ThreadPoolExecutor(1, "own network namespace") as threads:
        return threads.submit(execute).result()


class Host:
    """A network namespace with an address in the private network and, for web hosts, one in the public network.
    Commands that begin with `enter` are executed on it."""

    def __init__(self, number: int, *, is_public: bool) -> None:
        self._number = number
        launcher = (
            sys.executable,
            "-I",
            "-S",
            exec_bound_to_parent.__file__,
            str(os.getpid()),
            str(int(signal.SIGKILL)),
        )
        self._holder = subprocess.Popen((*launcher, "unshare", "--net", "sleep", "infinity"), stdin=subprocess.DEVNULL)
        self.networks = NETWORKS if is_public else NETWORKS[:1]
        self.cut_from: set[NetworkName] = set()

    @property
    def enter(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")

    def address(self, network: NetworkName = "private") -> str:
        return _address(network, self._number)

    async def connect(self) -> None:
        """Connects the namespace with its networks, when it exists."""
        own, created = _OWN_NAMESPACE.readlink(), Path(f"/proc/{self._holder.pid}/ns/net")
        await wait_until(lambda: created.readlink() != own, _CREATED_WITHIN_S)
        self._ip("link", "set", "lo", "up")
        for network in self.networks:
            port, device = self._port(network), network
            _ip("link", "add", port, "type", "veth", "peer", "name", device, "netns", str(self._holder.pid))
            _ip("link", "set", port, "master", network, "up")
            self._ip("addr", "add", f"{self.address(network)}/24", "dev", device)
            self._ip("link", "set", device, "up")

    def know(self, other: Host) -> None:
        """Stores the hardware address of another host, as a router does that forwards to it: while one of both is cut
        off, packets get lost, and no attempt to connect fails early."""
        self._ip(
            "neigh",
            "replace",
            other.address(),
            "lladdr",
            other.hardware_address(),
            "dev",
            "private",
            "nud",
            "permanent",
        )

    def hardware_address(self) -> str:
        """That of its device in the private network."""
        command = (*self.enter, "ip", "-json", "link", "show", "private")
        [device] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return str(device["address"])

    def cut(self, *networks: NetworkName) -> None:
        """From now on, every packet from and to this host is lost in these networks (in all, if none is named). No
        socket is closed, and no side is told: the devices stay up, but that of the bridge belongs to no bridge."""
        for network in networks or self.networks:
            _ip("link", "set", self._port(network), "nomaster")
            self.cut_from.add(network)

    def heal(self) -> None:
        """Connects the host with all its networks again."""
        for network in tuple(self.cut_from):
            _ip("link", "set", self._port(network), "master", network)
            self.cut_from.remove(network)

    @contextmanager
    def cut_off(self, *networks: NetworkName) -> Iterator[None]:
        """The host is cut off while the block is executed."""
        self.cut(*networks)
        try:
            yield
        finally:
            self.heal()

    def _port(self, network: NetworkName) -> str:
        return f"{network}-{self._number}"

    def _ip(self, *arguments: str) -> None:
        subprocess.run((*self.enter, "ip", *arguments), check=True)

    def close(self) -> None:
        """Ends the namespace, when its last process has exited."""
        self._holder.kill()
        self._holder.wait()


class Network:
    """The two bridges and their hosts. `close` ends the namespaces of the hosts."""

    def __init__(self) -> None:
        assert _devices() == ["lo"], "a network of hosts needs a network namespace of its own (`in_own_namespace`)"
        self._numbers, self._open = count(2), ExitStack()
        self._hosts: list[Host] = []
        _ip("link", "set", "lo", "up")
        for network in NETWORKS:
            # with an address of its own: otherwise a bridge has that of one of its ports, which are removed and added
            address = f"02:00:00:00:00:{NETWORKS.index(network):02x}"
            _ip("link", "add", network, "address", address, "type", "bridge")
            _ip("addr", "add", f"{_address(network, 1)}/24", "dev", network)
            _ip("link", "set", network, "up")

    async def add_host(self, *, is_public: bool = False) -> Host:
        """A host that is connected, and that knows all others."""
        host = Host(next(self._numbers), is_public=is_public)
        self._open.callback(host.close)
        await host.connect()
        known = ("lladdr", host.hardware_address(), "dev", "private", "nud", "permanent")
        _ip("neigh", "replace", host.address(), *known)  # otherwise the kernel keeps packets until it is healed
        for other in self._hosts:
            host.know(other)
            other.know(host)
        self._hosts.append(host)
        return host

    def close(self) -> None:
        self._open.close()


def _address(network: NetworkName, number: int) -> str:
    return f"10.{77 + NETWORKS.index(network)}.0.{number}"


def _devices() -> list[str]:
    found = subprocess.run(("ip", "-json", "link"), capture_output=True, check=True)
    return [device["ifname"] for device in json.loads(found.stdout)]


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True)
