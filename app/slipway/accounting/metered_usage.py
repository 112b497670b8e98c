"""What a chain of runs has used of models and tools: tool calls, tokens and money.

Money is counted in nano-dollars (billionths of a US dollar), which are whole numbers, so that sums are exact.

A call of a model that has not ended is **reserved**: it counts with the most that it may use. Its reservation is stored
before the call is made. So if the process dies, the call stays counted, and no ceiling is ever reset by a crash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

NANO: Final = 1_000_000_000
"""Nano-dollars of one dollar."""

_LARGEST_FACTOR: Final = 3.0
"""An estimate is a token for three bytes, and no tokenizer needs more than one for each byte. What a call has used
beyond that is not of its text: such as an image, or instructions that the provider adds."""


@dataclass(slots=True)
class ModelUsage:
    """What calls of one model have used. `cached` tokens are a part of the `input` tokens."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cost_nano: int = 0

    @property
    def tokens(self) -> int:
        return self.input + self.output

    def add(self, other: ModelUsage) -> None:
        self.calls += other.calls
        self.input += other.input
        self.output += other.output
        self.cached += other.cached
        self.cost_nano += other.cost_nano

    def subtract(self, other: ModelUsage) -> None:
        self.calls -= other.calls
        self.input -= other.input
        self.output -= other.output
        self.cached -= other.cached
        self.cost_nano -= other.cost_nano

    def public(self) -> dict[str, Any]:
        """As clients receive it."""
        return {
            "calls": self.calls,
            "input": self.input,
            "output": self.output,
            "cached": self.cached,
            "cost_usd": dollars(self.cost_nano),
        }

    def stored(self) -> list[int]:
        return [self.calls, self.input, self.output, self.cached, self.cost_nano]


def dollars(nano: int) -> float:
    """Nano-dollars as dollars."""
    return round(nano / NANO, 9)


@dataclass(slots=True)
class MeteredUsage:
    """What a chain has used of models and tools. `tokens` and `cost_nano` include what is reserved."""

    revision: int = 0
    """How often it was changed. A script stores it only if this is higher than what is stored, so that a late write
    never replaces a newer one."""
    tool_calls: int = 0
    unmetered_calls: int = 0
    """Calls of models whose usage is unknown: they count with what was reserved for them."""
    models: dict[str, ModelUsage] = field(default_factory=dict)
    """By name of the model: calls that have ended."""
    unpriced_models: list[str] = field(default_factory=list)
    """Models that were called and have no price: their tokens are counted, and their costs are not."""
    reserved: dict[str, ModelUsage] = field(default_factory=dict)
    """By name of the model: calls that have not ended."""
    tokens: int = 0
    """The sum over `models` and `reserved`."""
    cost_nano: int = 0
    """The sum over `models` and `reserved`."""
    input_corrections: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By name of a model that has read more than was estimated: the factor, and the tokens to add."""

    @property
    def settled_tokens(self) -> int:
        """`tokens` without what is reserved."""
        return self.tokens - sum(call.tokens for call in self.reserved.values())

    @property
    def settled_cost_nano(self) -> int:
        """`cost_nano` without what is reserved."""
        return self.cost_nano - sum(call.cost_nano for call in self.reserved.values())

    def reserve(self, model: str, call: ModelUsage) -> None:
        """Counts a call that may use as much as `call`, and has not ended."""
        self.reserved.setdefault(model, ModelUsage()).add(call)
        self._count(call, 1)

    def release(self, model: str, call: ModelUsage) -> None:
        """Takes back a reservation: the call was not made."""
        reserved = self.reserved[model]
        reserved.subtract(call)
        if not reserved.calls:
            del self.reserved[model]
        self._count(call, -1)

    def settle(self, model: str, reserved: ModelUsage, used: ModelUsage, *, priced: bool = True) -> None:
        """Replaces a reservation by what the call has used."""
        self.release(model, reserved)
        self.models.setdefault(model, ModelUsage()).add(used)
        self._count(used, 1)
        if not priced and model not in self.unpriced_models:
            self.unpriced_models.append(model)

    def expected_input(self, model: str, estimated: int) -> int:
        """The input tokens of a call: the estimate, with what earlier calls of the model have shown."""
        factor, more = self.input_corrections.get(model, (1.0, 0))
        return math.ceil(estimated * factor) + more

    def learn_input(self, model: str, estimated: int, used: int) -> None:
        """Corrects later estimates, if a call has read more than was estimated."""
        if used <= estimated:
            return
        factor = min(math.ceil(1000 * used / max(estimated, 1)) / 1000, _LARGEST_FACTOR)
        known_factor, known_more = self.input_corrections.get(model, (1.0, 0))
        more = used - math.ceil(estimated * factor)
        self.input_corrections[model] = max(factor, known_factor), max(more, known_more)

    def settle_all_reserved(self) -> None:
        """Counts all reserved calls as calls that have used what was reserved for them. Their end was not seen: the
        process died, or the call was cancelled."""
        for model, call in self.reserved.items():
            self.models.setdefault(model, ModelUsage()).add(call)
            self.unmetered_calls += call.calls
            self.revision += 1
        self.reserved = {}

    def _count(self, call: ModelUsage, sign: int) -> None:
        self.revision += 1
        self.tokens += sign * call.tokens
        self.cost_nano += sign * call.cost_nano

    def count_tool_call(self) -> None:
        self.revision += 1
        self.tool_calls += 1

    @classmethod
    def from_stored(cls, stored: bytes) -> MeteredUsage:
        """The usage of a stored text, of which an earlier attempt or run may have written reservations: their calls
        ended with it, and count with what was reserved."""
        if not stored:
            return cls()
        values: list[Any] = orjson.loads(stored)
        revision, tool_calls, unmetered, models, unpriced, reserved, inputs = [*values, *_EMPTY[len(values) :]]
        usage = cls(revision, tool_calls, unmetered, _models(models), list(unpriced), _models(reserved))
        usage.input_corrections = {model: (factor, more) for model, (factor, more) in inputs.items()}
        for call in (*usage.models.values(), *usage.reserved.values()):
            usage.tokens += call.tokens
            usage.cost_nano += call.cost_nano
        return usage

    def stored(self) -> str:
        """The text that the record of a run stores. `redis/lua/lib/metering.lua` reads the revision at its start."""
        values: list[Any] = [self.revision, self.tool_calls, self.unmetered_calls]
        values += [_stored(self.models), self.unpriced_models, _stored(self.reserved), self.input_corrections]
        while len(values) > 1 and not values[-1]:
            values.pop()
        return orjson.dumps(values).decode()

    def public(self) -> dict[str, Any]:
        """The members of the usage as clients receive them. Absent if nothing was called."""
        if not self.revision:
            return {}
        counted = [*self.models.values(), *self.reserved.values()]
        tokens = {kind: sum(getattr(call, kind) for call in counted) for kind in ("input", "output", "cached")}
        members: dict[str, Any] = {
            "tool_calls": self.tool_calls,
            "tokens": tokens | {"total": self.tokens},
            "cost_usd": dollars(self.cost_nano),
            "models": {name: call.public() for name, call in self.models.items()},
            "unmetered_calls": self.unmetered_calls,
            "unpriced_models": self.unpriced_models,
        }
        if self.reserved:
            members["reserved"] = {name: call.public() for name, call in self.reserved.items()}
        return members


_EMPTY: Final[tuple[Any, ...]] = (0, 0, 0, {}, [], {}, {})
"""A stored text leaves out empty members at its end."""


def _models(stored: Mapping[str, list[int]]) -> dict[str, ModelUsage]:
    return {name: ModelUsage(*numbers) for name, numbers in stored.items()}


def _stored(models: Mapping[str, ModelUsage]) -> dict[str, list[int]]:
    return {name: call.stored() for name, call in models.items()}
