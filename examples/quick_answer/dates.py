"""Answers questions about dates: today, the days between two dates, a date in some days, the weekday of a date."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

from examples.reading.versions import read_date

_TODAY: Final = re.compile(
    r"\b(?:what(?:'s|’s| is)? (?:the )?(?:date|day)(?: is it| of)?(?: today)?|today'?s date|what day is (?:it"
    r"|today))\b",
    re.I,
)
_OFFSET: Final = re.compile(
    r"\b(?:in|what (?:date|day) is(?: it)?(?: in)?)\s*(?P<n>\d{1,5}) (?P<u>day|week)s?(?P<ago> ago)?\b"
    r"|\b(?P<n2>\d{1,5}) (?P<u2>day|week)s? (?:(?P<ago2>ago|before)|from now|after|from) ?(?P<base>today|.{0,30})",
    re.I,
)
_BETWEEN: Final = re.compile(r"\b(?:between|from) (.+?) (?:and|to|until|till) (.+)", re.I)
_UNTIL: Final = re.compile(r"\bhow (?:many days|long)\b.*?\b(?:until|till|to|since) (.+)", re.I)
_WEEKDAY: Final = re.compile(r"\b(?:what|which) (?:week)?day\b.*", re.I)


def about_date(question: str, today: date) -> str | None:
    """The answer as a sentence, or None when the question is not about dates."""
    text = question[:300]
    asks_days = bool(re.search(r"\bhow (?:many days|long)\b|\bdays between\b", text, re.I))
    if asks_days and (match := _BETWEEN.search(text)):
        first, second = _date(match[1], today), _date(match[2], today)
        if first and second:
            return f"From {_format_date(first)} to {_format_date(second)} it is {_days(abs((second - first).days))}."
    if (match := _UNTIL.search(text)) and (day := _date(match[1], today)):
        gap = (day - today).days
        return (
            f"{_format_date(day)} is {_days(gap)} away." if gap >= 0 else f"{_format_date(day)} was {_days(-gap)} ago."
        )
    if (match := _OFFSET.search(text)) and (answer := _shifted(match, today)):
        return answer
    if _WEEKDAY.search(text) and (day := _date(text, today, bare=False)):
        return f"{_format_date(day)} {'is' if day >= today else 'was'} a {day:%A}."
    if _TODAY.search(text):
        return f"Today is {today:%A}, {_format_date(today)}."
    return None


def _shifted(match: re.Match[str], today: date) -> str | None:
    number, unit = match["n"] or match["n2"], match["u"] or match["u2"]
    days = int(number) * (7 if unit.lower() == "week" else 1)
    base = _date(match["base"] or "today", today) or (today if not (match["base"] or "").strip(" ?.!") else None)
    if base is None:
        return None
    try:
        day = base - timedelta(days) if match["ago"] or match["ago2"] else base + timedelta(days)
    except OverflowError:
        return "That date is outside the calendar."
    return f"That is {day:%A}, {_format_date(day)}."


def _date(text: str, today: date, *, bare: bool = True) -> date | None:
    lower = text.strip(" ?.!").lower()
    words = {"today": 0, "now": 0, "tomorrow": 1, "yesterday": -1}
    if bare and lower in words:
        return today + timedelta(words[lower])
    if bare and lower in ("christmas", "new year"):
        month, day = (12, 25) if lower == "christmas" else (1, 1)
        this_year = date(today.year, month, day)
        return this_year if this_year >= today else date(today.year + 1, month, day)
    return read_date(text) if re.search(r"\d", text) else None


def _format_date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _days(number: int) -> str:
    return f"{number:,} day" + ("" if number == 1 else "s")
