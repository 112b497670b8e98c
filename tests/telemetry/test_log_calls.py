"""Every line that the code logs is declared in the table of telemetry, with its level and its fields."""

from __future__ import annotations

import pytest

from slipway.telemetry.table.whole_table import EVENTS
from tests.telemetry.log_calls import LogCall, log_calls

FIELDS_KNOWN_AT_RUN_TIME = {"event_loop.blocked", "event_loop.unblocked"}
"""Events whose fields depend on the code that they describe. The strict mode of the logs compares those."""


@pytest.fixture(scope="module")
def calls() -> list[LogCall]:
    return log_calls()


def test_every_line_is_declared(calls: list[LogCall]) -> None:
    problems = {f"{call.where}: {problem}" for call in calls if (problem := problem_of(call))}
    assert problems == set()


def problem_of(call: LogCall) -> str | None:
    kind = EVENTS.get(call.event or "")
    if call.event is None:
        return "the name of an event is a literal, so that it can be found"
    if kind is None:
        return f"declare {call.event} in an area of app/slipway/telemetry/table (CONTRIBUTING.md)"
    if call.level != kind.level:
        return f"{call.event} is declared as {kind.level}"
    if unknown := set(call.fields) - {each.name for each in kind.fields}:
        return f"{call.event} is declared without {', '.join(sorted(unknown))}"
    if call.has_exception and not kind.has_exception:
        return f"{call.event} is declared without a traceback"
    if call.unknown and call.event not in FIELDS_KNOWN_AT_RUN_TIME:
        return f"pass the fields of {', '.join(call.unknown)} by name"
    return None


def test_every_declared_event_is_logged(calls: list[LogCall]) -> None:
    assert set(EVENTS) == {call.event for call in calls}


def test_every_declared_field_is_logged(calls: list[LogCall]) -> None:
    declared = {
        name: {each.name for each in kind.fields}
        for name, kind in EVENTS.items()
        if name not in FIELDS_KNOWN_AT_RUN_TIME
    }
    logged: dict[str, set[str]] = {name: set() for name in declared}
    for call in calls:
        logged.get(call.event or "", set()).update(call.fields)
    assert logged == declared
