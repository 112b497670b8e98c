"""Clients of event streams in a process of their own, which `event_clients` starts.

All clients share one thread that waits for their sockets and reads them, without a parser of HTTP: 20,000 events per
second take a third of a core, so the clients delay the events that they measure as little as a client can. The server
must write the time of an event into it, as `"at":SECONDS` on the monotonic clock of the machine.

The process reads one line of JSON, opens the clients, prints one line of JSON when all of them receive their streams,
and reads the streams until they end or until its input is closed. Then it prints what the clients received.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tests.bench.figures import percentile

OPENED_WITHIN_S: Final = 300.0
_OPENING: Final = 128
"""The most clients that wait for the start of their stream at the same time."""
_OWN_FILES: Final = 32
_READ_BYTES: Final = 64 * 1024
_REST_WITHIN_S: Final = 2.0
_WRITTEN_AT: Final = re.compile(rb'"at":([0-9.]+)')
_PING: Final = b": heartbeat"
_LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Streams:
    """Which streams the clients open: one for each path, with a GET request. The first `unread` clients read the start
    of their response and nothing more; the others keep the times of all events."""

    url: str
    paths: list[str]
    unread: int = 0


@dataclass(slots=True)
class Received:
    """What the clients that read have received, in milliseconds and in seconds. A lag is the time from the moment at
    which the graph wrote an event to the moment at which one client received it. A spread is the time from the first to
    the last client that received an event."""

    clients: int = 0
    least_events: int = 0
    most_events: int = 0
    unordered: int = 0
    pings: int = 0
    lag_p50_ms: float = 0.0
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    spread_p50_ms: float = 0.0
    spread_p99_ms: float = 0.0
    spread_max_ms: float = 0.0
    cpu_s: float = 0.0
    slow_clients: int = 0
    """How many of the clients that read nothing were disconnected for that."""


class NotOpened(Exception):
    """The clients could not open their streams."""


class EventClients:
    """The process of the clients."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def received(self) -> Received:
        """Waits until all streams have ended."""
        return Received(**json.loads(await self._line()))

    async def stop(self) -> Received:
        """Closes all clients."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.received()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise NotOpened("the process of the clients has exited; its error is above")
        return line

    async def wait_until_open(self) -> None:
        """Returns when each client has received the start of its stream. Raises `NotOpened`."""
        async with asyncio.timeout(OPENED_WITHIN_S):
            if problem := json.loads(await self._line()):
                raise NotOpened(problem)


@contextlib.asynccontextmanager
async def event_clients(streams: Streams) -> AsyncIterator[EventClients]:
    """The clients, with open streams. They are closed at the end of the block. Raises `NotOpened`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.event_clients"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    clients = EventClients(process)
    try:
        process.stdin.write(json.dumps(asdict(streams)).encode() + b"\n")
        await clients.wait_until_open()
        yield clients
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# the process of the clients


@dataclass(slots=True, eq=False)
class _Client:
    connection: socket.socket
    reads: bool
    opened: bool = False
    rest: bytes = b""
    """The start of a part of the stream that has not arrived completely."""
    written_s: array[float] = field(default_factory=lambda: array("d"))
    received_s: array[float] = field(default_factory=lambda: array("d"))
    pings: int = 0

    def on_data(self, data: bytes, now_s: float) -> None:
        complete, separator, self.rest = (self.rest + data).rpartition(b"\r\n\r\n")
        if separator:
            for written_s in _WRITTEN_AT.findall(complete):
                self.written_s.append(float(written_s))
                self.received_s.append(now_s)
            self.pings += complete.count(_PING)


class _Clients:
    """All clients, and what waits for their sockets."""

    def __init__(self, streams: Streams) -> None:
        address = urlsplit(streams.url)
        assert address.hostname is not None
        assert address.port is not None
        self._address, self._host = (address.hostname, address.port), address.netloc.encode()
        self._paths = deque(enumerate(streams.paths))
        self._unread, self._count = streams.unread, len(streams.paths)
        self._ready = select.epoll()
        self._ready.register(sys.stdin, select.EPOLLIN)
        self.by_file: dict[int, _Client] = {}
        self.ended: list[_Client] = []
        self._opening = 0
        self._reading = self._count - self._unread
        self._stopped = False

    def open(self) -> None:
        """Returns when each client has received the start of its stream. Raises `NotOpened`."""
        while self._paths or self._opening:
            while self._paths and self._opening < _OPENING:
                self._connect(*self._paths.popleft())
            self._receive()
            if self.ended or self._stopped:
                raise NotOpened(f"a stream of {self._count} has ended before all of them were open")

    def follow(self) -> None:
        """Returns when all streams that are read have ended, or when the input is closed."""
        while not self._stopped and self._reading:
            self._receive()

    def _connect(self, number: int, path: str) -> None:
        connection = socket.socket()
        client = _Client(connection, reads=number >= self._unread)
        if not client.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(self._address)
        connection.setblocking(False)
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), self._host))
        self.by_file[connection.fileno()] = client
        self._ready.register(connection, select.EPOLLIN)
        self._opening += 1

    def _receive(self) -> None:
        for file, _ in self._ready.poll():
            client = self.by_file.get(file)
            if client is None:
                self._stopped = True
                return
            try:
                data = client.connection.recv(_READ_BYTES)
            except ConnectionError:
                data = b""
            now_s = time.monotonic()
            body = data if client.opened else self._opened(client, data)
            client.on_data(body, now_s)
            if not data or body.endswith(_LAST_CHUNK):
                self._end(file, client)

    def _opened(self, client: _Client, data: bytes) -> bytes:
        """Returns what follows the headers."""
        head, complete, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or not complete:
            raise NotOpened(f"a client received {data[:300].decode(errors='replace')!r}")
        client.opened = True
        self._opening -= 1
        if not client.reads:
            self._ready.unregister(client.connection)
        return body

    def _end(self, file: int, client: _Client) -> None:
        self._ready.unregister(client.connection)
        del self.by_file[file]
        self.ended.append(client)
        self._reading -= client.reads

    def received(self) -> Received:
        """What the clients that read have received until now."""
        everybody = [*self.by_file.values(), *self.ended]
        reading = [client for client in everybody if client.reads]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        received = Received(
            clients=len(reading),
            pings=sum(client.pings for client in reading),
            cpu_s=usage.ru_utime + usage.ru_stime,
            slow_clients=sum(not client.reads and _was_too_slow(client.connection) for client in everybody),
        )
        if not reading:
            return received
        counts = [len(client.written_s) for client in reading]
        received.least_events, received.most_events = min(counts), max(counts)
        received.unordered = sum(list(client.written_s) != sorted(set(client.written_s)) for client in reading)
        lags, first, last = array("d"), dict[float, float](), dict[float, float]()
        for client in reading:
            for written_s, received_s in zip(client.written_s, client.received_s, strict=True):
                lags.append(received_s - written_s)
                first[written_s] = min(first.get(written_s, received_s), received_s)
                last[written_s] = max(last.get(written_s, received_s), received_s)
        if lags:
            spreads = [last[event] - first[event] for event in first]
            received.lag_p50_ms, received.lag_p99_ms, received.lag_max_ms = _percentiles_ms(lags)
            received.spread_p50_ms, received.spread_p99_ms, received.spread_max_ms = _percentiles_ms(spreads)
        return received


def _percentiles_ms(seconds: Sequence[float]) -> tuple[float, float, float]:
    return percentile(seconds, 50) * 1000, percentile(seconds, 99) * 1000, max(seconds) * 1000


def _was_too_slow(connection: socket.socket) -> bool:
    """Reads the rest of the stream of a client that has read nothing. Whether the server has disconnected it."""
    connection.settimeout(_REST_WITHIN_S)
    last = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while data := connection.recv(_READ_BYTES):
            last = (last + data)[-_READ_BYTES:]
            if last.endswith(_LAST_CHUNK):
                break
    return b"event: slow_client" in last


def allow_files(count: int) -> None:
    """Raises the limit of open files of this process, so that it can open `count`. Raises `NotOpened`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise NotOpened(
            f"the clients need {count} open files in one process, and the system permits {hard}: "
            f"raise its hard limit (`ulimit -Hn {count}`)"
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def main() -> None:
    streams = Streams(**json.loads(sys.stdin.readline()))
    try:
        allow_files(len(streams.paths) + _OWN_FILES)
        clients = _Clients(streams)
        clients.open()
    except (NotOpened, OSError) as error:
        print(json.dumps(str(error)), flush=True)
        return
    print(json.dumps(""), flush=True)
    clients.follow()
    print(json.dumps(asdict(clients.received())), flush=True)


if __name__ == "__main__":
    main()
