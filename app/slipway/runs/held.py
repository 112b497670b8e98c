"""Why the attempt of a run has paused it: no version may continue its thread as it is, or its retries are used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from slipway.graphs.verdict import Reason, Verdict
from slipway.runs.failure import Failure
from slipway.serialization.at_rest import sealed_text
from slipway.serialization.places import run_place

ACTOR: Final = "slipway"
"""Who pauses these runs, in the audit trail."""


@dataclass(frozen=True, slots=True)
class Held:
    """Why a run is paused until somebody acts, or until another version is served."""

    why: Literal["version", "exhausted"]
    reasons: Sequence[Reason]
    version: str | None = None
    """The version that did not continue the thread."""

    def public(self) -> dict[str, Any]:
        """The member `held` of the run."""
        reasons = [{"code": each.code, "text": each.text} for each in self.reasons]
        return {"why": self.why, "reasons": reasons} | ({"version": self.version} if self.version else {})


@dataclass(frozen=True, slots=True)
class OwnPause:
    """The pause that an attempt requests for its own run."""

    held: Held
    reason: str
    """A sentence: what happened, and what to do."""
    error: str | None = None
    """The error of the run record, as JSON, if its retries were used up."""

    @property
    def failure_code(self) -> str:
        """The code of the failure after which no retries were left. Empty if nothing has failed."""
        return "" if self.error is None or not self.held.reasons else self.held.reasons[0].code

    def arguments(self, run_id: str) -> dict[str, Any]:
        """What `run_release.lua` receives."""
        members = {
            "reason": self.reason,
            "actor": ACTOR,
            "held": orjson.dumps(self.held.public()).decode(),
            "details": {"why": self.held.why, "code": self.held.reasons[0].code if self.held.reasons else ""},
        }
        return members | ({} if self.error is None else {"error": sealed_text(self.error, run_place(run_id))})


def held_from(stored: bytes) -> Held:
    """The field of a record."""
    members = orjson.loads(stored)
    reasons = [Reason(each["code"], each["text"]) for each in members["reasons"]]
    return Held(members["why"], reasons, members.get("version"))


def held_by(verdict: Verdict, run_id: str, old: str, new: str) -> OwnPause:
    """The pause of a run that version `new` must not continue on a thread of version `old`."""
    texts = "; ".join(reason.text for reason in verdict.reasons)
    failed = bool(verdict.reasons) and verdict.reasons[0].code == "migration.failed"
    what = texts if failed else f"version {new} cannot continue this thread of version {old or 'unknown'}: {texts}"
    way = f"slipway runs resume {run_id} --version {old}" if old and old != new else f"slipway runs resume {run_id}"
    return OwnPause(
        Held("version", verdict.reasons, new), f"{what}. Deploy code that can continue it, or continue with: {way}"
    )


def is_exhausted(failure: Failure) -> bool:
    """Whether a node has failed after its retries, or the ceiling of retries was reached."""
    if failure.code.startswith("ceiling."):
        return failure.code == "ceiling.retries"
    return failure.node is not None


def exhausted(failure: Failure, attempt: int) -> OwnPause:
    """The pause of a run whose retries or attempts are used up."""
    reason = Reason(failure.code, failure.public_message)
    where = f" of node {failure.node!r}" if failure.node else ""
    return OwnPause(
        Held("exhausted", (reason,)),
        f"the retries{where} are used up: {failure.public_message}",
        failure.run_error(attempt).record,
    )
