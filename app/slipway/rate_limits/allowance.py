"""What a client has left of a rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client has left of one policy, for the headers of its response. Times are in whole seconds."""

    policy: str
    quota: int
    window_s: int
    left: int
    full_in_s: int
