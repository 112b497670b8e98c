"""The headers that tell a client what it has left, by draft-ietf-httpapi-ratelimit-headers-10."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.rate_limits.allowance import Allowance


def rate_headers(allowances: Sequence[Allowance]) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy` has the quota (`q`) of each policy and the time in seconds in which it returns (`w`),
    `RateLimit` what is left of it (`r`) and the seconds until all of it is there again (`t`). Without policies there
    are none."""
    if not allowances:
        return []
    policies = ", ".join(f'"{each.policy}";q={each.quota};w={each.window_s}' for each in allowances)
    limits = ", ".join(f'"{each.policy}";r={each.left};t={each.full_in_s}' for each in allowances)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", limits.encode())]
