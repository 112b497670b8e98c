"""Where webhooks may go: what is refused when a run is made, and again, by its address, when it is delivered.

A name is looked up when the webhook is delivered, and the connection goes to the very address that was checked: no
change of DNS in between leads it into a private network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from app.errors import InvalidRequest
from app.project.sections import UrlSection

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}


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
        parts, port = _split(url)
        if url.startswith("/"):
            self._check_own(parts)
        else:
            self._check_outside(parts, port)

    def _check_outside(self, parts: SplitResult, port: int | None) -> None:
        allowed = self._section
        if parts.scheme not in _PORTS:
            _refuse("must be an absolute URL with http or https")
        if allowed.require_https and parts.scheme != "https":
            _refuse("must be https")
        host = (parts.hostname or "").rstrip(".")
        if not host:
            _refuse("names no host")
        if allowed.allowed_domains is not None and not any(_within(host, name) for name in allowed.allowed_domains):
            _refuse(f"host {host} is not among webhooks.url.allowed_domains")
        if allowed.allowed_ports is not None and port not in allowed.allowed_ports:
            _refuse(f"port {port} is not among webhooks.url.allowed_ports")
        if allowed.disable_loopback and _within(host, "localhost", "*.localhost"):
            _refuse(f"{host} is this machine")
        if (address := _literal(host)) is not None:
            self._check_address(address, host)

    def _check_own(self, parts: SplitResult) -> None:
        """Refuse a path that leads elsewhere, or any where none is allowed."""
        if not self.allows_own:
            _refuse(
                "must be an absolute URL with http or https: webhooks.url.disable_loopback forbids paths of this server"
            )
        if parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
            _refuse("must be an absolute URL with http or https, or a path of this server that begins with one slash")

    async def resolve(self, url: str) -> str:
        """The address to connect to: the first of the host's, when all of them are allowed. Raises `OSError` when the
        name cannot be looked up."""
        self.check(url)
        parts, port = _split(url)
        host = parts.hostname or ""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            self._check_address(ipaddress.ip_address(address), host)
        return addresses[0]

    def _check_address(self, address: Ip, host: str) -> None:
        address = _meant(address)
        if address.is_unspecified or address.is_multicast:
            _refuse(f"{host} has the address {address}, which is no machine's")
        if address.is_loopback:
            if self._section.disable_loopback:
                _refuse(f"{host} has the address {address}, which is this machine")
        elif not address.is_global and self._section.disable_private_ips:
            _refuse(f"{host} has the address {address}, which is private")


def _refuse(problem: str) -> NoReturn:
    raise InvalidRequest("webhook", problem)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if any(character <= " " or character in "\\\x7f" for character in url):
        _refuse("has characters that no URL has")
    try:
        parts = urlsplit(url)
        return parts, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        _refuse(f"is not a URL: {error}")


def _within(host: str, *names: str) -> bool:
    host = host.lower()
    return any(host.endswith(name[1:].lower()) if name.startswith("*.") else host == name.lower() for name in names)


def _literal(host: str) -> Ip | None:
    """An address that was written instead of a name, in any of the ways that the system's resolver would read it."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f.1, 2130706433
    except OSError:
        return None


def _meant(address: Ip) -> Ip:
    """The IPv4 address inside an IPv6 one, where that is what packets reach in the end."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
