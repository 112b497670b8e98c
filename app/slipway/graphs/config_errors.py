"""Errors in `langgraph.json` as one sentence: the file with the line, the path of the key, what was expected, and what
was found."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from slipway.errors import ConfigError
from slipway.graphs.json_lines import line_of
from slipway.value_problems import UNKNOWN_KEY, problem_of

Model = TypeVar("Model", bound=BaseModel)


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
        reject(where, _path_of(path, parts), problem_of(first))


def unknown_key(key: str, problem: str) -> PydanticCustomError:
    """The error of a validator that rejects the member `key` of its object."""
    return PydanticCustomError(UNKNOWN_KEY, "{problem}", {"key": key, "problem": problem})


def _parts_of(error: ErrorDetails) -> list[str | int]:
    """The keys and positions that lead to the wrong key. Tags of unions, such as `<file>`, and pydantic's mark of a
    wrong key are left out."""
    parts = [*error["loc"], *([error["ctx"]["key"]] if error["type"] == UNKNOWN_KEY else [])]
    return [part for part in parts if isinstance(part, int) or not part.startswith(("<", "literal[", "[key]"))]


def _path_of(path: str, parts: Sequence[str | int]) -> str:
    """The path of the wrong key, such as `slipway.graphs.one` or `dependencies[0]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
