"""Where packets to an IP address end up: the public internet, a private network, this machine, or nowhere.

Python's own `is_global` is not enough: it differs between releases, and reports as public some addresses that the
internet does not route. Among them are IPv6 addresses that embed an IPv4 address, and the addresses from which clouds
hand out credentials.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressScope(IntEnum):
    """The higher the value, the less a webhook may go there."""

    PUBLIC = 0
    PRIVATE = 1
    THIS_MACHINE = 2
    UNROUTABLE = 3
    """Unspecified or multicast: not the address of one machine."""


_ROUTED: Final = ipaddress.IPv6Network("2000::/3")
"""The part of IPv6 that the internet routes."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Translated to the IPv4 address in the last 32 bits, and as public as that address."""
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
"""The third group of 32 bits in an address whose last group is the IPv4 address of a tunnel."""
_LOW_32: Final = 0xFFFFFFFF


def address_in(host: str) -> Ip | None:
    """The address if the host is one, in any notation that system resolvers accept; None for a name. An IPv6 address
    may have a zone (`%eth0`)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f.1, 2130706433
    except OSError:
        return None


def scope_of(address: Ip) -> AddressScope:
    """The scope of the address, or that of an embedded address if it is less public."""
    return max(map(_scope, _embedded_addresses(address)))


def _embedded_addresses(address: Ip) -> Iterator[Ip]:
    """The address, and the IPv4 addresses in it that packets may be delivered to."""
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


def _scope(address: Ip) -> AddressScope:
    if address.is_unspecified or address.is_multicast:
        return AddressScope.UNROUTABLE
    if address.is_loopback:
        return AddressScope.THIS_MACHINE
    return AddressScope.PUBLIC if _is_public(address) else AddressScope.PRIVATE


def _is_public(address: Ip) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _PRIVATE_4)
    if address in _NAT64:
        return True
    return address in _ROUTED and address.is_global and not any(address in network for network in _PRIVATE_6)
