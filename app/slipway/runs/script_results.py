"""The results of the scripts that change a run, one class for each outcome.

An outcome is atomic: `RunCreated`, `Settled` and `Applied` mean that the script has written everything, and every other
class means that it has written nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from slipway.redis.hash_fields import Fields
from slipway.runs.cancel_reasons import Action
from slipway.runs.logged_run import LoggedRun

# run_create


@dataclass(frozen=True, slots=True)
class RunCreated:
    """The run is stored. A call that is repeated because its reply was lost has this outcome as well, if the first call
    claimed the run for this process: the caller must start the run."""

    fields: Fields
    credit_bytes: int | None = None
    """If memory was checked: what the process may store without another check."""


@dataclass(frozen=True, slots=True)
class RunExists:
    """A run with this id exists already; these are its fields."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class ThreadNotFound:
    """The thread does not exist, or the user is not authorized to create a run on it, or it is the temporary thread of
    another run."""


@dataclass(frozen=True, slots=True)
class ThreadExists:
    """The thread that was to be created for this run exists."""


@dataclass(frozen=True, slots=True)
class ThreadChanged:
    """The fields that decide whether the user is authorized have changed since they were read."""


@dataclass(frozen=True, slots=True)
class ThreadBusy:
    """The thread has this active or queued run, and the new run may neither wait for it nor cancel it."""

    run_id: str


@dataclass(frozen=True, slots=True)
class BudgetUsed:
    """Nothing but a budget is against the run."""


@dataclass(frozen=True, slots=True)
class InterruptAnswered:
    """Another run has answered the interrupt. `options` are the stored options (JSON) of that run."""

    run_id: str
    options: bytes


@dataclass(frozen=True, slots=True)
class AnswersUnchecked:
    """The thread waits with reviews for which the answers of the run were not checked, or which have changed."""


@dataclass(frozen=True, slots=True)
class AskingRunCancelled:
    """The run whose interrupt was to be answered was cancelled while it waited."""

    run_id: str


@dataclass(frozen=True, slots=True)
class DueTimeHandled:
    """The run of this due time was created before (`has_run`; it may have been deleted since), or the cron no longer
    has this due time."""

    has_run: bool
    next_ms: int | None
    """The cron's next due time, as the process decided that created the run. None if no due time is left."""

    @classmethod
    def from_reply(cls, next_ms: bytes | None = None) -> DueTimeHandled:
        """Of the reply's second member: missing without a run, empty if no due time is left."""
        return cls(next_ms is not None, int(next_ms) if next_ms else None)


@dataclass(frozen=True, slots=True)
class RunNotEnded:
    """The run that was to be retried is in this phase: it has neither failed nor was it cancelled."""

    phase: str


@dataclass(frozen=True, slots=True)
class ThreadContinued:
    """A later run of the thread has started since the run that was to be retried."""


RunCreateResult = (
    RunCreated
    | RunExists
    | ThreadNotFound
    | ThreadExists
    | ThreadBusy
    | InterruptAnswered
    | AnswersUnchecked
    | BudgetUsed
    | AskingRunCancelled
    | DueTimeHandled
    | RunNotEnded
    | ThreadContinued
)


# run_claim and run_reap


class StrandedRun(NamedTuple):
    """A run that a claim left waiting for what it cannot get by waiting: a `switch` or a `version`."""

    run: LoggedRun
    waits_for: str
    reason: str


class ClaimResult(NamedTuple):
    """`due_in_ms` is None if no further job waits. `runs` are the fields of the claimed runs. `near_mark`: memory was
    checked, and is near the high-water mark. `stranded` are runs that were not claimed, and will not be before somebody
    acts. `exchanges` are concurrency groups whose slots the worker is to exchange with other shards, each with the
    `until_ms` of `GroupExchange.exchange`."""

    due_in_ms: float | None
    runs: list[Fields]
    near_mark: bool
    stranded: Sequence[StrandedRun] = ()
    exchanges: Sequence[tuple[str, str]] = ()


class ReclaimOutcome(StrEnum):
    """`FAILED` and `PAUSED`: the run has used up its attempts."""

    QUEUED = "queued"
    PAUSED = "paused"
    FAILED = "failed"


class ReclaimedRun(NamedTuple):
    """A run that was taken back from a dead process: by the reaper, or by a supervisor whose child process exited.
    `attempt` is the attempt that lost the run."""

    run: LoggedRun
    attempt: int
    outcome: ReclaimOutcome

    @property
    def run_id(self) -> str:
        return self.run.run_id


# run_release


@dataclass(frozen=True, slots=True)
class Released:
    """The run is not the attempt's any more. It is queued, or paused."""

    paused_by: str | None = None
    """What has paused it: an `operator`, a `switch`, or the `attempt` itself. None if it is queued."""
    reason: str = ""
    """Why it is paused, a sentence."""


# lease_renew


@dataclass(frozen=True, slots=True)
class RunLost:
    """Another attempt owns the run, or the run has ended."""


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """An operator pauses the run."""


Instruction = RunLost | PauseRequested | Action
"""What an attempt must do: stop without another write, release its run at the next superstep, or cancel it."""


def instruction_from(text: str) -> Instruction:
    """Of the text in a reply or in a message on a control channel."""
    match text:
        case "lost":
            return RunLost()
        case "pause":
            return PauseRequested()
    return Action(text)


# run_apply and run_settle


@dataclass(frozen=True, slots=True)
class Applied:
    """The write group is stored. `cancel` is set when the run is to be cancelled."""

    cancel: Action | None = None


@dataclass(frozen=True, slots=True)
class AttemptFenced:
    """The attempt no longer owns the run, or Redis has lost a write group that it had acknowledged."""


@dataclass(frozen=True, slots=True)
class WriteGroupMissing:
    """An earlier write group of the attempt has not arrived, so this one is not stored either."""


ApplyResult = Applied | AttemptFenced | WriteGroupMissing


@dataclass(frozen=True, slots=True)
class Settled:
    """The run has ended."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The run is to be cancelled, so it cannot end in another phase. The attempt settles it as cancelled."""

    action: Action


SettleResult = Settled | AttemptFenced | CancelRequested


# run_pause and run_resume


@dataclass(frozen=True, slots=True)
class PhaseAfter:
    """The phase of the run after the operation. `changed` is False if an earlier request had done the same."""

    phase: str
    changed: bool


@dataclass(frozen=True, slots=True)
class RunNotFound:
    """The run does not exist."""


@dataclass(frozen=True, slots=True)
class RunHasEnded:
    """The run has ended in this phase, so it does not change any more."""

    phase: str


@dataclass(frozen=True, slots=True)
class RunIsCancelled:
    """The run is to be cancelled."""


@dataclass(frozen=True, slots=True)
class SwitchIsOff:
    """Only this switch, as it is stored, pauses the run."""

    stored: bytes


@dataclass(frozen=True, slots=True)
class VersionUnknown:
    """No process has ever served this version of the graph."""

    graph_id: str


PauseResult = PhaseAfter | RunNotFound | RunHasEnded | RunIsCancelled | SwitchIsOff | VersionUnknown


# run_cancel and run_delete


class CancelResult(StrEnum):
    """`ACCEPTED`: the run is cancelled, or the attempt that executes it (or the next one) will cancel it. `REPEATED`:
    an earlier request with the same action was accepted, and the run has not ended yet."""

    ACCEPTED = "ok"
    REPEATED = "repeated"
    NOT_FOUND = "missing"
    ALREADY_ENDED = "final"


class DeleteResult(StrEnum):
    """`STILL_ACTIVE`: the run is queued or running, so nothing was deleted."""

    DELETED = "ok"
    NOT_FOUND = "missing"
    STILL_ACTIVE = "active"
