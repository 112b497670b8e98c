"""Rates, as settings contain them: `100/s`, `100/s burst 200`, `5000/h`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_RATE: Final = re.compile(r"\s*(\d{1,9})\s*/\s*(s|min|h|d)\s*(?:burst\s+(\d{1,9})\s*)?", re.ASCII)
_PERIOD_US: Final = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: it has room for `burst` tokens, each request takes one, and one returns every `interval_us`."""

    interval_us: int
    burst: int

    @property
    def window_s(self) -> int:
        """The time in which an empty bucket fills, in whole seconds, at least 1."""
        return max(1, math.ceil(self.interval_us * self.burst / 1_000_000))


def rate_from(text: str) -> Rate:
    """Without `burst`, as many requests as in one period may come at once. Raises `ValueError`."""
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0 or match[3] == "0":
        raise ValueError(f"{text!r} is not a rate: write 100/s, 6000/min, 5000/h or 100/s burst 200")
    count, period_us = int(match[1]), _PERIOD_US[match[2]]
    if count > period_us:
        raise ValueError(f"{text!r} is more than one request in a microsecond")
    return Rate(round(period_us / count), int(match[3]) if match[3] else count)
