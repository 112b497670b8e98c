"""The host names that a server without an auth file accepts.

The owner of a web site can change the DNS entry of its host name to the address of this server (DNS rebinding). The
browser then treats this server as part of that site, so pages of the site can send requests and read the responses.
The `Host` header of these requests still contains the name of the site. So every name that can be registered in public
DNS is rejected, unless `SLIPWAY_ALLOWED_HOSTS` contains it.
`X-Forwarded-Host` is not read, because any client can send it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from slipway.api.middleware.header_check_cache import HeaderCheckCache
from slipway.loopback import is_loopback

LOCAL_NAMES: Final = frozenset({"localhost", "host.docker.internal", "host.containers.internal"})
"""Names of the machine on which the server runs. Containers on this machine use the last two names for it."""

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?)\.?(?::\d{0,5})?")
_NOT_IN_PUBLIC_DNS: Final = (".local", ".internal")
"""Names with these endings cannot be registered: RFC 6762 reserves `.local`, and ICANN reserves `.internal`."""
_MAX_HEADER_CHARACTERS: Final = 300
"""A host name with a port is never longer."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Hosts:
    """Decides which host names are accepted by a server that listens on `bound`: the names of this machine, and those
    in `allowed`.

    If other machines can reach `bound`, names that cannot be registered in public DNS are accepted too: IP addresses,
    names without a dot (services of a compose file), and names that end in `.local` or `.internal`."""

    def __init__(self, bound: str, allowed: Iterable[str] = ()) -> None:
        self._reachable = not is_loopback(bound)
        names = {*allowed, bound.lower()} - {""}
        self._any = "*" in names
        self._exact = frozenset(names)
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))
        self.decisions = HeaderCheckCache(self._decide)

    def accepts(self, header: str) -> bool:
        """Whether requests with this `Host` header are accepted."""
        return self.decisions.decide(header)

    def _decide(self, header: str) -> bool:
        return self._any or (len(header) <= _MAX_HEADER_CHARACTERS and self._is_accepted(name_in(header)))

    def _is_accepted(self, name: str | None) -> bool:
        if name is None:
            return False
        if is_local(name) or name in self._exact or name.endswith(self._endings):
            return True
        private = "." not in name or name.endswith(_NOT_IN_PUBLIC_DNS) or _address(name) is not None
        return self._reachable and private


def name_in(host: str) -> str | None:
    """The name or address in a `Host` header or in an origin, in lower case, without port, brackets and final dot; None
    when it is malformed."""
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]") if match else None


def is_local(name: str) -> bool:
    """Whether a name or an address always means the machine that uses it."""
    if name in LOCAL_NAMES or name.endswith(".localhost"):
        return True
    address = _address(name)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(name: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
