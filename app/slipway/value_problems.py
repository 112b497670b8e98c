"""What is wrong with a value of a setting or of langgraph.json, in plain words, instead of pydantic's."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Final

from pydantic_core import ErrorDetails

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
    "int_parsing": "a number",
    "float_parsing": "a number",
}
"""What the message says was expected, by pydantic's type of error."""

_QUOTED: Final = re.compile(r"'([^']*)'")


def problem_of(error: ErrorDetails) -> str:
    """What was expected, and what was found."""
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
    if kind in ("int_type", "int_from_float") and isinstance(value, float):
        return f"expected a whole number, found {value}"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {kind_of(value)}"
    return "is required" if kind == "missing" else error["msg"].removeprefix("Value error, ")


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
