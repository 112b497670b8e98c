"""Errors in `langgraph.json` as one sentence: the file, the path of the key, what was expected, and what was found."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from slipway.errors import ConfigError

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


def validate(file: str, path: str, model: type[Model], value: object) -> Model:
    """`value` as `model`; None counts as an empty object. Raises `ConfigError` for the first wrong member."""
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reject(file, _path_of(path, first), _problem(first))


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


def _path_of(path: str, error: ErrorDetails) -> str:
    """The path of the wrong key, such as `slipway.graphs.one` or `dependencies[0]`. Tags of unions, such as `<file>`,
    are left out."""
    parts = [*error["loc"], *([error["ctx"]["key"]] if error["type"] == UNKNOWN_KEY else [])]
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            path += f".{part}" if path else part
    return path


def _problem(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        return f"unknown {value!r}{did_you_mean(str(value), _QUOTED.findall(context['expected']))}"
    if kind == "greater_than" or (isinstance(value, float) and not math.isfinite(value)):
        return f"expected a number above {context.get('gt', 0):g}, found {value}"
    if kind == "int_type" and isinstance(value, float):
        return f"expected a whole number, found {value}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {kind_of(value)}"
    return "is required" if kind == "missing" else error["msg"].removeprefix("Value error, ")
