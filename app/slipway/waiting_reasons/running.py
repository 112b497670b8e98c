"""Why a run executes still, or is not executed although its phase says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.clock import iso
from slipway.waiting_reasons import acts
from slipway.waiting_reasons.explained import explained
from slipway.waiting_reasons.record import MOST_RUNS, Act, Fact, WaitsFor, Why, bounded, seconds_text, time_text, who
from slipway.waiting_reasons.scripts import Surroundings


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What an attempt executes now: a node, a call of a model or of a tool."""

    kind: str
    """`node`, `model` or `tool`."""
    name: str
    since_us: int | None
    """None if it is not known."""

    def text(self, now_us: int) -> str:
        """For a sentence."""
        since = "" if self.since_us is None else f" for {seconds_text((now_us - self.since_us) / 1e6)}"
        return f"{self.kind} {bounded(self.name)}{since}"


@dataclass(frozen=True, slots=True)
class RunningReasons:
    """Times are in seconds."""

    lease_s: float
    reap_every_s: float

    def of(self, found: Surroundings, work: Sequence[OpenWork]) -> Why:
        """`work` is what is known of the open work of the attempt."""
        lease_until_us = found.lease_until_us
        if lease_until_us is not None and lease_until_us > found.now_us:
            return self._executes(found, lease_until_us, work)
        return self._expired(found, lease_until_us)

    def _executes(self, found: Surroundings, lease_until_us: int, work: Sequence[OpenWork]) -> Why:
        run = found.run
        heartbeat_us = lease_until_us - int(self.lease_s * 1_000_000)
        heartbeat_age_s = max(found.now_us - heartbeat_us, 0) / 1e6
        steps = run.usage.get("steps", 0)
        executing = "; ".join(each.text(found.now_us) for each in work[:MOST_RUNS])
        text = f"Attempt {run.attempt} executes it, in superstep {steps}{f': {executing}' if executing else ''}."
        facts = (
            Fact("attempt", run.attempt),
            Fact("worker", run.worker, private=True),
            Fact("lease_until", iso(lease_until_us)),
            Fact("heartbeat_age_s", round(heartbeat_age_s, 3)),
            Fact("superstep", steps),
            Fact("executing", [_work_members(each) for each in work]),
        )
        private = f"{text[:-1]}. Worker {run.worker}; its last heartbeat was {seconds_text(heartbeat_age_s)} ago."
        return _why(found, WaitsFor.ATTEMPT, text, facts, (acts.pause(run), acts.cancel(run)), private)

    def _expired(self, found: Surroundings, lease_until_us: int | None) -> Why:
        run = found.run
        since_us = run.updated_us if lease_until_us is None else lease_until_us
        in_grace = found.grace_until_us > found.now_us
        reclaim_us = max(found.grace_until_us, since_us + int(self.reap_every_s * 1_000_000))
        what_to_do: tuple[Act, ...] = ()
        if found.workers == 0:
            who, what_to_do = "Nobody reclaims it: no live worker is left.", (acts.start_worker(),)
        elif in_grace:
            who = (
                f"Redis was unavailable, so nothing is reclaimed before {time_text(iso(found.grace_until_us))}: "
                "live workers must be able to renew their leases first."
            )
        else:
            who = f"The reaper of a live worker reclaims it within {seconds_text(self.reap_every_s)}."
        gone = "Its lease has expired: the process that executed it sends no heartbeats any more."
        facts = (
            Fact("attempt", run.attempt),
            Fact("worker", run.worker, private=True),
            Fact("lease_until", None if lease_until_us is None else iso(lease_until_us)),
            Fact("reclaimed_by", "the reaper of a live worker" if found.workers else None),
            Fact("reclaimed_at_latest", iso(reclaim_us) if found.workers else None),
            Fact("live_workers", found.workers),
        )
        private = f"{gone} It was {run.worker}. {who}" if run.worker else None
        return _why(found, WaitsFor.RECLAIM, f"{gone} {who}", facts, what_to_do, private, since_us)


_PAUSES: Final = "An operator pauses it: it stops before its next superstep."


def _why(
    found: Surroundings,
    waits_for: WaitsFor,
    summary: str,
    facts: tuple[Fact, ...],
    what_to_do: tuple[Act, ...],
    private_summary: str | None,
    since_us: int | None = None,
) -> Why:
    run = found.run
    notes = []
    if run.cancel is not None:
        notes.append(
            f"A cancel was requested ({bounded(run.cancel_cause or 'by a client')}): it stops as soon as it can."
        )
    elif run.operator_pause is not None:
        notes.append(f"{_PAUSES} Requested by {who(run.operator_pause.by)} at {time_text(run.operator_pause.at)}.")
    return explained(
        found,
        waits_for,
        summary,
        facts,
        what_to_do,
        since_us=since_us,
        notes=notes,
        private_summary=private_summary,
    )


def _work_members(work: OpenWork) -> dict[str, str | None]:
    since = None if work.since_us is None else iso(work.since_us)
    return {"kind": work.kind, "name": bounded(work.name), "since": since}
