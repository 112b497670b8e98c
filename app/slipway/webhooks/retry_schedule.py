"""When a delivery is tried again: the schedule that Standard Webhooks recommends, and the wish of the receiver."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_HOUR_MS: Final = 3_600_000

RETRY_PAUSES_MS: Final = (
    5_000,
    5 * 60_000,
    30 * 60_000,
    2 * _HOUR_MS,
    5 * _HOUR_MS,
    10 * _HOUR_MS,
    14 * _HOUR_MS,
    20 * _HOUR_MS,
    24 * _HOUR_MS,
)
"""The pauses before the second and each further try. There is no eleventh."""

MOST_JITTER: Final = 0.2
"""A pause is longer by up to this part of it, so that deliveries which failed together are not tried together again."""

LONGEST_WISH_MS: Final = 24 * _HOUR_MS
"""A receiver cannot postpone a try further, and so keep deliveries for ever."""

_SECONDS: Final = re.compile(r"[0-9]+")
_MOST_DIGITS: Final = 9


def retry_pause_ms(calls: int, wish_ms: int | None, random: float) -> int | None:
    """The pause after `calls` calls; None after the last one. It is not shorter than the receiver wants. `random` is
    from 0 to 1."""
    if calls > len(RETRY_PAUSES_MS):
        return None
    pause_ms = max(RETRY_PAUSES_MS[max(calls, 1) - 1], wish_ms or 0)
    return int(pause_ms * (1 + MOST_JITTER * random))


def wish_ms_of(retry_after: str | None, now: datetime) -> int | None:
    """What the header `Retry-After` asks for (RFC 9110: seconds, or a date), at most `LONGEST_WISH_MS`. None without
    the header, and for a text that means nothing. `now` is in UTC."""
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        digits = text.lstrip("0") or "0"
        return LONGEST_WISH_MS if len(digits) > _MOST_DIGITS else min(int(digits) * 1000, LONGEST_WISH_MS)
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        wish_s = (date - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0, min(int(wish_s * 1000), LONGEST_WISH_MS))
