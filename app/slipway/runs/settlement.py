"""The two ways in which an attempt stops owning its run: it settles the run, which ends it, or releases it to the
queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from slipway.rollouts.record import Ramp
from slipway.runs.appended_events import AppendedEvents
from slipway.runs.events import CONFIRMED_END, same_as_event
from slipway.runs.failure import ATTEMPTS_USED_UP, RunError
from slipway.runs.held import OwnPause
from slipway.runs.index_terms import error_term
from slipway.runs.record import Phase, Run, status_of
from slipway.runs.review_arguments import OpenedReview
from slipway.runs.scripts import Entry, RunRelease, RunSettle
from slipway.serialization.at_rest import sealed, sealed_text
from slipway.serialization.compression import COMPRESSED_FROM_BYTES
from slipway.serialization.places import THREAD, log_place, run_place
from slipway.sse_frames import encode_frame


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """An open interrupt (`id`, `value` and perhaps `response_schema`), and the node of the graph that asked, or in
    which a subgraph did."""

    interrupt: dict[str, Any]
    node: str


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """What the run writes to the record of its thread when it ends. `values` and `interrupts` are JSON."""

    values: bytes | None
    """The state. None leaves the values in the record unchanged."""
    value_terms: str
    """The packed index terms of the values."""
    interrupts: bytes
    """Open interrupts by task id."""
    status: str
    """`idle` or `interrupted`. If the run failed, the script writes `error` instead."""
    questions: Sequence[AskedQuestion] = ()
    """The same interrupts, with the nodes that asked."""


COMPACTED_UP_TO_BYTES: Final = 64 * 1024
"""The largest event log that is copied when its run ends. A stream keeps space for further entries, up to 4 KiB; the
copy has none."""

EMPTY_SUMMARY: Final = ThreadSummary(None, "", b"{}", "idle")


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a run ends."""

    phase: Phase
    usage: str
    """What the chain has used, as JSON."""
    event_ttl_s: int
    result: bytes = b""
    """What waiting clients receive, as JSON. If the run failed, they receive the error instead."""
    error: RunError | None = None
    thread: ThreadSummary | None = None
    """None leaves the record of the thread unchanged, for a run that executed nothing."""
    rollback: bool = False
    """Whether the run record is deleted as well."""
    delete_calls: bool = False
    """Whether the records of the calls of tools are deleted, because the chain is complete."""
    reviews: Sequence[OpenedReview] = ()
    """The reviews of the questions that the run asks, if it begins to wait."""
    ramp: Ramp | None = None
    """The ramp of the graph, if one of its versions is ramping: then the run is counted."""

    def arguments(
        self,
        run: Run,
        number: int,
        entries: Sequence[Entry] = (),
        *,
        log: AppendedEvents | None = None,
        learn: Callable[[int], tuple[str, int] | None] | None = None,
    ) -> RunSettle:
        """The arguments of the script, with values in their stored form. `number` and `entries` are those of the last
        write group. `log` are all events of the attempt: a result that is the last state is not stored again. `learn`
        receives the number of bytes of result and values, and returns what `learnt` is to be."""
        error, thread = self.error, self.thread
        code, public = (error.code, error.public) if error else ("", "")
        place = log_place(run.run_id)
        result = sealed(b'{"__error__":%b}' % public.encode(), place) if error else self._stored_result(log, place)
        values = sealed(thread.values, THREAD) if thread and thread.values is not None else None
        last = [("error", sealed(encode_frame("error", public.encode()), place))] if error else []
        return {
            "run_id": run.run_id,
            "graph_id": run.graph_id,
            "incarnation": run.incarnation,
            "attempt": run.attempt,
            "seq": number,
            "phase": self.phase.value,
            "status": status_of(self.phase, code or None),
            "reason": code,
            "error": sealed_text(error.record, run_place(run.run_id)) if error else None,
            "error_term": error_term(code) if error else None,
            "usage": self.usage,
            "entries": [*entries, *last],
            "result": CONFIRMED_END + result if run.options.is_replicated else result,
            "values": values,
            "value_terms": thread.value_terms if thread else "",
            "interrupts": sealed(thread.interrupts, THREAD) if thread else None,
            "thread_status": ("error" if error else thread.status) if thread else None,
            "thread_error": sealed_text(public, THREAD) if thread and error else None,
            "reviews": self.reviews,
            "continued": run.resumes,
            "rollback": self.rollback,
            "delete_calls": self.delete_calls or None,
            "event_ttl_s": self.event_ttl_s,
            "learnt": learn(len(result) + len(values or b"")) if learn else None,
            "counted": self._counted(),
            "compact_log": log is not None and run.attempt == 1 and log.size_bytes <= COMPACTED_UP_TO_BYTES,
        }

    def _counted(self) -> tuple[str, str] | None:
        outcome = None if self.ramp is None else outcome_of(self.phase, self.error)
        return None if self.ramp is None or outcome is None else (outcome, self.ramp.ramp_id)

    def _stored_result(self, log: AppendedEvents | None, place: bytes) -> bytes:
        distance = log.distance_of_values(self.result) if log and len(self.result) >= COMPRESSED_FROM_BYTES else None
        return sealed(self.result, place) if distance is None else same_as_event(distance)


_NO_FAULT: Final = frozenset({"input.invalid", "tool.rejected"})
"""Codes of failures for which the code of the graph is not the cause: its input, and people who rejected a call."""


def outcome_of(phase: Phase, error: RunError | None) -> Literal["succeeded", "failed", "ceilings"] | None:
    """As what a run counts that ends in this phase. None if it does not count."""
    if phase is Phase.CANCELLED or (error is not None and error.code in _NO_FAULT):
        return None
    if error is None:
        return "succeeded"
    is_ceiling = error.code.startswith("ceiling.") and error.code != ATTEMPTS_USED_UP.code
    return "ceilings" if is_ceiling else "failed"


@dataclass(frozen=True, slots=True)
class Release:
    """How a run that has not ended is returned to the queue."""

    reason: str
    """Shown to clients while the run waits."""
    usage: str
    """What the chain has used, as JSON."""
    announce: bool = False
    """Whether the next attempt appends a `metadata` event, because it repeats work of which clients have events."""
    delay_ms: int = 0
    switch: str | None = None
    """The key of the switch before which the attempt has stopped: the run is paused if it is still off."""

    pause: OwnPause | None = None
    """Why the run is paused instead of queued, if the attempt itself has decided that."""
    version: str | None = None
    """The only version on which the run is to continue: then other versions do not continue it by the rule of the
    graph. None leaves that as it is."""

    def arguments(self, run: Run, number: int, entries: Sequence[Entry] = ()) -> RunRelease:
        """The arguments of the script. `number` and `entries` are those of the last write group."""
        return {
            "run_id": run.run_id,
            "graph_id": run.graph_id,
            "incarnation": run.incarnation,
            "attempt": run.attempt,
            "seq": number,
            "announce": self.announce,
            "reason": self.reason,
            "delay_ms": self.delay_ms,
            "switch": self.switch,
            "pause": None if self.pause is None else self.pause.arguments(run.run_id),
            "version": self.version,
            "usage": self.usage,
            "entries": list(entries),
        }
