"""The kind of form field for each JSON schema."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.api.ui.forms import fields_of

SCALAR = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}
DEFINITIONS = {"$defs": {"Size": {"enum": ["s", "l"]}, "Loop": {"$ref": "#/$defs/Loop"}}}


@pytest.mark.parametrize(
    ("name", "schema", "kind"),
    [
        ("question", {"type": "string"}, "text"),
        ("order_id", {"type": "string"}, "line"),
        ("when", {"type": "string", "format": "date"}, "line"),
        ("count", {"type": "integer"}, "integer"),
        ("count", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ("ratio", {"type": "number"}, "number"),
        ("amount", SCALAR, "scalar"),
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
def test_a_schema_has_one_kind_of_field(name: str, schema: Any, kind: str) -> None:
    (field,) = fields_of(DEFINITIONS | {"type": "object", "properties": {name: schema}}, "input")
    assert (field.kind, field.path) == (kind, f"input.{name}")


@pytest.mark.parametrize("schema", [None, {}, {"type": "string"}, {"type": "array"}])
def test_a_schema_of_another_type_has_no_fields(schema: dict[str, Any] | None) -> None:
    assert fields_of(schema, "input") == []


def test_a_field_has_the_bounds_and_example_of_its_schema() -> None:
    schema = {
        "required": ["count"],
        "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 5, "examples": [3], "description": "x"}},
    }
    (field,) = fields_of(schema, "input")
    assert (field.minimum, field.maximum, field.example, field.required, field.help) == (1, 5, "3", True, "x")
    bounds = {"exclusiveMinimum": 0, "exclusiveMaximum": 10}
    (optional,) = fields_of({"properties": {"share": {"type": "number", **bounds}}}, "input")
    assert (optional.minimum, optional.maximum) == (0, 10)
    assert (optional.example, optional.required, optional.help) == ("", False, "")
