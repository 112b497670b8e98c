"""The schedule of a cron: five fields, or six with the seconds last, or a name such as `@hourly`, in a time zone.

Changes to and from summer time are handled as in Debian's cron. A due time that a change skips is due right after the
change. A due time that a change repeats is due once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from slipway.errors import InvalidRequest

NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MAX_COUNTED_MISSED: Final = 1000
"""Missed due times are counted up to this number."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A valid schedule. Times are in ms since the epoch. No due time is later than `end_ms`."""

    text: str
    zone: str | None
    end_ms: int | None = None

    @classmethod
    def checked(cls, text: str, zone: str | None, end_ms: int | None = None) -> Self:
        """Raises `InvalidRequest` when the schedule or the zone is invalid, or when the schedule has no due time."""
        schedule = cls(text, zone, end_ms)
        try:
            next(schedule._after(datetime.now(UTC)))
        except (CronSimError, ValueError) as error:
            raise InvalidRequest(
                "schedule", f"{text!r} is not a cron schedule of five fields, or six with the seconds last: {error}"
            ) from None
        except StopIteration:
            raise InvalidRequest("schedule", f"{text!r} is never due") from None
        return schedule

    def after(self, now_ms: int) -> int | None:
        """The first due time after `now_ms`; None when there is none until `end_ms`. Raises `InvalidRequest` when the
        system has no such time zone (any more)."""
        moment = next(self._after(datetime.fromtimestamp(now_ms / 1000, UTC)), None)
        due_ms = None if moment is None else int(moment.timestamp() * 1000)
        return None if due_ms is None or (self.end_ms is not None and due_ms > self.end_ms) else due_ms

    def count_missed(self, due_ms: int, now_ms: int) -> int:
        """How many due times are later than `due_ms` and not later than `now_ms`."""
        count, later = 0, self.after(due_ms)
        while later is not None and later <= now_ms and count < MAX_COUNTED_MISSED:
            count, later = count + 1, self.after(later)
        return count

    def _after(self, moment: datetime) -> CronSim:
        parts = NAMES.get(self.text.strip().lower(), self.text).split()
        if len(parts) == 6:  # the library expects the seconds first
            parts = [parts[5], *parts[:5]]
        return CronSim(" ".join(parts), moment.astimezone(_zone(self.zone) if self.zone else UTC))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidRequest("timezone", f"{name!r} is not a time zone of the IANA database") from None
