"""Which crash suspects a worker may claim. `crash_suspects` decides it, and `run_claim.lua` obeys it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ALONE_FROM_CRASHES: Final = 3
"""The number of crashes in a row from which a suspect executes as the only suspect of its worker."""


@dataclass(frozen=True, slots=True)
class SuspectSlots:
    """How many suspects a worker may claim now. A crash is named by the id of the worker that died."""

    by_crash: Mapping[str, int] = field(default_factory=dict)
    """Of crashes of which the worker executes suspects."""
    others: int = 1
    """Of each other crash."""
    alone: bool = True
    """Whether it may claim a suspect that must be the only one."""


ANY_CRASH: Final = SuspectSlots()
"""Of a worker that executes no suspect."""

NO_SUSPECTS: Final = SuspectSlots(others=0, alone=False)
