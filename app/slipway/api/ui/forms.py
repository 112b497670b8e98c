"""Converts the input schema of a graph to the fields of a form.

Each field has a control for its type, or a text box for JSON if its type has no control. The whole input can always be
written as JSON. Nothing is validated here: the page validates numbers and JSON, the graph validates everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from slipway.graphs.manifest import JsonSchema
from slipway.serialization.json_encoding import dumps

Kind = Literal["line", "text", "number", "integer", "scalar", "flag", "choice", "lines", "chat", "json"]
"""The control: `scalar` is a number or a text, `lines` an array of texts, `chat` a message of a conversation."""

_SHORT: Final = re.compile(r"(^|_)(id|key|code|name|email|url|date|number|currency|locale|language)$")
_SHORT_FORMATS: Final = frozenset({"date", "date-time", "time", "email", "uri", "uuid", "ipv4", "ipv6"})
_MAX_REFERENCES: Final = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a selection: its JSON text, and its label."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class FormField:
    """One control. `path` is the name of the field in errors of the API."""

    name: str
    path: str
    kind: Kind
    label: str
    help: str = ""
    required: bool = False
    example: str = ""
    example_json: str = ""
    choices: tuple[Choice, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def fields_of(schema: JsonSchema | None, path: str) -> list[FormField]:
    """The fields of the schema of an object. Empty if the schema declares no members: then the input must be JSON."""
    root = schema or {}
    resolved = _resolved(root, root)
    properties = resolved.get("properties")
    if not isinstance(properties, dict):
        return []
    required = set(resolved.get("required") or ())
    return [_field(name, part, f"{path}.{name}", name in required, root) for name, part in properties.items()]


def _field(name: str, declared: Any, path: str, required: bool, root: JsonSchema) -> FormField:
    outer = declared if isinstance(declared, dict) else {}
    part = outer | _plain(outer, root)
    kind = _control_kind(name, part, root)
    examples = outer.get("examples") or part.get("examples") or ()
    example = examples[0] if isinstance(examples, list | tuple) and examples else None
    return FormField(
        name=name,
        path=path,
        kind=kind,
        label=_label(name),
        help=str(outer.get("description") or (part.get("description") or "" if kind not in ("chat", "json") else "")),
        required=required,
        example="" if example is None else example if isinstance(example, str) else dumps(example).decode(),
        example_json="" if example is None else dumps(example).decode(),
        choices=tuple(Choice(dumps(each).decode(), str(each)) for each in _enum(part)),
        minimum=_bound(part, "minimum", "exclusiveMinimum"),
        maximum=_bound(part, "maximum", "exclusiveMaximum"),
    )


def _label(name: str) -> str:
    return name.replace("_", " ").strip().capitalize() or name


def _control_kind(name: str, part: Mapping[str, Any], root: JsonSchema) -> Kind:
    """The kind of control for the field `name`. `part` is the schema of the field, `root` the whole schema, to which
    references in `part` refer."""
    if _enum(part):
        return "choice"
    declared = part.get("type")
    if name == "messages" and declared == "array":
        return "chat"
    match declared:
        case "string":
            return "line" if _is_short(name, part) else "text"
        case "integer":
            return "integer"
        case "number":
            return "number"
        case "boolean":
            return "flag"
        case "array":
            return "lines" if _plain(part.get("items") or {}, root).get("type") == "string" else "json"
    kinds = {each.get("type") for each in _branches(part, root)}
    return "scalar" if kinds and kinds <= {"string", "number", "integer"} else "json"


def _enum(part: Mapping[str, Any]) -> list[Any]:
    if "const" in part:
        return [part["const"]]
    found = part.get("enum")
    return [each for each in found if each is not None] if isinstance(found, list) else []


def _is_short(name: str, part: Mapping[str, Any]) -> bool:
    return (
        bool(_SHORT.search(name)) or part.get("format") in _SHORT_FORMATS or 0 < int(part.get("maxLength") or 0) <= 120
    )


def _bound(part: Mapping[str, Any], *names: str) -> float | None:
    found = [part[name] for name in names if isinstance(part.get(name), int | float)]
    return found[0] if found else None


def _plain(part: Any, root: JsonSchema) -> dict[str, Any]:
    """The schema without references and without the alternative null."""
    resolved = _resolved(part, root)
    branches = _branches(resolved, root)
    return {**resolved, **branches[0]} if len(branches) == 1 else resolved


def _branches(part: Mapping[str, Any], root: JsonSchema) -> list[dict[str, Any]]:
    """The alternatives of a schema, without null."""
    every = part.get("anyOf") or part.get("oneOf") or ()
    resolved = [_resolved(each, root) for each in every]
    return [each for each in resolved if each.get("type") != "null"]


def _resolved(part: Any, root: JsonSchema) -> dict[str, Any]:
    """The schema to which `$ref` refers, within the same document."""
    for _ in range(_MAX_REFERENCES):
        if not isinstance(part, dict):
            return {}
        reference = part.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return part
        found: Any = root
        for step in reference[2:].split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        part = {**(found if isinstance(found, dict) else {}), **{k: v for k, v in part.items() if k != "$ref"}}
    return {}
