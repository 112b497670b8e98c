"""`slipway.ceilings.left()`: what the chain of the current run may still use, for the code of nodes and tools."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from slipway.accounting.counting import Ceilings
from slipway.accounting.metered_usage import NANO
from slipway.errors import OutsideRun

CURRENT_CEILINGS: Final[ContextVar[Ceilings | None]] = ContextVar("current_ceilings", default=None)
"""The ceilings of the run whose code executes. None outside of a run, and in a thread without its context."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a chain of runs may still use. None where it has no limit. Calls of models that have not ended count with
    the most that they may use."""

    steps: int
    """Supersteps, those of subgraphs included."""
    retries: int
    """Retries of nodes."""
    active_s: float
    """Seconds of work."""
    event_bytes: int
    """Bytes of events, as clients receive them."""
    tool_calls: int | None
    tokens: int | None
    """Input and output tokens of models."""
    cost_usd: float | None
    """Costs of models in US dollars."""


def left() -> Left:
    """What the chain of the current run may still use, for the code of nodes and tools. Reads memory only. Raises
    `OutsideRun` outside of a run, and in a thread that was started without the context of a node."""
    ceilings = CURRENT_CEILINGS.get()
    if ceilings is None:
        raise OutsideRun("slipway.ceilings.left()")
    limits, usage, metered = ceilings.limits, ceilings.usage, ceilings.metered
    running_s = time.monotonic() - ceilings.counted_until if ceilings.counted_until else 0.0
    tool_calls, tokens, cost = (limits.get(f"max_{name}") for name in ("tool_calls", "tokens", "cost_usd"))
    return Left(
        steps=max(ceilings.steps_left, 0),
        retries=max(int(limits["max_retries"]) - usage.retries, 0),
        active_s=max(ceilings.active_left_s - running_s, 0.0),
        event_bytes=max(int(limits["max_event_bytes"]) - usage.event_bytes, 0),
        tool_calls=None if tool_calls is None else max(int(tool_calls) - metered.tool_calls, 0),
        tokens=None if tokens is None else max(int(tokens) - metered.tokens, 0),
        cost_usd=None if cost is None else max(round(cost - metered.cost_nano / NANO, 9), 0.0),
    )
