"""Where webhooks may go: what is refused when a run is made, and again, by its address, when it is delivered.

A name is looked up when the webhook is delivered, and the connection goes to the very address that was checked: no
change of DNS in between leads it into a private network. What a name resolves to is for the log alone: clients choose
the name, and would learn by it what there is inside.
"""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, NoReturn
from urllib.parse import urlsplit

import httpx
import structlog

from slipway.errors import InvalidRequest
from slipway.graphs.sections import UrlSection
from slipway.webhooks.ip_addresses import Ip, Reach, address_in, reach_of

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_METADATA: Final = ("metadata.google.internal", "metadata.goog", "instance-data", "*.ec2.internal")
"""Names by which cloud machines ask for their own credentials."""


class NoAddress(Exception):
    """The host has no address that a webhook may go to: none at all, or one that is forbidden. Which of the two is in
    the log."""

    def __init__(self) -> None:
        super().__init__("the host has no address that a webhook may go to")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. `host` is in lower case and ASCII, without a dot at its end, and without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises `InvalidRequest` for what is no URL of a host."""
        if any(character <= " " or character in "\\\x7f" for character in url):
            _refuse("has characters that no URL has")
        try:
            parts = httpx.URL(url)
            host, port = parts.raw_host.decode("ascii").lower().rstrip("."), parts.port
        except (httpx.InvalidURL, ValueError):
            _refuse("is not a URL")
        if parts.scheme not in _PORTS:
            _refuse("must be an absolute URL with http or https")
        if port is not None and not 0 < port < 65_536:
            _refuse("has a port that there cannot be")
        if parts.userinfo:
            _refuse("must not hold a user name or a password: URLs are stored and shown")
        if not host:
            _refuse("names no host")
        address = None if "%" in host else address_in(host)
        if not _HOST.fullmatch(host) and address is None:
            _refuse("names no host that there can be")
        if isinstance(address, IPv6Address):
            host = address.compressed
        return cls(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)

    def may_redirect_to(self, other: Target) -> bool:
        """Whether it is the same server: the same origin, or its `https` one on the default port."""
        upgrade = (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)
        return self == other or (self.host == other.host and upgrade)


class UrlPolicy:
    """What `webhooks.url` of langgraph.json allows. Everything it refuses is an `InvalidRequest` about `webhook`."""

    def __init__(self, section: UrlSection) -> None:
        self._section = section

    @property
    def allows_own(self) -> bool:
        """Whether a webhook may be a path of this server's own. It may where loopback is allowed."""
        return not self._section.disable_loopback

    def check(self, url: str) -> None:
        """Refuse a URL that can be told to be wrong by looking at it."""
        if len(url) > self._section.max_url_length:
            _refuse(f"is longer than {self._section.max_url_length} characters")
        if url.startswith("/"):
            self._check_own(url)
        else:
            self._check_outside(Target.of(url))

    def _check_outside(self, target: Target) -> None:
        allowed, host = self._section, target.host
        if allowed.require_https and target.scheme != "https":
            _refuse("must be https")
        if allowed.allowed_domains is not None and not any(_within(host, name) for name in allowed.allowed_domains):
            _refuse(f"host {host} is not among webhooks.url.allowed_domains")
        if allowed.allowed_ports is not None and target.port not in allowed.allowed_ports:
            _refuse(f"port {target.port} is not among webhooks.url.allowed_ports")
        if allowed.disable_loopback and _within(host, "localhost", "*.localhost"):
            _refuse(f"{host} is this machine")
        if allowed.disable_private_ips and _within(host, *_METADATA):
            _refuse(f"{host} is private")
        if (address := address_in(host)) is not None and (problem := self._problem(address)) is not None:
            _refuse(f"{host} is {problem}")

    def _check_own(self, url: str) -> None:
        """Refuse a path that leads elsewhere, or any where none is allowed."""
        if not self.allows_own:
            _refuse(
                "must be an absolute URL with http or https: webhooks.url.disable_loopback forbids paths of this server"
            )
        if url.startswith("//") or "\\" in url or any(c <= " " or c == "\x7f" for c in url) or urlsplit(url).netloc:
            _refuse("must be an absolute URL with http or https, or a path of this server that begins with one slash")

    async def resolve(self, url: str) -> str:
        """The address to connect to: the first of the host's, when all of them are allowed. Raises `NoAddress`, and
        `InvalidRequest` as `check`."""
        self.check(url)
        target = Target.of(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.warning("webhook.host_not_found", host=target.host, problem=str(error))
            raise NoAddress from error
        addresses = [str(entry[4][0]) for entry in found]
        for text in addresses:
            address = address_in(text)
            problem = "not an address" if address is None else self._problem(address)
            if problem is not None:
                log.warning("webhook.address_refused", host=target.host, address=text, problem=problem)
                raise NoAddress
        return addresses[0]

    def _problem(self, address: Ip) -> str | None:
        """Why webhooks may not go to this address; None when they may."""
        reach = reach_of(address)
        if reach is Reach.NOWHERE:
            return "no machine's address"
        if reach is Reach.THIS_MACHINE and self._section.disable_loopback:
            return "this machine"
        if reach is Reach.PRIVATE and self._section.disable_private_ips:
            return "private"
        return None


def _refuse(problem: str) -> NoReturn:
    raise InvalidRequest("webhook", problem)


def _within(host: str, *names: str) -> bool:
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in names)
