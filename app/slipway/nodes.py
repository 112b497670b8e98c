"""What the project's code says about its nodes.

    from slipway.nodes import uses

    @uses(prompts={"refund_letter": "7"}, models=["openai:gpt-5"])
    async def draft(state: State) -> State: ...

Each run stores the build that it was executed with, and the build has these prompts and models. They are not part of
the fingerprint: a thread continues with another prompt.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from slipway.errors import ConfigError
from slipway.graphs.function_marks import USES_MARK, Uses, uses_of

T = TypeVar("T")


def uses(*, prompts: Mapping[str, str] | None = None, models: Sequence[str] = ()) -> Callable[[T], T]:
    """A decorator that says which prompts and models a node uses: `prompts` are versions by name, `models` are names
    such as `openai:gpt-5`.

    It decorates a function, a coroutine function, a partial, a runnable or a class, and also a function that nodes
    call. The object is returned itself, not wrapped. Declarations of one object add up. Raises `ConfigError`, which
    names the argument, for what is no name, and for an object that cannot be marked."""
    declared = Uses(_checked_prompts({} if prompts is None else prompts), _checked_models(models))

    def mark(thing: T) -> T:
        before = uses_of(thing) or Uses()
        both = Uses({**before.prompts, **declared.prompts}, tuple(sorted({*before.models, *declared.models})))
        _set(thing, both)
        return thing

    return mark


def _set(thing: object, uses: Uses) -> None:
    if isinstance(thing, types.MethodType) or (not callable(thing) and not hasattr(thing, "invoke")):
        raise ConfigError(
            f"slipway.nodes.uses: {_described(thing)} cannot be marked: decorate the function, the partial, the "
            "runnable or the class that a node executes"
        )
    try:
        type.__setattr__(thing, USES_MARK, uses) if isinstance(thing, type) else object.__setattr__(
            thing, USES_MARK, uses
        )
    except (AttributeError, TypeError):
        raise ConfigError(
            f"slipway.nodes.uses: {_described(thing)} accepts no attribute: decorate a function that calls it"
        ) from None


def _described(thing: object) -> str:
    name = getattr(thing, "__qualname__", None)
    return f"{type(thing).__name__} {name}" if isinstance(name, str) else f"an object of type {type(thing).__name__}"


def _checked_prompts(prompts: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(prompts, Mapping):
        raise ConfigError('slipway.nodes.uses: prompts must be versions by name, such as {"refund_letter": "7"}')
    for name, version in prompts.items():
        if not _is_text(name):
            raise ConfigError(f"slipway.nodes.uses: prompts has the name {name!r}: expected a non-empty string")
        if not _is_text(version):
            raise ConfigError(
                f"slipway.nodes.uses: prompts[{name!r}] is {version!r}: expected its version as a non-empty string"
            )
    return dict(prompts)


def _checked_models(models: Sequence[str]) -> tuple[str, ...]:
    if isinstance(models, str):
        raise ConfigError(f"slipway.nodes.uses: models is a string: write [{models!r}]")
    for model in models:
        if not _is_text(model):
            raise ConfigError(f"slipway.nodes.uses: models has {model!r}: expected a name such as 'openai:gpt-5'")
    return tuple(models)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
