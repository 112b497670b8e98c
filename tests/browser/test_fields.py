"""Which control a schema gets."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.api.ui.forms import fields_of

MANY = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}
DEFINED = {"$defs": {"Size": {"enum": ["s", "l"]}, "Loop": {"$ref": "#/$defs/Loop"}}}


@pytest.mark.parametrize(
    ("name", "schema", "kind"),
    [
        ("question", {"type": "string"}, "text"),
        ("order_id", {"type": "string"}, "line"),
        ("when", {"type": "string", "format": "date"}, "line"),
        ("count", {"type": "integer"}, "integer"),
        ("count", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ("ratio", {"type": "number"}, "number"),
        ("amount", MANY, "scalar"),
        ("sure", {"type": "boolean"}, "flag"),
        ("size", {"$ref": "#/$defs/Size"}, "choice"),
        ("kind", {"const": "a"}, "choice"),
        ("tags", {"type": "array", "items": {"type": "string"}}, "lines"),
        ("things", {"type": "array", "items": {"type": "object"}}, "json"),
        ("messages", {"type": "array", "items": {}}, "chat"),
        ("place", {"type": "object", "properties": {}}, "json"),
        ("any", {}, "json"),
        ("any", True, "json"),
        ("loop", {"$ref": "#/$defs/Loop"}, "json"),
        ("missing", {"$ref": "#/$defs/None"}, "json"),
    ],
)
def test_the_kind_of(name: str, schema: Any, kind: str) -> None:
    (field,) = fields_of(DEFINED | {"type": "object", "properties": {name: schema}}, "input")
    assert (field.kind, field.path) == (kind, f"input.{name}")


@pytest.mark.parametrize("schema", [None, {}, {"type": "string"}, {"type": "array"}])
def test_no_object_has_no_fields(schema: dict[str, Any] | None) -> None:
    assert fields_of(schema, "input") == []


def test_bounds_examples_and_what_is_required() -> None:
    schema = {
        "required": ["count"],
        "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 5, "examples": [3], "description": "x"}},
    }
    (field,) = fields_of(schema, "input")
    assert (field.least, field.most, field.example, field.required, field.help) == (1, 5, "3", True, "x")
    bounds = {"exclusiveMinimum": 0, "exclusiveMaximum": 10}
    (other,) = fields_of({"properties": {"share": {"type": "number", **bounds}}}, "input")
    assert (other.least, other.most, other.example, other.required, other.help) == (0, 10, "", False, "")
