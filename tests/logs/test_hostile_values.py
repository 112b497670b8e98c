"""Whatever is passed to a log call: it does not raise, and the line is bounded, and says what was left out."""

from __future__ import annotations

import json
import re

import pytest

from slipway.logs.values import LONGEST_LINE, LONGEST_TEXT
from tests.logs.processes import lines_of, output_of

pytestmark = pytest.mark.processes

CLASSES = """
class Bad:
    def __repr__(self): raise RuntimeError("no")
class Exits:
    def __repr__(self): sys.exit(3)
class BadText(str):
    def __str__(self): raise RuntimeError
    def __len__(self): raise RuntimeError
class LogsItself:
    def __repr__(self):
        library.warning("inner %s", self)
        return "LogsItself"
"""


def test_hostile_values_are_shown_as_far_as_possible() -> None:
    (line,) = lines_of(
        CLASSES
        + """
deep = inner = {}
for _ in range(500):
    inner["a"] = inner = {}
deep = {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}
cycle = []
cycle.append(cycle)
log.info("over", bytes=b"\\xff\\x00abc", surrogate="\\ud800x", bad=Bad(), exits=Exits(), number=10**5000,
         nan=float("nan"), text=BadText("q"), many=list(range(100_000)), names={1: 2, (3,): b"x"},
         deep=deep, cycle=cycle)
"""
    )
    assert line["event"] == "over"
    assert line["bad"] == "<Bad: its repr() raises RuntimeError>"
    assert line["exits"] == "<Exits: its repr() raises SystemExit>"
    assert line["text"] == "q"
    assert line["nan"] is None
    assert line["surrogate"] == "\ufffdx"
    assert line["bytes"].startswith("\\xff")
    assert line["number"].startswith("0x")
    assert line["many"][-1] == "… 99900 more"
    assert line["names"] == {"0x1": 2, "(3,)": "x"}
    assert "<dict with 1 items>" in str(line["deep"])
    assert "<list with 1 items>" in str(line["cycle"])
    assert line["cut"] is True


def test_a_field_of_10_megabytes_is_cut() -> None:
    (line,) = lines_of("log.info('over', big='a' * 10_000_000)")
    assert line["big"].startswith("a" * LONGEST_TEXT + "… (")
    assert len(line["big"]) < LONGEST_TEXT + 100
    assert line["cut"] is True


def test_many_long_fields_are_cut_together() -> None:
    (text,) = output_of("log.info('over', **{f'f{n}': 'a' * 8000 for n in range(1000)})").splitlines()
    assert len(text) < 1.5 * LONGEST_LINE
    assert json.loads(text)["cut"] is True


def test_a_secret_that_is_cut_is_replaced_first() -> None:
    secret = "sk-" + "Z" * 40
    (line,) = lines_of(f"log.info('over', big='a' * {LONGEST_TEXT - 10} + ' ' + {secret!r} + 'a ' * 9000)")
    assert "ZZ" not in line["big"]


@pytest.mark.parametrize(
    ("call", "event"),
    [
        ("library.warning('n %d', 'x')", "n %d"),
        ("library.warning('%s', Bad())", "%s"),
        ("library.warning(Bad())", "Bad"),
        ("library.warning('a', extra={'b': Exits()})", "a"),
        ("log.warning('a %s', 1, 2)", None),
    ],
)
def test_a_line_that_cannot_be_formatted_is_logged(call: str, event: str | None) -> None:
    lines = lines_of(f"{CLASSES}\n{call}\nlibrary.warning('over')")
    assert lines[-1]["event"] == "over"
    assert len(lines) == 2
    assert event is None or lines[0]["event"] == event


@pytest.mark.parametrize(
    "call", ["library.warning('%s', LogsItself())", "library.warning('x', extra={'a': LogsItself()})"]
)
def test_a_value_that_logs_itself_logs_a_few_lines(call: str) -> None:
    assert 2 <= len(lines_of(f"{CLASSES}\n{call}")) <= 3


def test_what_a_line_knows_cannot_be_replaced() -> None:
    (ours, theirs) = lines_of(
        "log.warning('a', timestamp='forged', level='forged', process='forged')\n"
        "library.warning('b', extra={'run': 'forged', 'trace': 'forged'})"
    )
    assert (ours["level"], ours["process"], ours["level_"]) == ("warning", "worker", "forged")
    assert "run" not in theirs
    assert (theirs["run_"], theirs["trace_"], theirs["logger"]) == ("forged", "forged", "library")


FORGED = r"'a\n2026-01-01 error    forged\r\x1b[2J\x1b]0;title\x07\u202e\u2028'"


@pytest.mark.parametrize(
    "call", [f"log.info({FORGED}, b={FORGED})", f"library.warning({FORGED}, extra={{'b': {FORGED}}})"]
)
def test_no_value_ends_a_line_or_controls_a_terminal(call: str) -> None:
    output = output_of(f"{call}\nlog.info('over')", log_format="text")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", output)
    lines = [line for line in output.split("\n") if line and not line.startswith("    ")]
    assert len(lines) == 2
    assert all(re.match(r"20\d\d-\d\d-\d\dT\S+Z (info|warning) ", line) for line in lines)
