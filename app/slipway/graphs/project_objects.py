"""Objects of the project that langgraph.json names by `./file.py:attribute`: their names, and loading those that must
be of a certain class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from slipway.errors import ConfigError

T = TypeVar("T")


def _source(text: str) -> str:
    module, _, attribute = text.strip().rpartition(":")
    if not module or not attribute:
        raise ValueError(f"expected './file.py:attribute' or 'package.module:attribute', found {text!r}")
    return text.strip()


Text = Annotated[str, Field(min_length=1, pattern=r"\S")]

Source = Annotated[Text, AfterValidator(_source)]
"""Names an object of the project: `./file.py:attribute` or `package.module:attribute`."""


def load_project_object(
    kind: type[T], description: str, key: str, path: str, load_object: Callable[[str], object]
) -> T:
    """The object at `path`, loaded by `load_object`. Raises `ConfigError` with `key` and the reason when it cannot be
    loaded or is not an instance of `kind`, which the message calls `description`."""
    try:
        target = load_object(path)
    except ConfigError as error:
        raise ConfigError(f"{key}: {path} cannot be loaded: {error}") from error
    if not isinstance(target, kind):
        raise ConfigError(f"{key}: {path} must be a {description}, found an object of type {type(target).__name__}")
    return target
