"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.webhooks.retry_schedule import LONGEST_WISH_MS, RETRY_PAUSES_MS, retry_pause_ms, wish_ms_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    assert [pause / 1000 for pause in RETRY_PAUSES_MS] == [
        5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)),
    ]  # fmt: skip
    pauses = [retry_pause_ms(calls, None, 0) for calls in range(1, 11)]
    assert pauses == [*RETRY_PAUSES_MS, None]


@given(calls=st.integers(-3, 12), wish=st.none() | st.integers(0, LONGEST_WISH_MS), random=st.floats(0, 1))
def test_a_pause_is_never_shorter_than_the_schedule_and_the_wish(calls: int, wish: int | None, random: float) -> None:
    pause = retry_pause_ms(calls, wish, random)
    if calls > len(RETRY_PAUSES_MS):
        assert pause is None
        return
    shortest = max(RETRY_PAUSES_MS[max(calls, 1) - 1], wish or 0)
    assert pause is not None
    assert shortest <= pause <= shortest * 1.2


@pytest.mark.parametrize(
    ("text", "wish_ms"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120_000),
        (" 120 ", 120_000),
        ("0" * 5000 + "7", 7_000),
        ("9" * 5000, LONGEST_WISH_MS),
        ("86400", LONGEST_WISH_MS),
        ("86401", LONGEST_WISH_MS),
        ("-1", None),
        ("1.5", None),
        ("١٢", None),
        ("soon", None),
        ("120, 120", None),
        (format_datetime(NOW + timedelta(minutes=3), usegmt=True), 180_000),
        (format_datetime(NOW - timedelta(minutes=3), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=300), usegmt=True), LONGEST_WISH_MS),
        ("Mon, 30 Nov 2026 12:00:10", 10_000),
        ("Mon, 30 Nov 2026 12:00:10 -0000", 10_000),
        ("Mon, 30 Nov 99999 12:00:10 GMT", None),
    ],
)
def test_what_a_receiver_wants(text: str | None, wish_ms: int | None) -> None:
    assert wish_ms_of(text, NOW) == wish_ms


@given(text=st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} \w{3} \d{1,9} \d{1,9}:\d+:\d+ \S{0,6}", fullmatch=True))
def test_any_header_is_a_bounded_wish_or_none(text: str) -> None:
    wish = wish_ms_of(text, NOW)
    assert wish is None or 0 <= wish <= LONGEST_WISH_MS


@given(seconds=st.integers(0, 10**12))
def test_seconds_and_dates_mean_the_same(seconds: int) -> None:
    wish = wish_ms_of(str(seconds), NOW)
    assert wish == min(seconds * 1000, LONGEST_WISH_MS)
    if seconds <= 10**8:
        assert wish_ms_of(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), NOW) == wish
