"""Which URLs a webhook may have. The URL is checked when a run is created, and again, with its address, when the
webhook is called.

The host name is resolved for each call, and the connection is opened to the address that was checked. A change of DNS
in between therefore cannot lead into a private network. Resolved addresses are logged and never shown: clients choose
the name, and could otherwise explore the network behind the server.
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
from slipway.graphs.official_sections import UrlSection
from slipway.webhooks.ip_addresses import AddressScope, Ip, address_in, scope_of

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_METADATA: Final = ("metadata.google.internal", "metadata.goog", "instance-data", "*.ec2.internal")
"""Hosts from which cloud machines read their own credentials."""
_THIS_MACHINE: Final = "this machine, which webhooks.url.disable_loopback of langgraph.json forbids"
_PRIVATE: Final = "private, which webhooks.url.disable_private_ips of langgraph.json forbids"


class NoAddress(Exception):
    """The host has no address, or a forbidden one. The log says which."""

    def __init__(self) -> None:
        super().__init__("the host has no address that a webhook may go to")


@dataclass(frozen=True, slots=True)
class Target:
    """The server that a URL names. `host` is ASCII in lower case, without a final dot and without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def from_url(cls, url: str) -> Target:
        """Raises `InvalidRequest` unless this is an absolute http or https URL."""
        if any(character <= " " or character in "\\\x7f" for character in url):
            _reject("has characters that are not allowed in a URL")
        try:
            parts = httpx.URL(url)
            host, port = parts.raw_host.decode("ascii").lower().rstrip("."), parts.port
        except (httpx.InvalidURL, ValueError):
            _reject("is not a URL")
        if parts.scheme not in _PORTS:
            _reject("must be an absolute URL with http or https")
        if port is not None and not 0 < port < 65_536:
            _reject("has an invalid port")
        if parts.userinfo:
            _reject("must not contain a user name or a password: URLs are stored and shown")
        if not host:
            _reject("has no host")
        address = None if "%" in host else address_in(host)
        if not _HOST.fullmatch(host) and address is None:
            _reject("has an invalid host")
        if isinstance(address, IPv6Address):
            host = address.compressed
        return cls(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)


class UrlPolicy:
    """The rules of `webhooks.url` in langgraph.json. A URL that breaks one raises `InvalidRequest` about `webhook`."""

    def __init__(self, section: UrlSection) -> None:
        self.section = section

    @property
    def allows_internal(self) -> bool:
        """Whether a webhook may be a path of this deployment: only if loopback addresses are allowed."""
        return not self.section.disable_loopback

    def check(self, url: str) -> None:
        """Checks everything that needs no DNS lookup."""
        if len(url) > self.section.max_url_length:
            _reject(f"is longer than {self.section.max_url_length} characters")
        if url.startswith("/"):
            self._check_internal(url)
        else:
            self._check_external(Target.from_url(url))

    def _check_external(self, target: Target) -> None:
        allowed, host = self.section, target.host
        if allowed.require_https and target.scheme != "https":
            _reject("must be https")
        if allowed.allowed_domains is not None and not any(_within(host, name) for name in allowed.allowed_domains):
            _reject(f"host {host} is not among webhooks.url.allowed_domains")
        if allowed.allowed_ports is not None and target.port not in allowed.allowed_ports:
            _reject(f"port {target.port} is not among webhooks.url.allowed_ports")
        if allowed.disable_loopback and _within(host, "localhost", "*.localhost"):
            _reject(f"{host} is {_THIS_MACHINE}")
        if allowed.disable_private_ips and _within(host, *_METADATA):
            _reject(f"{host} is {_PRIVATE}")
        if (address := address_in(host)) is not None and (problem := self._problem(address)) is not None:
            _reject(f"{host} is {problem}")

    def _check_internal(self, url: str) -> None:
        if not self.allows_internal:
            _reject(
                "must be an absolute URL with http or https: webhooks.url.disable_loopback forbids paths of this server"
            )
        if url.startswith("//") or "\\" in url or any(c <= " " or c == "\x7f" for c in url) or urlsplit(url).netloc:
            _reject("must be an absolute URL with http or https, or a path of this server that begins with one slash")

    async def resolve(self, url: str) -> str:
        """The address to connect to: the first address of the host, if all of them are allowed. Raises `NoAddress`, and
        `InvalidRequest` as `check` does."""
        self.check(url)
        target = Target.from_url(url)
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.warning("webhook.host_not_found", host=target.host, problem=str(error))
            raise NoAddress from error
        addresses = [str(entry[4][0]) for entry in entries]
        for text in addresses:
            address = address_in(text)
            problem = "not an address" if address is None else self._problem(address)
            if problem is not None:
                log.warning("webhook.address_rejected", host=target.host, address=text, problem=problem)
                raise NoAddress
        return addresses[0]

    def _problem(self, address: Ip) -> str | None:
        """Why this address is forbidden; None if it is allowed."""
        scope = scope_of(address)
        if scope is AddressScope.UNROUTABLE:
            return "not the address of a machine"
        if scope is AddressScope.THIS_MACHINE and self.section.disable_loopback:
            return _THIS_MACHINE
        if scope is AddressScope.PRIVATE and self.section.disable_private_ips:
            return _PRIVATE
        return None


def _reject(problem: str) -> NoReturn:
    raise InvalidRequest("webhook", problem)


def _within(host: str, *names: str) -> bool:
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in names)
