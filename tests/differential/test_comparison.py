"""What the differential run calls equal, and what not: its result is worth as much as this."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential.comparison import Counterparts, differences
from tests.differential.playing import compared, played
from tests.differential.recording import Step
from tests.differential.report import judge

A, B, C, D = (f"01a222fc-d6b3-72af-8292-75875c6a23c{digit}" for digit in range(4))


def found(reference: Any, ours: Any) -> list[tuple[str, str]]:
    return [(path, kind) for path, kind, _, _ in differences(reference, ours, Counterparts())]


@pytest.mark.parametrize(
    ("reference", "ours"),
    [
        ({"id": A, "again": A}, {"id": B, "again": B}),
        (f"/threads/{A}/runs/{B}", f"/threads/{C}/runs/{D}"),
        ({A: [{"id": B}]}, {C: [{"id": D}]}),
        ({"of": [A, B], "map": {A: 1, B: 2}}, {"of": [C, D], "map": {D: 2, C: 1}}),
        ("2026-11-28T16:22:13.115667+00:00", "2025-01-02T03:04:05.000001+00:00"),
        ({"timestamp": 1795883325105}, {"timestamp": 1795883325999}),
        ("http://127.0.0.1:9911/x", "http://127.0.0.1:20001/x"),
    ],
)
def test_equal_but_for_ids_and_times(reference: Any, ours: Any) -> None:
    assert found(reference, ours) == []


@pytest.mark.parametrize(
    ("reference", "ours", "expected"),
    [
        ({"a": 1}, {}, [(".a", "missing")]),
        ({}, {"a": None}, [(".a", "extra")]),
        ({"a": None}, {"a": {}}, [(".a", "value")]),
        (1, 1.0, [("", "value")]),
        (0, False, [("", "value")]),
        ([A, A], [B, C], [("[1]", "value")]),
        ([A, B], [C, C], [("[1]", "value")]),
        (
            {"of": [A, B], "map": {A: 1}},
            {"of": [C, D], "map": {D: 1}},
            [(".map.<id>", "missing"), (".map.<id>", "extra")],
        ),
        ("2026-11-28T16:22:13.115667+00:00", "2026-11-28T16:22:13Z", [("", "value")]),
    ],
)
def test_different(reference: Any, ours: Any, expected: list[tuple[str, str]]) -> None:
    assert found(reference, ours) == expected


def test_an_event_too_many_does_not_shift_the_others() -> None:
    events = [{"event": "values", "data": {"a": 1}}, {"event": "updates", "data": {"n": 1}}]
    assert found(events, [{"event": "metadata"}, *events]) == [("[metadata]", "extra")]


def test_steps_that_only_one_side_came_to() -> None:
    theirs, ours = [Step("GET /a", 1), Step("GET /b", 2)], [Step("GET /a", 1)]
    assert [(one.step, one.kind) for one in compared("s", theirs, ours)] == [("2 GET /b", "missing")]
    assert [(one.step, one.kind) for one in compared("s", ours, theirs)] == [("2 GET /b", "extra")]


def test_a_difference_that_nobody_meant_and_one_that_is_gone() -> None:
    unknown = played("s", [Step("GET /a", {"surely": 1})], [Step("GET /a", {"surely": 2})])
    verdict = judge([unknown], whole=True)
    assert [one.path for one in verdict.unexplained] == [".surely"]
    assert verdict.outdated
    assert not verdict.good
    assert judge([played("s", [], [])], whole=False).good
