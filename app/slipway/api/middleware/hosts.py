"""Which names this server answers to when it has no auth file.

A page can let its own name lead to another address (DNS rebinding): then the browser takes this server for a part of
that page's site, and the page may call it and read its answers. The `Host` header still has the page's name, so names
that a stranger can register are refused unless `SLIPWAY_ALLOWED_HOSTS` has them. `X-Forwarded-Host` is not read: any
client can send it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from slipway.api.middleware.decision_cache import DecisionCache

LOCAL_NAMES: Final = frozenset({"localhost", "host.docker.internal", "host.containers.internal"})
"""Names of the machine itself; the last two are what containers on it call it."""

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?)\.?(?::\d{0,5})?")
_NOT_IN_PUBLIC_DNS: Final = (".local", ".internal")
"""Endings that no registry sells: RFC 6762, and ICANN's reservation for private use."""
_LONGEST: Final = 300
"""Characters of a header; no name is longer."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Hosts:
    """The names that a server which listens on `bound` answers to: this machine's, and those in `allowed`.

    On an address that other machines reach also names that no stranger can register: addresses, names of one part
    (services of a compose file), and what ends in `.local` or `.internal`."""

    def __init__(self, bound: str, allowed: Iterable[str] = ()) -> None:
        self._reachable = not is_loopback(bound)
        names = {*allowed, bound.lower()} - {""}
        self._any = "*" in names
        self._exact = frozenset(names)
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))
        self._decisions = DecisionCache(self._decide)

    def accepts(self, header: str) -> bool:
        """Whether requests with this `Host` header are answered."""
        return self._decisions.of(header)

    def _decide(self, header: str) -> bool:
        return self._any or (len(header) <= _LONGEST and self._is_ours(name_in(header)))

    def _is_ours(self, name: str | None) -> bool:
        if name is None:
            return False
        if is_local(name) or name in self._exact or name.endswith(self._endings):
            return True
        private = "." not in name or name.endswith(_NOT_IN_PUBLIC_DNS) or _address(name) is not None
        return self._reachable and private


def name_in(host: str) -> str | None:
    """The name or address in a `Host` header or the authority of an origin, in lower case, without port, brackets and
    the dot at its end; None when it is malformed."""
    found = _HOST.fullmatch(host.lower())
    return found[1].strip("[]") if found else None


def is_local(name: str) -> bool:
    """Whether a name or an address always leads to the machine on which it is used."""
    if name in LOCAL_NAMES or name.endswith(".localhost"):
        return True
    address = _address(name)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_loopback(bound: str) -> bool:
    """Whether a server that listens on `bound` can only be reached from its own machine."""
    address = _address(bound)
    return bound.lower() == "localhost" if address is None else address.is_loopback


def _address(name: str) -> Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
