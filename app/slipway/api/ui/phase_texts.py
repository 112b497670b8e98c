"""The phase of a run and the status of a thread, in words for people.

The protocol's status is not shown: for the protocol, a run that waits for an answer has ended with `success`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slipway.runs.record import Phase

_PHASES: Final[Mapping[Phase, str]] = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "running",
    Phase.PAUSED: "paused",
    Phase.WAITING_FOR_APPROVAL: "waiting for an answer",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}

_THREADS: Final[Mapping[str, str]] = {
    "idle": "no run is active",
    "busy": "a run is queued or running",
    "interrupted": "waiting for an answer",
    "error": "the last run failed",
}


def phase_text(phase: Phase) -> str:
    return _PHASES[phase]


def thread_text(status: str) -> str:
    return _THREADS[status]
