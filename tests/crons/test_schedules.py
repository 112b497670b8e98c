"""The due times of schedules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from slipway.crons.schedules import MAX_COUNTED_MISSED, Schedule
from slipway.errors import InvalidRequest


def ms(text: str) -> int:
    """A time in UTC as ms since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "zone", "now", "due"),
    [
        ("*/15 * * * *", None, "2026-03-01T10:07:30", "2026-03-01T10:15:00"),
        ("*/15 * * * *", None, "2026-03-01T10:15:00", "2026-03-01T10:30:00"),
        ("* * * * * */20", None, "2026-03-01T10:00:25", "2026-03-01T10:00:40"),
        ("0 9 * * 1-5 30", None, "2026-03-06T09:00:30", "2026-03-09T09:00:30"),
        ("@hourly", None, "2026-03-01T10:07:30", "2026-03-01T11:00:00"),
        ("@Daily", "Asia/Tokyo", "2026-03-01T10:07:30", "2026-03-01T15:00:00"),
        ("0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00", "2026-03-28T08:00:00"),
        ("0 9 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T07:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T01:00:00"),  # 02:30 does not exist
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),  # 02:30 occurs twice
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
        ("0 0 29 2 *", None, "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_the_next_due_time(text: str, zone: str | None, now: str, due: str) -> None:
    assert Schedule.checked(text, zone).after(ms(now)) == ms(due)


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "* * * * * 60", "@never", "0 0 31 2 *", "a b c d e"])
def test_an_invalid_schedule_is_rejected(text: str) -> None:
    with pytest.raises(InvalidRequest, match="schedule"):
        Schedule.checked(text, None)


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "/etc/localtime"])
def test_an_unknown_time_zone_is_rejected(zone: str) -> None:
    with pytest.raises(InvalidRequest, match="timezone"):
        Schedule.checked("@daily", zone)


def test_nothing_is_due_after_the_end() -> None:
    schedule = Schedule("@hourly", None, ms("2026-03-01T12:00:00"))
    assert schedule.after(ms("2026-03-01T11:30:00")) == ms("2026-03-01T12:00:00")
    assert schedule.after(ms("2026-03-01T12:00:00")) is None


def test_missed_due_times_are_counted() -> None:
    schedule = Schedule("@hourly", None)
    assert schedule.count_missed(ms("2026-03-01T10:00:00"), ms("2026-03-01T10:59:00")) == 0
    assert schedule.count_missed(ms("2026-03-01T10:00:00"), ms("2026-03-01T13:00:00")) == 3
    assert Schedule("* * * * * *", None).count_missed(0, ms("2026-03-01T13:00:00")) == MAX_COUNTED_MISSED
