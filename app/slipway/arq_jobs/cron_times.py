"""Whether the times of a cron job ever come. arq looks for the next time without a limit, which would block the event
loop of a worker."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from typing import Any, Final

from arq.cron import CronJob
from arq.typing import WEEKDAYS

_LEAP_YEAR: Final = 2024

_RANGES: Final = {
    "month": range(1, 13),
    "day": range(1, 32),
    "weekday": range(7),
    "hour": range(24),
    "minute": range(60),
    "second": range(60),
    "microsecond": range(1_000_000),
}

_EMPTY: Final[tuple[object, ...]] = (set(), [], ())


def problem_with_times(cron_job: CronJob) -> str | None:
    """What is wrong with the times of a cron job; None if they come again and again."""
    for name, allowed in _RANGES.items():
        option = getattr(cron_job, name)
        if name == "weekday" and isinstance(option, str):
            if option.lower() not in WEEKDAYS:
                return f"weekday={option!r} is none of {', '.join(WEEKDAYS)}"
            continue
        if option is None and name != "microsecond":
            continue
        accepted = int if name == "microsecond" else int | set | list | tuple
        if not isinstance(option, accepted):
            return f"{name}={option!r} must be a whole number" + ("" if accepted is int else " or a set of them")
        if option in _EMPTY:
            return f"{name}={option!r} has no value"
        for value in _values(option):
            if value not in allowed:
                return f"{name}={value!r} is not between {allowed[0]} and {allowed[-1]}"
    months, days = _values(cron_job.month) or _RANGES["month"], _values(cron_job.day)
    if days and min(days) > max(monthrange(_LEAP_YEAR, month)[1] for month in months):
        return f"no day {min(days)} is in month {', '.join(map(str, months))}"
    return None


def _values(option: Any) -> tuple[Any, ...]:
    if option is None:
        return ()
    return tuple(option) if isinstance(option, Iterable) else (option,)
