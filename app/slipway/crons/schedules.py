"""When a cron is due: five fields, or six with the seconds last, or a name such as `@hourly`, in a time zone.

What clocks do in spring and autumn is as in Debian's cron: a job for a time that does not exist runs when the clocks
have jumped, and one for a time that comes twice runs once.
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

MOST_PASSED: Final = 1000
"""Due times that are counted after downtime; more are told as this many."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that was checked. Times are in ms since the epoch; `end_ms` is the last moment that may be due."""

    text: str
    zone: str | None
    end_ms: int | None = None

    @classmethod
    def checked(cls, text: str, zone: str | None, end_ms: int | None = None) -> Self:
        """`InvalidRequest` when the schedule or the zone is none, or when it would never be due."""
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
        """The next due time after a moment; None when there is none before the end. `InvalidRequest` when the system
        does not know the zone any more."""
        moment = next(self._after(datetime.fromtimestamp(now_ms / 1000, UTC)), None)
        due_ms = None if moment is None else int(moment.timestamp() * 1000)
        return None if due_ms is None or (self.end_ms is not None and due_ms > self.end_ms) else due_ms

    def passed(self, due_ms: int, now_ms: int) -> int:
        """How many due times lie after `due_ms` and not after now."""
        count, later = 0, self.after(due_ms)
        while later is not None and later <= now_ms and count < MOST_PASSED:
            count, later = count + 1, self.after(later)
        return count

    def _after(self, moment: datetime) -> CronSim:
        parts = NAMES.get(self.text.strip().lower(), self.text).split()
        if len(parts) == 6:  # the library has the seconds first
            parts = [parts[5], *parts[:5]]
        return CronSim(" ".join(parts), moment.astimezone(_zone(self.zone) if self.zone else UTC))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidRequest("timezone", f"{name!r} is not a time zone of the IANA database") from None
