"""Runs: their attempts, leases and ends."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import debug, error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import (
    ATTEMPT,
    CODE,
    GRAPH,
    NODE,
    OUTCOME,
    PHASE,
    PROBLEM,
    REASON,
    RETRY_IN_S,
    RUN,
    RUN_IDS,
    THREAD,
    TRACE,
)

CHILD: Final = Field("child", Unit.NAME, "the process that a supervisor has started")
RUNS: Final = Field("runs", Unit.COUNT, "how many runs there are")
_STEPS: Final = Field("steps", Unit.COUNT, "the supersteps of the chain")
_ACTIVE_S: Final = Field("active_s", Unit.SECONDS, "the time in which the chain executed")
_SWITCH: Final = Field("switch", Unit.NAME, "the switch that is off; null if the worker stopped")
_ENTRY: Final = Field("entry", Unit.NAME, "the name of the entry of the event log")
_WAITS_FOR: Final = Field("waits_for", Unit.CODE, "what it waits for (docs/operations.md)")

_EVENTS: Final = (
    warning(
        "run.stranded",
        "The run waits for what it cannot get by waiting: a version that no live worker serves or that may continue "
        "its thread, a switch, or an operator. One line for each wait. `slipway why` says who can act.",
        *(RUN, THREAD, GRAPH, TRACE, ATTEMPT, _WAITS_FOR, REASON),
    ),
    info(
        "run.settled",
        "A run ended, or waits for approval. Each run has one such line for each time.",
        *(PHASE, CODE, _STEPS, _ACTIVE_S, RUN, THREAD, GRAPH, TRACE, ATTEMPT),
    ),
    warning(
        "run.raised",
        "A node raised an exception, and the run fails. This is the only line with its traceback.",
        *(RUN, NODE),
        has_exception=True,
    ),
    info(
        "run.lost",
        "The attempt ended without writing an outcome: another worker has the run, or Redis was unavailable.",
        *(PROBLEM, RUN, THREAD, GRAPH, TRACE, ATTEMPT),
    ),
    info(
        "run.released",
        "The attempt ended, and the run is queued again: its worker stops, or a switch is off.",
        *(_SWITCH, RUN, THREAD, GRAPH, TRACE, ATTEMPT),
    ),
    warning(
        "run.start_denied",
        "The auth file of the project does not permit the run any more, so it fails before its first node.",
        *(RUN, THREAD, PROBLEM),
    ),
    error(
        "run.auth_failed",
        "Whether the run is permitted is unknown, because a handler of the auth file failed. It is tried again.",
        *(RUN, RETRY_IN_S),
        has_exception=True,
    ),
    error(
        "run.unreadable",
        "The record of a claimed run cannot be read, so the run is queued again.",
        *(RUN, PROBLEM, RETRY_IN_S),
    ),
    warning(
        "attempt.fenced",
        "Redis rejected a write of an attempt that does not own its run any more. The attempt ends.",
        *(RUN, ATTEMPT),
    ),
    error(
        "attempt.crashed",
        "A fault of Slipway ended an attempt. Its lease expires, and another attempt follows.",
        *(RUN, ATTEMPT),
        has_exception=True,
    ),
    error(
        "inline.failed", "A fault ended an attempt in a web process. Another attempt follows.", RUN, has_exception=True
    ),
    error(
        "settle.failed",
        "The end of a run could not be written because of a fault, so the run fails.",
        RUN,
        has_exception=True,
    ),
    error("state.not_stored", "The state at the end of a run cannot be read or encoded.", RUN, has_exception=True),
    error("failure.not_described", "The exception of a node could not be described.", has_exception=True),
    warning("claim.failed", "Claiming runs failed; it is tried again.", PROBLEM, RETRY_IN_S),
    warning("heartbeat.missed", "Leases were not extended in time, because Redis did not answer.", PROBLEM),
    error("heartbeat.failed", "Leases were not extended, because of a fault of Slipway.", has_exception=True),
    warning(
        "reaper.run_reclaimed",
        "The lease of a run had expired: its worker died, or lost Redis. The run is queued again, or failed.",
        *(RUN, THREAD, GRAPH, TRACE, ATTEMPT, OUTCOME),
    ),
    info("runs.reclaimed", "A child process has exited, and the leases of its runs were released.", CHILD, RUN_IDS),
    warning("runs.not_reclaimed", "Redis did not answer: the leases of a child expire by themselves.", CHILD, PROBLEM),
    info("paused_runs.resumed", "Runs that were paused by a switch which is on again were queued.", RUNS),
    warning(
        "event_protocol.translation_failed",
        "An entry of the event log could not be translated for the event protocol, and was left out.",
        *(RUN, _ENTRY),
        has_exception=True,
    ),
    debug("event_log.read_delayed", "An event log is read later, because Redis does not answer.", RUN, PROBLEM),
)

AREA: Final = Area("Runs", _EVENTS)
