"""How far an IP address reaches: the public internet, a private network, this machine, or nowhere.

Python's own `is_global` differs between its releases, and takes for public what the internet does not route: addresses
that hold an IPv4 address in the notations of IPv6, and those by which clouds hand out credentials.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(IntEnum):
    """The worst is the highest."""

    PUBLIC = 0
    PRIVATE = 1
    THIS_MACHINE = 2
    NOWHERE = 3
    """Unspecified or multicast: no machine's."""


_ROUTED: Final = ipaddress.IPv6Network("2000::/3")
"""What of IPv6 the internet routes at all."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Translated to the IPv4 address that it ends with: as public as that."""
_PRIVATE_4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "168.63.129.16/32",  # the host of an Azure machine
            "192.0.0.0/24",  # special purposes; the metadata of older Oracle machines is at .192
            "192.88.99.0/24",  # relays of 6to4, out of use
        ),
    )
)
_PRIVATE_6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # special purposes, Teredo among them
            "2001:db8::/32",  # examples
            "2002::/16",  # 6to4, out of use
            "3fff::/20",  # examples
        ),
    )
)
_ENDS_WITH_IPV4: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96",  # `::127.0.0.1`
            "::ffff:0:0/96",  # `::ffff:127.0.0.1`
            "::ffff:0:0:0/96",  # `::ffff:0:127.0.0.1`
            "64:ff9b::/96",
            "64:ff9b:1::/48",
        ),
    )
)
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
"""The third 32 bits of an address that ends with the IPv4 address of a tunnel."""
_LOW_32: Final = 0xFFFFFFFF


def address_in(host: str) -> Ip | None:
    """The address that is written in place of a name, in any of the ways that a system's resolver reads. An IPv6
    address may have a zone (`%eth0`)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f.1, 2130706433
    except OSError:
        return None


def reach_of(address: Ip) -> Reach:
    """How far it reaches. An address that another one is inside of reaches no further than that."""
    return max(map(_own_reach, _meant(address)))


def _meant(address: Ip) -> Iterator[Ip]:
    """The address, and the IPv4 addresses inside it that packets may end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    plain = ipaddress.IPv6Address(int(address))  # without the zone
    mapped = plain.ipv4_mapped
    if mapped is not None:  # the same address, in another notation
        yield mapped
        return
    yield plain
    if plain.is_unspecified or plain.is_loopback:
        return
    if any(plain in network for network in _ENDS_WITH_IPV4) or (int(plain) >> 32) & _LOW_32 in _ISATAP:
        yield ipaddress.IPv4Address(int(plain) & _LOW_32)
    if plain.sixtofour is not None:
        yield plain.sixtofour
    if plain.teredo is not None:
        yield from plain.teredo


def _own_reach(address: Ip) -> Reach:
    if address.is_unspecified or address.is_multicast:
        return Reach.NOWHERE
    if address.is_loopback:
        return Reach.THIS_MACHINE
    return Reach.PUBLIC if _is_public(address) else Reach.PRIVATE


def _is_public(address: Ip) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _PRIVATE_4)
    if address in _NAT64:
        return True
    return address in _ROUTED and address.is_global and not any(address in network for network in _PRIVATE_6)
