"""Every line that the code logs is declared in the table of telemetry, with its level and its fields."""

from __future__ import annotations

import pytest

from slipway.telemetry.table.whole_table import EVENTS
from tests.telemetry.log_calls import LogCall, log_calls

CALLS = log_calls()

FIELDS_KNOWN_AT_RUN_TIME = {"event_loop.blocked", "event_loop.unblocked"}
"""Events whose fields depend on the code that they describe. The strict mode of the logs compares those."""


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.event} {call.where}")
def test_a_line_is_declared(call: LogCall) -> None:
    assert call.event is not None, "the name of an event is a literal, so that it can be found"
    kind = EVENTS.get(call.event)
    assert kind is not None, "declare it in an area of app/slipway/telemetry/table (CONTRIBUTING.md)"
    assert call.level == kind.level
    assert set(call.fields) <= {each.name for each in kind.fields}
    assert kind.has_exception or not call.has_exception
    assert not call.unknown or call.event in FIELDS_KNOWN_AT_RUN_TIME, "pass fields by name"


def test_every_declared_event_is_logged() -> None:
    assert set(EVENTS) == {call.event for call in CALLS}


@pytest.mark.parametrize("name", sorted(set(EVENTS) - FIELDS_KNOWN_AT_RUN_TIME))
def test_every_declared_field_is_logged(name: str) -> None:
    kind, calls = EVENTS[name], [call for call in CALLS if call.event == name]
    assert {each.name for each in kind.fields} == {field for call in calls for field in call.fields}
    assert kind.has_exception == any(call.has_exception for call in calls)
