"""Whose requests are counted together: those of a user, or those of an address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

_NETWORK_OF_A_SITE: Final = 64
"""Bits of an IPv6 address. A site has at least 2**64 addresses, so it could use a new one for each request."""


@dataclass(frozen=True, slots=True)
class RateClient:
    """`name` is for logs; `digest` names it in Redis, because a name may be long and is not for everybody."""

    kind: str
    name: str

    @property
    def digest(self) -> str:
        return hashlib.blake2b(f"{self.kind}:{self.name}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def user_client(identity: str) -> RateClient:
    """All requests of one user: of one API key, if keys identify users."""
    return RateClient("user", identity)


def address_client(address: str) -> RateClient:
    """All requests of one IPv4 address or of one IPv6 network of 64 bits. A text that is no address, such as the name
    of a socket, counts as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return RateClient("address", address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return RateClient("address", str(parsed.ipv4_mapped))
        network = int(parsed) >> (128 - _NETWORK_OF_A_SITE) << (128 - _NETWORK_OF_A_SITE)
        return RateClient("address", f"{IPv6Address(network)}/{_NETWORK_OF_A_SITE}")
    return RateClient("address", str(parsed))
