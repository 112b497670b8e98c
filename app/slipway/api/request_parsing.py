"""Reads requests: JSON bodies, ids in paths, and query parameters in every encoding that clients use.

Malformed input raises `InvalidRequest`, which names the field.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from slipway.errors import InvalidRequest
from slipway.serialization.json_encoding import DEEPEST, clean

Body = TypeVar("Body", bound=BaseModel)

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OBJECT: Final = "must be a JSON object"
_NO_OBJECT: Final = frozenset({"dict_type", "model_type"})
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0", ""})


async def read_body(request: Request, model: type[Body]) -> Body:
    """The body as `model`; an empty body counts as malformed."""
    return validated(model, parsed(await request.body()))


def parsed(raw: bytes) -> Any:
    """JSON bytes as Python values."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raw = _without_lone_surrogates(raw, error)
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as other:
            raise _malformed(other) from None
    if exceeds_depth(raw, DEEPEST):
        raise InvalidRequest("", f"the body is nested deeper than {DEEPEST} levels")
    return value


def validated(model: type[Body], value: Any, place: str = "") -> Body:
    """`value` as `model`, or the first problem as `InvalidRequest`; `place` is where in the body it is."""
    if not isinstance(value, dict):
        raise InvalidRequest(place, _OBJECT if place else "the body must be a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        says = _OBJECT if problem["type"] in _NO_OBJECT else problem["msg"].removeprefix("Value error, ")
        raise InvalidRequest(_path(problem["loc"], place), says) from None


def _path(parts: tuple[int | str, ...], path: str) -> str:
    """`config.tags[0]`."""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _malformed(error: orjson.JSONDecodeError) -> InvalidRequest:
    return InvalidRequest("", f"the body is not valid JSON: {error}")


_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escape that is one half of a pair, where no escaped backslash is in front of it."""


def _without_lone_surrogates(raw: bytes, error: orjson.JSONDecodeError) -> bytes:
    """`raw` with U+FFFD for each lone surrogate: they are legal JSON that orjson refuses. `InvalidRequest` when there
    are none. It works on bytes, since a large body in Python's own parser would hold up every other request."""
    if b"\\ud" not in raw.lower() or b"\0" in raw:
        raise _malformed(error) from None
    alone = raw.replace(rb"\\", b"\0")  # from here on, every backslash begins an escape; NUL is not legal JSON
    return _LONE_SURROGATE.sub(rb"\\ufffd", alone).replace(b"\0", rb"\\")


_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")


def exceeds_depth(raw: bytes, levels: int) -> bool:
    """Whether valid JSON is nested deeper than `levels`. It reads the bytes: ten megabytes of lists take a tenth of a
    second, where a walk through the values would hold up every other request for seconds."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    plain = raw.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in raw else raw
    outside = b"".join(plain.split(b'"')[::2])
    inner = outside.translate(_ALIKE, _NO_BRACKET).replace(b"[]", b"")  # every innermost pair, which is one level
    return max(accumulate(array("b", inner.translate(_STEPS))), default=0) >= levels


# paths


def path_id(request: Request, name: str) -> str:
    """A UUID in the path, as canonical text."""
    return checked_uuid(request.path_params[name], name)


def checked_uuid(text: str, field: str) -> str:
    """`text` as a canonical UUID."""
    if not _UUID.fullmatch(text):
        raise InvalidRequest(field, f"{clean(text)!r} is not a UUID")
    return str(UUID(text))


# queries


def query_flag(request: Request, name: str, default: bool = False) -> bool:
    """true/false or 1/0."""
    text = request.query_params.get(name)
    if text is None:
        return default
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise InvalidRequest(name, f"{clean(text)!r} is not true or false")


def query_number(request: Request, name: str, default: int, least: int = 0, most: int = 2**31) -> int:
    """A whole number between `least` and `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
        raise InvalidRequest(name, f"{clean(text)!r} is not a whole number from {least} to {most}")
    return int(text)


def query_choice(request: Request, name: str, allowed: tuple[str, ...]) -> str | None:
    """One of `allowed`, or None when not given."""
    text = request.query_params.get(name)
    if not text:
        return None
    if text not in allowed:
        raise InvalidRequest(name, f"{clean(text)!r} is not one of {', '.join(allowed)}")
    return text


def query_names(request: Request, name: str) -> list[str]:
    """A list in any of three encodings: the key repeated, a JSON array, or comma separated."""
    found: list[str] = []
    for text in request.query_params.getlist(name):
        if text.startswith("["):
            try:
                items = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise InvalidRequest(name, "is not a JSON array") from None
            found.extend(str(item) for item in items)
        else:
            found.extend(part.strip() for part in text.split(",") if part.strip())
    return found
