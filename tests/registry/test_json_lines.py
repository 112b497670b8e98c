"""The lines of values in JSON texts."""

from __future__ import annotations

import pytest

from slipway.graphs.json_lines import line_of

TEXT = """{
  "a": {"b": [1, {"c": "x,]}"},
               "last"], "d": {}},

  "e": [
    {"f": "}\\"{"},
    []
  ]
}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a",), 2),
        (("a", "b", 1, "c"), 2),
        (("a", "b", 2), 3),
        (("a", "d"), 3),
        (("e", 0, "f"), 6),
        (("e", 1), 7),
        (("e", 2), 5),
        (("e", "x"), 5),
        (("nowhere", 1), 1),
    ],
)
def test_the_line_of_a_value(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, path) == line


def test_a_text_that_is_not_json_has_no_lines() -> None:
    assert line_of('{"x": tru', ("a",)) is None
    assert line_of("", ("a",)) is None
