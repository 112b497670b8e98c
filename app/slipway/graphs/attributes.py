"""What langgraph.json names by `./file.py:attribute` and must be of a certain kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from slipway.errors import ConfigError

T = TypeVar("T")


def attribute_of(kind: type[T], what: str, key: str, path: str, attribute: Callable[[str], object]) -> T:
    """What `path` means, by `attribute`, which raises `ConfigError`; so does this, with `key` and the reason, also
    when it is no `kind`: `what` is the name of that for people."""
    try:
        found = attribute(path)
    except ConfigError as error:
        raise ConfigError(f"{key}: {path} cannot be loaded: {error}") from error
    if not isinstance(found, kind):
        raise ConfigError(f"{key}: {path} is no {what} but {type(found).__name__}")
    return found
