"""Marks on functions and other objects of the project that describe them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FUNCTION_MARK: Final = "__slipway_entrance__"
"""The attribute of a function whose calls pass the gateway of tools, whoever makes them. `tool_gateway.instrumentation`
sets it. Its `original` executes the code that the function had."""

USES_MARK: Final = "__slipway_uses__"
"""The attribute with what `slipway.nodes.uses` declares."""


@dataclass(frozen=True, slots=True)
class Uses:
    """What the code of a node uses, as the project declares it."""

    prompts: Mapping[str, str] = field(default_factory=dict)
    """Versions by name."""
    models: tuple[str, ...] = ()


def original_of(function: object) -> object:
    """The function with the code that the project has written, also if a gateway has replaced that code."""
    entrance = inspect.getattr_static(function, FUNCTION_MARK, None)
    is_its_own = getattr(entrance, "function", None) is function  # `functools.wraps` copies the attribute
    return getattr(entrance, "original", function) if is_its_own else function


def uses_of(thing: object) -> Uses | None:
    """What is declared for a function, a partial, a class or an object. Calls no code of it."""
    found = inspect.getattr_static(thing, USES_MARK, None)
    return found if isinstance(found, Uses) else None
