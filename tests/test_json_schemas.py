"""A problem of a value names the part of the value, also in the alternatives of a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.json_comparison import equal
from slipway.json_schemas import InvalidSchema, SchemaProblem, SchemaValidator, joined_path

ALTERNATIVES = {
    "oneOf": [
        {"properties": {"type": {"const": "a"}}, "required": ["type"]},
        {
            "properties": {"type": {"enum": ["b", "c"]}, "in": {"properties": {"name": {"const": "x"}}}},
            "required": ["type", "in"],
        },
    ]
}

PROBLEMS: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "integer"}, "x", ""),
    ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": [1, "x"]}, "a[1]"),
    ({"required": ["a"]}, {}, "a"),
    ({"properties": {"a": {"required": ["b"]}}}, {"a": {}}, "a.b"),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1, "b": 2}, "b"),
    ({"unevaluatedProperties": False}, {"b": 2}, "b"),
    (ALTERNATIVES, {"type": "b"}, "in"),
    (ALTERNATIVES, {"type": "c", "in": {"name": "y"}}, "in.name"),
    (ALTERNATIVES, {"type": "d"}, "type"),
    ({"properties": {"list": {"items": ALTERNATIVES}}}, {"list": [{"type": "b"}]}, "list[0].in"),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, 4, ""),
    ({"properties": {"a": False}}, {"a": 1}, "a"),
    ({"pattern": "^(a+)+(?=b)c$"}, "a" * 60, ""),
    ({"type": "string"}, "\ud800", ""),
]


@pytest.mark.parametrize(("schema", "value", "path"), PROBLEMS)
def test_a_problem_names_the_part_of_the_value(schema: dict[str, Any], value: Any, path: str) -> None:
    problem = SchemaValidator(schema).problem(value)
    assert problem is not None
    assert joined_path(problem.path) == path
    assert problem.message


@pytest.mark.parametrize(
    ("schema", "value"),
    [({}, None), ({"type": "integer"}, 10**30), ({"type": "integer"}, 2.0), (ALTERNATIVES, {"type": "a"})],
)
def test_a_value_that_matches_has_no_problem(schema: dict[str, Any], value: Any) -> None:
    assert SchemaValidator(schema).problem(value) is None


@pytest.mark.parametrize(
    "schema", [{"type": 5}, {"pattern": "("}, {"$ref": "#/nowhere"}, {"$ref": "http://127.0.0.1:1"}]
)
def test_an_invalid_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema) as raised:
        SchemaValidator(schema)
    assert len(str(raised.value)) <= 300


def test_a_document_to_which_a_schema_refers_is_not_loaded(tmp_path: Path) -> None:
    document = tmp_path / "schema.json"
    document.write_text("{}")
    with pytest.raises(InvalidSchema, match="disabled"):
        SchemaValidator({"$ref": document.as_uri()})


def test_a_long_message_is_cut() -> None:
    problem = SchemaValidator({"type": "integer"}).problem("x" * 1000)
    assert isinstance(problem, SchemaProblem)
    assert len(problem.message) == 300


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        ({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": [True]}, {"a": [1]}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1}, {"b": 1}, False),
        ({}, [], False),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_json_values_are_compared_as_json(one: Any, other: Any, are_equal: bool) -> None:
    assert equal(one, other) is are_equal
