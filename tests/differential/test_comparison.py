"""What the differential test treats as equal and what as different."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential.comparison import Counterparts, differences
from tests.differential.recording import Step
from tests.differential.report import create_report
from tests.differential.runner import compare, recording_differences

A, B, C, D = (f"01a222fc-d6b3-72af-8292-75875c6a23c{digit}" for digit in range(4))


def paths_and_kinds(reference: Any, slipway: Any) -> list[tuple[str, str]]:
    return [(path, kind) for path, kind, _, _ in differences(reference, slipway, Counterparts())]


@pytest.mark.parametrize(
    ("reference", "slipway"),
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
def test_consistent_ids_times_and_ports_are_equal(reference: Any, slipway: Any) -> None:
    assert paths_and_kinds(reference, slipway) == []


@pytest.mark.parametrize(
    ("reference", "slipway", "expected"),
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
def test_other_values_types_and_id_pairs_are_different(
    reference: Any, slipway: Any, expected: list[tuple[str, str]]
) -> None:
    assert paths_and_kinds(reference, slipway) == expected


def test_an_extra_event_does_not_shift_the_events_after_it() -> None:
    events = [{"event": "values", "data": {"a": 1}}, {"event": "updates", "data": {"n": 1}}]
    assert paths_and_kinds(events, [{"event": "metadata"}, *events]) == [("[metadata]", "extra")]


def test_a_step_that_one_server_lacks_is_one_difference() -> None:
    longer, shorter = [Step("GET /a", 1), Step("GET /b", 2)], [Step("GET /a", 1)]
    missing = [(difference.step, difference.kind) for difference in recording_differences("s", longer, shorter)]
    assert missing == [("2 GET /b", "missing")]
    extra = [(difference.step, difference.kind) for difference in recording_differences("s", shorter, longer)]
    assert extra == [("2 GET /b", "extra")]


def test_unintended_differences_and_unused_entries_fail_the_report() -> None:
    unintended = compare("s", [Step("GET /a", {"surely": 1})], [Step("GET /a", {"surely": 2})])
    report = create_report([unintended], complete=True)
    assert [difference.path for difference in report.unintended] == [".surely"]
    assert report.unused
    assert not report.passed
    assert create_report([compare("s", [], [])], complete=False).passed
