"""Retention: whether something deletes what is not needed any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, passed, warned

DAY_S: Final = 86_400
LONG_EVENTS_S: Final = 7 * DAY_S
LONG_TRACES_S: Final = 30 * DAY_S
LONG_DELIVERIES_S: Final = 90 * DAY_S


async def _threads(inputs: Inputs) -> Sequence[Line]:
    code, ttl = "retention.threads", inputs.project.checkpointer.ttl
    kept = {name for name, spec in inputs.project.graphs.items() if _keeps_all(inputs, spec.keep_checkpoints)}
    if ttl is not None and ttl.default_ttl is not None:
        return [passed(code, f"threads without a ttl of their own: {ttl.strategy} after {ttl.default_ttl:g} min")]
    if not kept:
        found = "threads are kept for ever, with their last checkpoints only"
        return [warned(code, found, '"checkpointer": {"ttl": {"default_ttl": 43200}} in langgraph.json')]
    found = "threads and all their checkpoints are kept for ever, unless a client sets a ttl: Redis fills up"
    return [warned(code, found, '"checkpointer": {"ttl": {"default_ttl": 43200}}, or SLIPWAY_KEEP_CHECKPOINTS=10')]


def _keeps_all(inputs: Inputs, of_graph: int | str | None) -> bool:
    return of_graph == "all" or (of_graph is None and inputs.settings.keep_checkpoints is None)


async def _events(inputs: Inputs) -> Sequence[Line]:
    code, ttl_s = "retention.events", inputs.settings.event_ttl_s
    found = f"event logs are kept for {_days(ttl_s)} after the end of a run"
    if ttl_s > LONG_EVENTS_S:
        return [warned(code, found, "SLIPWAY_EVENT_TTL_S=86400: nobody reads them after clients have reconnected")]
    return [passed(code, found)]


async def _traces(inputs: Inputs) -> Sequence[Line]:
    code, kept_s = "retention.traces", inputs.settings.trace_retention_s
    found = f"traces are kept for {_days(kept_s)}"
    if kept_s > LONG_TRACES_S:
        return [warned(code, found, "SLIPWAY_TRACE_RETENTION_S=604800, and an exporter for a longer time")]
    if kept_s < DAY_S:
        return [warned(code, f"{found}: a run that failed at night has none in the morning", "a longer one")]
    return [passed(code, found)]


async def _deliveries(inputs: Inputs) -> Sequence[Line]:
    code, settings = "retention.deliveries", inputs.settings
    times = {
        "SLIPWAY_DELIVERED_KEEP_S": settings.delivered_keep_s,
        "SLIPWAY_DEAD_LETTER_KEEP_S": settings.dead_letter_keep_s,
        "SLIPWAY_HOOK_RETENTION_S": settings.hook_retention_s,
    }
    lines = [
        warned(code, f"bodies are kept for {_days(seconds)}", f"a shorter {name}", name)
        for name, seconds in times.items()
        if seconds > LONG_DELIVERIES_S
    ]
    if settings.dead_letter_keep_s < DAY_S:
        found = f"dead letters are deleted after {_days(settings.dead_letter_keep_s)}, before somebody can replay them"
        lines.append(warned(code, found, "SLIPWAY_DEAD_LETTER_KEEP_S=2592000", "SLIPWAY_DEAD_LETTER_KEEP_S"))
    return lines or [
        passed(
            code,
            f"delivered {_days(times['SLIPWAY_DELIVERED_KEEP_S'])}, dead letters "
            f"{_days(times['SLIPWAY_DEAD_LETTER_KEEP_S'])}, hooks {_days(times['SLIPWAY_HOOK_RETENTION_S'])}",
        )
    ]


def _days(seconds: float) -> str:
    return f"{seconds / DAY_S:.3g} days" if seconds >= 2 * DAY_S else f"{seconds / 3600:.3g} h"


PART: Final = Part(
    "retention",
    "Retention",
    (
        Check({"retention.threads": "Whether threads, or their checkpoints, are deleted some time."}, _threads),
        Check({"retention.events": "How long event logs are kept."}, _events),
        Check({"retention.traces": "How long traces are kept."}, _traces),
        Check({"retention.deliveries": "How long webhooks and deliveries to hooks are kept."}, _deliveries),
    ),
)
