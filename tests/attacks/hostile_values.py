"""Values that an attacker sends in every field, and the paths of the fields."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel

FieldPath: TypeAlias = tuple[str | int, ...]
"""The names and list positions that lead to a field of a body."""

_PLACEHOLDER: Final = "\x01the hostile value\x01"

CONSTRUCTOR: Final = {"lc": 1, "type": "constructor", "id": ["subprocess", "getoutput"], "kwargs": {"cmd": "id"}}
SERIALISED: Final[tuple[Any, ...]] = (
    CONSTRUCTOR,
    {"lc": 2, "type": "constructor", "id": ["builtins", "eval"], "args": ["1/0"], "method": None},
    {"lc": 1, "type": "secret", "id": ["SLIPWAY_REDIS_URL"]},
    {"lc": 1, "type": "not_implemented", "id": ["x"], "repr": "x"},
    {"__type": "bytes", "__value": "aGk="},
    {"__type__": "langchain_core.messages.ai.AIMessage", "content": "hi"},
    {"__pregel_ns_writes": [], "__pregel_tasks": ["x"], "__pregel_push": 1},
    {"__interrupt__": [{"value": "x", "id": "y"}]},
    {"$ref": "#/definitions/x", "$type": "System.Object", "py/object": "os.system", "__reduce__": ["os.system"]},
    {"__class__": {"__init__": {"__globals__": 1}}, "__proto__": {"admin": True}},
)
"""JSON that some serialisers would turn into an object."""

TEXTS: Final = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a/b",
    "*",
    "[a-",
    "a?b[!c]\\",
    "}{",
    "slipway:{x}:*",
    "' or 1=1 --",
    "return redis.call('FLUSHALL')",
    "\r\nDEL x\r\n",
    "a\r\nset-cookie: a=b",
    "data: x\n\nevent: end\n",
    "\u202e\u2066\ufeff",
    "𝕏" * 50,
    "x" * 5000,
    "(a+)+$",
    "*" * 200 + "b",
    "$.a[?(@.b==1)]",
    "__proto__",
    "__pregel_resume",
    "{0.__class__}%s%n${x}{{x}}",
    "2026-13-45T99:99:99Z",
    "NaN",
    "-0",
)
"""Texts for names of keys, patterns, headers, paths, and languages that are built from texts."""

LITERALS: Final = (
    *("null", "true", "0", "-1", "1", "-0", "-0.0", "1.5", "1e308", "1e999", "-1e999", "NaN", "Infinity"),
    *("2147483648", "9007199254740993", "9223372036854775808", "18446744073709551616", "-9223372036854775809"),
    *("1" * 400, "0." + "0" * 400 + "1", r'"\ud800"', r'"\udc00\ud800"', "[]", "{}", "[[]]", "[null]", '{"":null}'),
    *('{"a":{"b":{"c":[{}]}}}', '["a",1,null,{}]', '{"$or":1}', '{"$gt":[]}', '{"$eq":{"$eq":1}}', '{"a":1,"a":2}'),
)
"""Valid JSON texts, and texts that only look like JSON."""

ALL_LITERALS: Final = (*LITERALS, *map(json.dumps, TEXTS), *map(json.dumps, SERIALISED))
"""All hostile values, each as the text that is written into a body."""


def field_paths(model: type[BaseModel], depth: int = 0) -> Iterator[FieldPath]:
    """Every field of a body, and of the bodies inside it, under the names that clients send."""
    for name, field in model.model_fields.items():
        yield (name,)
        if depth < 2:
            for inner, many in _models(field.annotation):
                for rest in field_paths(inner, depth + 1):
                    yield (name, 0, *rest) if many else (name, *rest)


def _models(annotation: Any, many: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation, many
        return
    if get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0], many)
        return
    for inner in get_args(annotation):
        yield from _models(inner, many or get_origin(annotation) is list)


def with_literal(body: Any, path: FieldPath, literal: str) -> bytes:
    """`body` as JSON with `literal` at `path`. Missing objects and lists on the path are created."""
    return json.dumps(_put(body, path)).replace(json.dumps(_PLACEHOLDER), literal).encode()


def _put(body: Any, path: FieldPath) -> Any:
    if not path:
        return _PLACEHOLDER
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return [_put(body[0] if isinstance(body, list) and body else {}, rest)]
    fields = body if isinstance(body, dict) else {}
    return fields | {first: _put(fields.get(first), rest)}
