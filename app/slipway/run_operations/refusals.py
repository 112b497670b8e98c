"""Says why a run does not permit an operation, and which run to name instead: a chain has several runs, and only its
last one can be operated."""

from __future__ import annotations

from typing import Final

from slipway.errors import Conflict, NotFound
from slipway.runs.record import Phase, Run
from slipway.runs.store import RunStore

_LONGEST_CHAIN: Final = 1000


async def refusal(runs: RunStore, run: Run, operation: str, otherwise: str = "") -> Conflict:
    """The error for an operation that the phase of the run does not permit. `operation` completes the sentence "the run
    cannot …"; `otherwise` is why, if no other run continues the chain: by default that it has ended."""
    last = await last_of_chain(runs, run)
    if run.phase is Phase.WAITING_FOR_APPROVAL:
        why = "it waits for approval: answer its interrupt, or decide its reviews (slipway reviews)"
    elif last.run_id != run.run_id and last.phase is Phase.COMPLETED:
        why = f"it is {run.phase}, and its chain has completed with run {last.run_id}"
    elif last.run_id != run.run_id:
        why = f"it is {run.phase}, and run {last.run_id}, which is {last.phase}, continues its chain: name that run"
    else:
        may_be_retried = run.phase in (Phase.FAILED, Phase.CANCELLED) and operation == "be resumed"
        why = otherwise or ("it has ended: retry it, to continue its chain" if may_be_retried else "it has ended")
    details = {} if last.run_id == run.run_id else {"continued_by": last.run_id}
    return Conflict(f"run {run.run_id} cannot {operation}: {why}", phase=run.phase.value, **details)


async def last_of_chain(runs: RunStore, run: Run) -> Run:
    """The last run that answered or retried the run, directly or through others; the run itself if none did."""
    found = run
    for _ in range(_LONGEST_CHAIN):
        following = found.retried_by or found.resumed_by
        if following is None:
            break
        try:
            following_run = await runs.find(following)
        except NotFound:
            break
        if following_run.resumes != found.run_id:
            break  # it has started a chain of its own
        found = following_run
    return found
