"""Reads requests: JSON bodies, ids in paths, and query parameters in every encoding that clients use.

Malformed input raises `InvalidRequest`, which names the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from slipway.clock import microseconds
from slipway.errors import InvalidRequest, NotFound
from slipway.serialization.json_depth import exceeds_depth
from slipway.serialization.json_encoding import DEEPEST, clean
from slipway.serialization.json_slices import loads_in_turns
from slipway.serialization.slices import LARGE_BYTES
from slipway.serialization.turns import let_others_continue

_Body = TypeVar("_Body", bound=BaseModel)

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OBJECT: Final = "must be a JSON object"
_NOT_AN_OBJECT: Final = frozenset({"dict_type", "model_type"})
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0", ""})


async def read_body(request: Request, model: type[_Body]) -> _Body:
    """Parses the body. An empty body is malformed. The event loop continues between the steps that take long for a
    large body."""
    return validated(model, await _read_value(request))


async def read_object(request: Request, *, most_bytes: int) -> dict[str, Any]:
    """Parses a body that must be a JSON object of a limited size, of which the caller validates the members."""
    if len(await request.body()) > most_bytes:
        raise InvalidRequest("", f"the body is larger than {most_bytes} bytes")
    value = await _read_value(request)
    if not isinstance(value, dict):
        raise InvalidRequest("", "the body must be a JSON object")
    return value


async def _read_value(request: Request) -> Any:
    raw = await request.body()
    pause = let_others_continue if len(raw) >= LARGE_BYTES else _no_pause
    value = await _parsed_in_turns(raw)
    await pause()
    _check_depth(raw, value)
    await pause()
    return value


async def read_optional_body(request: Request, model: type[_Body]) -> _Body:
    """Parses the body. An empty body is an empty object."""
    return await read_body(request, model) if await request.body() else validated(model, {})


async def _parsed_in_turns(raw: bytes) -> Any:
    """Does the same as `_parsed`, and lets the event loop continue."""
    try:
        return await loads_in_turns(raw)
    except orjson.JSONDecodeError:
        return _parsed(raw)


async def _no_pause() -> None:
    """For small bodies."""


def parsed(raw: bytes) -> Any:
    """Parses JSON. Lone surrogates become U+FFFD."""
    value = _parsed(raw)
    _check_depth(raw, value)
    return value


def _check_depth(raw: bytes, value: Any) -> None:
    if exceeds_depth(raw, value, DEEPEST):
        raise InvalidRequest("", f"the body is nested deeper than {DEEPEST} levels")


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raw = _without_lone_surrogates(raw, error)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as other:
            raise _malformed(other) from None


def validated(model: type[_Body], value: Any, path: str = "") -> _Body:
    """Parses `value`. `path` is its path in the body. Raises `InvalidRequest` for the first problem."""
    if not isinstance(value, dict):
        raise InvalidRequest(path, _OBJECT if path else "the body must be a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(_join_path(problem["loc"], path), _message(problem, model)) from None


def _message(problem: ErrorDetails, model: type[BaseModel]) -> str:
    if problem["type"] in _NOT_AN_OBJECT:
        return _OBJECT
    if problem["type"] == "extra_forbidden":
        return f"is unknown; this body may have {', '.join(model.model_fields) or 'no members'}"
    return problem["msg"].removeprefix("Value error, ")


def _join_path(parts: tuple[int | str, ...], path: str) -> str:
    """Such as `config.tags[0]`."""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _malformed(error: orjson.JSONDecodeError) -> InvalidRequest:
    return InvalidRequest("", f"the body is not valid JSON: {error}")


_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escaped surrogate without its other half. Escaped backslashes must be replaced before."""


def _without_lone_surrogates(raw: bytes, error: orjson.JSONDecodeError) -> bytes:
    """`raw` with U+FFFD for each lone surrogate, which is legal JSON that orjson rejects. Raises `InvalidRequest` if
    there is none. It works on bytes, because Python's own parser would block the event loop for a large body."""
    if b"\\ud" not in raw.lower() or b"\0" in raw:
        raise _malformed(error) from None
    unescaped = raw.replace(rb"\\", b"\0")  # now every backslash starts an escape; NUL is not legal in JSON
    return _LONE_SURROGATE.sub(rb"\\ufffd", unescaped).replace(b"\0", rb"\\")


def path_id(request: Request, name: str) -> str:
    """A UUID in the path, in canonical form."""
    return checked_uuid(request.path_params[name], name)


_REVIEW_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[\w-]{1,100}", re.ASCII)


def path_review_id(request: Request) -> str:
    """The id of a review in the path. Raises `NotFound` for a text that is no such id."""
    text = str(request.path_params["review_id"])
    if not _REVIEW_ID.fullmatch(text):
        raise NotFound("review", clean(text))
    return text


def checked_uuid(text: str, field: str) -> str:
    """The UUID in canonical form."""
    if not _UUID.fullmatch(text):
        raise InvalidRequest(field, f"{clean(text)!r} is not a UUID")
    return str(UUID(text))


def query_flag(request: Request, name: str, default: bool = False) -> bool:
    """A parameter that is true, false, 1 or 0; empty is false."""
    text = request.query_params.get(name)
    if text is None:
        return default
    lower = text.lower()
    if lower in _TRUE or lower in _FALSE:
        return lower in _TRUE
    raise InvalidRequest(name, f"{clean(text)!r} is not true or false")


def query_number(request: Request, name: str, default: int, minimum: int = 0, maximum: int = 2**31) -> int:
    """A parameter that is a whole number."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII) or not minimum <= int(text) <= maximum:
        raise InvalidRequest(name, f"{clean(text)!r} is not a whole number from {minimum} to {maximum}")
    return int(text)


def query_choice(request: Request, name: str, allowed: tuple[str, ...]) -> str | None:
    """A parameter that is one of `allowed`; None if it is missing or empty."""
    text = request.query_params.get(name)
    if not text:
        return None
    if text not in allowed:
        raise InvalidRequest(name, f"{clean(text)!r} is not one of {', '.join(allowed)}")
    return text


def query_names(request: Request, name: str) -> list[str]:
    """A list in any of three encodings: the parameter repeated, a JSON array, or separated by commas."""
    values: list[str] = []
    for text in request.query_params.getlist(name):
        if text.startswith("["):
            try:
                items = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise InvalidRequest(name, "is not a JSON array") from None
            values.extend(str(item) for item in items)
        else:
            values.extend(part.strip() for part in text.split(",") if part.strip())
    return values


def query_choices(request: Request, name: str, allowed: tuple[str, ...]) -> list[str]:
    """A list whose items are each one of `allowed`."""
    names = query_names(request, name)
    if unknown := set(names) - set(allowed):
        raise InvalidRequest(name, f"{clean(min(unknown))!r} is not one of {', '.join(allowed)}", allowed)
    return names


def query_time_us(request: Request, name: str) -> int | None:
    """A time in ISO 8601, in µs; None if it is missing or empty. A time without an offset is in UTC."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return microseconds(text.replace(" ", "+"))  # a plus sign that the client did not escape
    except ValueError:
        raise InvalidRequest(name, f"{clean(text)!r} is not a time such as 2026-01-31T12:00:00Z") from None


def reject_unknown_parameters(request: Request, names: Sequence[str]) -> None:
    """For a list: a misspelt condition would otherwise list everything."""
    if unknown := request.query_params.keys() - set(names):
        raise InvalidRequest(clean(min(unknown)), f"is not a parameter; choose from: {', '.join(names)}")
