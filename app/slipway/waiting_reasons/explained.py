"""Says of a run what it waits for, from what was read of it."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.waiting_reasons.record import Act, Fact, WaitsFor, Why
from slipway.waiting_reasons.scripts import Surroundings


def explained(
    found: Surroundings,
    waits_for: WaitsFor,
    summary: str,
    facts: Sequence[Fact],
    acts: Sequence[Act],
    *,
    since_us: int | None = None,
    notes: Sequence[str] = (),
    private_summary: str | None = None,
) -> Why:
    """What the run of `found` waits for. Without `since_us`, it waits since its phase has changed last."""
    run = found.run
    return Why(
        run_id=run.run_id,
        thread_id=run.thread_id,
        graph_id=run.graph_id,
        phase=run.phase.value,
        waits_for=waits_for,
        summary=summary,
        since_us=run.updated_us if since_us is None else since_us,
        now_us=found.now_us,
        facts=facts,
        acts=acts,
        notes=notes,
        private_summary=private_summary,
    )
