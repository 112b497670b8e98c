"""Errors in `langgraph.json` as one sentence: the file with the line, the path of the key, what was expected, and what
was found."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Container, Iterable, Sequence
from typing import Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from slipway.errors import ConfigError
from slipway.graphs.json_lines import line_of

Model = TypeVar("Model", bound=BaseModel)

UNKNOWN_KEY: Final = "unknown_key"

_EXPECTED: Final = {
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
    "string_type": "a non-empty string",
    "string_too_short": "a non-empty string",
    "bool_type": "true or false",
    "int_type": "a number",
    "float_type": "a number",
}
"""What the message says was expected, by pydantic's type of error."""

_QUOTED: Final = re.compile(r"'([^']*)'")


def reject(file: str, path: str, problem: str) -> NoReturn:
    """Raises `ConfigError` for the key at `path`. An empty path means the whole file."""
    raise ConfigError(f"{file}: {path}: {problem}" if path else f"{file}: {problem}")


def at_line(file: str, text: str, path: Sequence[str | int]) -> str:
    """The file and the line of the value at `path` in `text`, such as `langgraph.json:12`. The file alone if `text` is
    empty."""
    line = line_of(text, path) if text else None
    return file if line is None else f"{file}:{line}"


def validate(
    file: str, path: str, model: type[Model], value: object, *, text: str = "", outside: Container[str | int] = ()
) -> Model:
    """`value` as `model`; None counts as an empty object. Raises `ConfigError` for the first wrong member, with its
    line in `text`, unless it is in one of the members `outside` of this text."""
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        parts = _parts_of(first)
        where = file if parts and parts[0] in outside else at_line(file, text, parts)
        reject(where, _path_of(path, parts), _problem(first))


def unknown_key(key: str, problem: str) -> PydanticCustomError:
    """The error of a validator that rejects the member `key` of its object."""
    return PydanticCustomError(UNKNOWN_KEY, "{problem}", {"key": key, "problem": problem})


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The end of an error message about `word`: `; did you mean 'x'?` if one of the names is similar, else a list of
    the names. Empty without names."""
    options = list(names)
    similar = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f"; choose one of: {', '.join(options)}" if options else ""


def kind_of(value: object) -> str:
    """The type of a JSON value in words, such as `a list`; a string is quoted."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
    return "an empty string" if value == "" else names.get(type(value), f"the string {value!r}")


def _parts_of(error: ErrorDetails) -> list[str | int]:
    """The keys and positions that lead to the wrong key. Tags of unions, such as `<file>`, are left out."""
    parts = [*error["loc"], *([error["ctx"]["key"]] if error["type"] == UNKNOWN_KEY else [])]
    return [part for part in parts if isinstance(part, int) or not part.startswith(("<", "literal["))]


def _path_of(path: str, parts: Sequence[str | int]) -> str:
    """The path of the wrong key, such as `slipway.graphs.one` or `dependencies[0]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _problem(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        return f"unknown {value!r}{did_you_mean(str(value), _QUOTED.findall(context['expected']))}"
    if kind == "greater_than" or (isinstance(value, float) and not math.isfinite(value)):
        return f"expected a number above {context.get('gt', 0):g}, found {value}"
    if kind == "greater_than_equal":
        return f"expected a number, {context['ge']:g} or more, found {value}"
    if kind == "too_short":
        return f"expected at least {context['min_length']}, found {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return f"expected a string that matches {context['pattern']}, found {value!r}"
    if kind == "int_type" and isinstance(value, float):
        return f"expected a whole number, found {value}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {kind_of(value)}"
    return "is required" if kind == "missing" else error["msg"].removeprefix("Value error, ")
