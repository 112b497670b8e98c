"""One connection to Redis or Valkey, on a transport of the event loop.

`Connection` opens a socket, sends the handshake (AUTH, SELECT, CLIENT SETNAME), passes every reply to its owner in
order, and reconnects with increasing pauses after the socket broke. Its owner (`pipeline.Pipeline` or
`subscriber.Subscriber`) decides what happens to commands whose replies are missing. The transport calls the owner for
each reply, so no task waits in a read: that is most of the difference in CPU to redis-py that `pipeline` states.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final, Protocol, cast

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection, parse_url

from slipway.errors import ConfigError, StoreUnavailable

log = structlog.get_logger(__name__)

Arg = str | bytes | int | float
"""One word of a Redis command."""

pack = cast("Callable[[tuple[Arg, ...]], bytes]", hiredis.pack_command)
"""Encodes a command as Redis reads it."""

_NOTHING: Final = object()
_DISCARD: Final = struct.pack("ii", 1, 0)
"""For the option SO_LINGER: on, for 0 seconds."""
_PORT: Final = 6379
_FIRST_PAUSE_S: Final = 0.05
MAX_RECONNECT_PAUSE_S: Final = 1.0
"""The longest pause between two attempts to reconnect."""
CONNECT_TIMEOUT_S: Final = 5.0
"""Seconds for the connect, the TLS handshake and the first replies together."""


class UntrustedCertificate(StoreUnavailable):
    """The certificate of the server is not from a trusted authority. Nothing is sent to such a server."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(
            f"the certificate of Redis at {address} is not trusted ({problem}): set SLIPWAY_REDIS_CA_FILE to the "
            "certificate of its authority, or SLIPWAY_REDIS_TLS_VERIFY=0 to accept any certificate"
        )


class ConnectionOwner(Protocol):
    """What a connection calls for each reply, after each connect, and after each loss."""

    def on_reply(self, reply: Any) -> None:
        """Called for each reply, in the order of the commands, and for each message of a channel. `reply` may be an
        error of Redis (`reply_error`)."""
        ...

    def on_connected(self) -> None:
        """Called after each connect, when the handshake is complete and commands can be sent."""
        ...

    def on_lost(self) -> None:
        """Called when a connection is lost. Replies to commands that were sent on it will not come."""
        ...

    def on_unavailable(self) -> None:
        """Called when an attempt to connect again has failed."""
        ...


class Address:
    """The address of Redis and the credentials, from a URL (`redis://`, `rediss://`, `unix://`). It is a cluster if the
    URL has several hosts (`redis://a:6379,b:6379`), or `cluster=1` among its parameters."""

    def __init__(self, url: str) -> None:
        first, hosts = _hosts_of(url)
        try:
            parts: dict[str, Any] = dict(parse_url(first))
        except ValueError as error:
            raise ConfigError(f"SLIPWAY_REDIS_URL or REDIS_URL: {error}") from error
        self.is_cluster = len(hosts) > 1 or parts.get("cluster") == "1"
        self.path: str | None = parts.get("path")
        self.host: str = parts.get("host") or "localhost"
        self.port: int = int(parts.get("port") or _PORT)
        self.database: int = int(parts.get("db") or 0)
        self.username: str | None = parts.get("username")
        self.password: str | None = parts.get("password")
        self.tls = _tls_context(parts) if url.startswith("rediss://") else None
        self._ca_file: str | None = parts.get("ssl_ca_certs")
        self.hosts: tuple[tuple[str, int], ...] = ((self.host, self.port), *map(_host_and_port, hosts[1:]))
        """The host and the port of each server that the URL names."""
        if self.is_cluster:
            self._check_cluster()

    def _check_cluster(self) -> None:
        """Raises `ConfigError` for what a cluster does not have."""
        if self.path is not None:
            raise ConfigError("SLIPWAY_REDIS_URL or REDIS_URL: a cluster has no unix socket; name a host and a port")
        if self.database:
            raise ConfigError(
                f"SLIPWAY_REDIS_URL or REDIS_URL: a cluster has only database 0; leave out /{self.database}, and use "
                "SLIPWAY_KEY_PREFIX to separate deployments"
            )

    def at(self, host: str, port: int) -> Address:
        """The address of one server of the cluster, with the same credentials."""
        server = copy(self)
        server.host, server.port, server.hosts, server.is_cluster = host, port, ((host, port),), False
        return server

    def redis_py_options(self) -> dict[str, Any]:
        """The credentials, and how certificates are verified, as the connections of redis-py expect them."""
        options: dict[str, Any] = {"username": self.username, "password": self.password}
        if self.tls is not None:
            options |= {
                "connection_class": SSLConnection,
                "ssl_cert_reqs": "none" if self.tls.verify_mode is ssl.CERT_NONE else "required",
                "ssl_check_hostname": self.tls.check_hostname,
                "ssl_ca_certs": self._ca_file,
            }
        return options

    def __str__(self) -> str:
        """The address without its secrets."""
        if self.path:
            return self.path
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{'rediss' if self.tls else 'redis'}://{hosts}" + ("" if self.is_cluster else f"/{self.database}")

    def handshake_commands(self, client_name: str) -> list[bytes]:
        """The commands that must succeed before any other is sent."""
        commands: list[tuple[Arg, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        commands.append(("CLIENT", "SETNAME", client_name.replace(" ", "-")))
        return [pack(command) for command in commands]


def _hosts_of(url: str) -> tuple[str, list[str]]:
    """The URL with the first of its hosts alone, and all its hosts with their ports."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    credentials, at, hosts = rest[:end].rpartition("@")
    if scheme == "unix" or "," not in hosts:
        return url, [hosts]
    each = hosts.split(",")
    if not all(each):
        raise ConfigError("SLIPWAY_REDIS_URL or REDIS_URL: a host is missing beside a comma")
    return f"{scheme}{mark}{credentials}{at}{each[0]}{rest[end:]}", each


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, str(_PORT)
    if not port.isdecimal():
        raise ConfigError(f"SLIPWAY_REDIS_URL or REDIS_URL: {text!r} is not a host and a port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _tls_context(parts: dict[str, Any]) -> ssl.SSLContext:
    file = parts.get("ssl_ca_certs")
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        problem = "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"SLIPWAY_REDIS_CA_FILE: {file}: {problem}") from error
    if str(parts.get("ssl_cert_reqs", "required")).lower() in ("none", "cert_none"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Connection(asyncio.Protocol):
    """A connection that reconnects by itself, with pauses that double up to `max_pause_s`. An attempt to connect fails
    after `connect_timeout_s`. CLIENT LIST shows `name`."""

    def __init__(
        self,
        address: Address,
        name: str,
        owner: ConnectionOwner,
        *,
        max_pause_s: float = MAX_RECONNECT_PAUSE_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self.address, self.name = address, name
        self._max_pause_s, self._connect_timeout_s = max_pause_s, connect_timeout_s
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._handshake_replies_left = 0
        self._handshake_done: asyncio.Future[None] | None = None
        self._usable = False
        self._reconnector: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._closing = False

    @property
    def connected(self) -> bool:
        """Whether the handshake succeeded and the socket is open."""
        return self._transport is not None and self._usable

    @property
    def write_buffer_empty(self) -> bool:
        """Whether it is connected, and the operating system has everything that was written."""
        return self._usable and self._transport is not None and not self._transport.get_write_buffer_size()

    async def open(self) -> None:
        """Connects, and reconnects from then on. Raises `StoreUnavailable` if the first attempt fails."""
        await self._connect()
        self._reconnector = asyncio.create_task(self._keep_connected(), name=f"connection {self.name}")

    def start(self) -> None:
        """Connects in the background, and reconnects from then on."""
        self._reconnector = asyncio.create_task(self._keep_connected(connect=True), name=f"connection {self.name}")

    async def close(self) -> None:
        """Disconnects, without a reconnect."""
        self._closing = True
        if self._reconnector is not None:
            self._reconnector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnector
        self.disconnect()

    def disconnect(self) -> None:
        """Closes the socket at once. Reconnects unless `close` was called.

        What Redis has not received is discarded. Otherwise the operating system would go on sending it, for minutes
        while the network is interrupted, and Redis would execute commands long after their callers gave up or repeated
        them on another connection."""
        if self._transport is None:
            return
        if not self._closing:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        self._transport.abort()

    def write(self, packed: Iterable[bytes]) -> int:
        """Sends encoded commands in one write, and returns the number of bytes. Only allowed while `connected`."""
        assert self._transport is not None
        data = b"".join(packed)
        self._transport.write(data)
        return len(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._handshake_done = loop.create_future()
        self._lost.clear()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self.address.path:
                    await loop.create_unix_connection(self._protocol, self.address.path)
                else:
                    await loop.create_connection(
                        self._protocol, self.address.host, self.address.port, ssl=self.address.tls
                    )
                await self._handshake_done
        except ssl.SSLCertVerificationError as error:
            self.disconnect()
            raise UntrustedCertificate(str(self.address), error.verify_message) from error
        except (OSError, TimeoutError) as error:
            self.disconnect()
            problem = f"Redis at {self.address} does not reply: {str(error) or type(error).__name__}"
            raise StoreUnavailable(problem + self._tls_hint(error)) from error
        except hiredis.ReplyError as error:
            self.disconnect()
            raise StoreUnavailable(f"Redis at {self.address} rejects this client: {error}") from error
        if not self.connected:
            raise StoreUnavailable(f"Redis at {self.address} closed the connection after the handshake")
        self._owner.on_connected()

    def _tls_hint(self, error: OSError) -> str:
        """What to do when the TCP connection succeeded and the TLS handshake failed. Empty for other errors."""
        in_handshake = isinstance(error, ssl.SSLError | TimeoutError | ConnectionResetError | ConnectionAbortedError)
        if self.address.tls is None or not in_handshake:
            return ""
        return "; perhaps it does not speak TLS: then its address begins with redis://"

    def _protocol(self) -> Connection:
        return self

    async def _keep_connected(self, *, connect: bool = False) -> None:
        if connect:
            await self._reconnect()
        while not self._closing:
            await self._lost.wait()
            log.warning("redis.disconnected", address=str(self.address), connection=self.name)
            await self._reconnect()
            log.info("redis.reconnected", address=str(self.address), connection=self.name)

    async def _reconnect(self) -> None:
        pause_s, logged = _FIRST_PAUSE_S, ""
        while True:
            try:
                return await self._connect()
            except StoreUnavailable as error:
                if str(error) != logged:
                    log.warning("redis.still_unavailable", problem=str(error), connection=self.name)
                logged = str(error)
                self._owner.on_unavailable()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._max_pause_s)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._usable = False
        handshake = self.address.handshake_commands(self.name)
        self._handshake_replies_left = len(handshake)
        self.write(handshake)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOTHING:
            if self._handshake_replies_left:
                self._on_handshake_reply(reply)
            else:
                self._owner.on_reply(reply)

    def _on_handshake_reply(self, reply: Any) -> None:
        self._handshake_replies_left -= 1
        assert self._handshake_done is not None
        if self._handshake_done.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            self._handshake_done.set_exception(reply)
        elif not self._handshake_replies_left:
            self._usable = True
            self._handshake_done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        was_connected = self.connected
        self._transport = None
        if self._handshake_done is not None and not self._handshake_done.done():
            self._handshake_done.set_exception(
                ConnectionResetError(
                    "closed during the handshake; perhaps it has reached its limit of connections"
                    + ("" if self.address.tls else ", or accepts only TLS (rediss://)")
                )
            )
        if was_connected:
            self._owner.on_lost()
            self._lost.set()


def reply_error(reply: Any) -> hiredis.ReplyError | None:
    """The reply as an error, if it is one."""
    return reply if isinstance(reply, hiredis.ReplyError) else None
