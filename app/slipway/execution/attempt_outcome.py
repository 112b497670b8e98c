"""How an attempt can end, and why Slipway can stop it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slipway.runs.failure import Failure
from slipway.runs.held import OwnPause
from slipway.runs.record import Phase
from slipway.runs.script_results import Released


class StopReason(StrEnum):
    """Why Slipway stopped an attempt."""

    CANCEL = "cancel"
    """The run is cancelled: by a client, by a newer run of its thread, or because its assistant was deleted."""
    CEILING = "ceiling"
    """The timer of a ceiling ended."""
    DRAIN = "drain"
    """The process stops, the budget of an inline run is used up, or an operator pauses the run."""
    SWITCH = "switch"
    """Something is switched off: the graph of the run, or what it was about to do."""
    HOLD = "hold"
    """The version must not continue the thread."""
    EXHAUSTED = "exhausted"
    """The retries are used up, and the graph is declared to pause then."""
    LOST = "lost"
    """The attempt no longer owns its run, or Redis is unavailable."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `phase` is None if the run did not end: then it is released to the queue, or was lost."""

    phase: Phase | None
    stop: StopReason | None = None
    failure: Failure | None = None
    problem: str = ""
    """Why the run was lost, for the log."""
    repeats_superstep: bool = False
    """Whether the next attempt repeats a superstep of which clients may have received events."""
    switch: str | None = None
    """The key of the switch before which the attempt has stopped."""
    pause: OwnPause | None = None
    """Why the run is paused, if the attempt has decided that."""
    version: str | None = None
    """The only version on which the run is to continue."""
    released: Released | None = None
    """What became of the run when it was released."""


LOST: Final = Outcome(None, StopReason.LOST)
"""The attempt no longer owns its run, or Redis is unavailable."""
DRAINED: Final = Outcome(None, StopReason.DRAIN)
"""Stopped between two supersteps, to be released."""
STOPPED_WITHIN_SUPERSTEP: Final = Outcome(None, StopReason.DRAIN, repeats_superstep=True)
"""Stopped within a superstep, to be released."""
CANCELLED: Final = Outcome(Phase.CANCELLED, StopReason.CANCEL)
