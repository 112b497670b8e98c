"""Whether an address to listen on can be reached from other machines."""

from __future__ import annotations

import ipaddress


def is_loopback(bound: str) -> bool:
    """Whether `bound` is an address that only this machine can reach."""
    try:
        return ipaddress.ip_address(bound.strip("[]")).is_loopback
    except ValueError:
        return bound.lower() == "localhost"
