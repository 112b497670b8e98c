"""Why a run is queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.clock import iso
from slipway.graph_versions.record import KnownVersions
from slipway.runs.record import Run
from slipway.waiting_reasons import acts
from slipway.waiting_reasons.explained import explained
from slipway.waiting_reasons.record import MOST_RUNS, Act, Fact, WaitsFor, Why, bounded, seconds_text, time_text
from slipway.waiting_reasons.scripts import MemoryRoom, QueuePlace, Surroundings

_MEMORY: Final = "memory pressure"
"""The reason that `run_claim.lua` stores."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """The run of the same thread that must end first."""

    run: Run
    why: Why | None
    """What it waits for itself. None if it executes."""


@dataclass(frozen=True, slots=True)
class QueuedReasons:
    """Times are in seconds."""

    reconcile_every_s: float

    def of(self, found: Surroundings, versions: KnownVersions | None, blocker: Blocker | None) -> Why:
        """`versions` are known if the job is in a lane, and `blocker` if another run of the thread is before it."""
        if blocker is not None:
            return _earlier_run(found, blocker)
        place = found.place
        if place is None:
            return self._no_job(found)
        if place.queue == "later" and place.score_ms * 1000 > found.now_us:
            return _due_time(found, place)
        if found.workers == 0:
            return _no_worker(found, place)
        if place.queue == "lane":
            return _version(found, place, versions)
        if place.queue == "parked":
            return _group(found, place)
        if place.queue == "suspects":
            return _suspects(found, place)
        if found.run.reason == _MEMORY:
            return _memory(found, place)
        return _free_worker(found, place)

    def _no_job(self, found: Surroundings) -> Why:
        text = (
            "No queue has its job, although it is the next run of its thread: a worker repairs that within "
            f"{seconds_text(self.reconcile_every_s)}."
        )
        return _why(found, WaitsFor.REPAIR, text, (), (acts.repair(),))


def _why(
    found: Surroundings,
    waits_for: WaitsFor,
    summary: str,
    facts: tuple[Fact, ...],
    what_to_do: tuple[Act, ...],
    *,
    since_us: int | None = None,
    private_summary: str | None = None,
) -> Why:
    run = found.run
    return explained(
        found,
        waits_for,
        summary,
        (*facts, *_attempts(run)),
        (*what_to_do, acts.cancel(run)),
        since_us=None if since_us is None else max(run.updated_us, since_us),
        notes=_notes(run),
        private_summary=private_summary,
    )


def _attempts(run: Run) -> tuple[Fact, ...]:
    facts = [Fact("attempts_so_far", run.attempt)] if run.attempt else []
    if run.attempt and run.reason:
        facts.append(Fact("queued_because", bounded(run.reason)))
    return tuple(facts)


def _notes(run: Run) -> tuple[str, ...]:
    if run.cancel is None:
        return ()
    return (f"A cancel was requested ({bounded(run.cancel_cause or 'by a client')}): its next attempt ends it.",)


def _place_facts(place: QueuePlace) -> tuple[Fact, ...]:
    position = (Fact("position", place.rank + 1), Fact("queue_length", place.length))
    return (*position, Fact("runs_before", list(place.before), private=True)) if place.before else position


def _due_us(place: QueuePlace) -> int:
    return int(place.score_ms * 1000)


def _earlier_run(found: Surroundings, blocker: Blocker) -> Why:
    other = blocker.run
    what = "executes" if blocker.why is None else f"is {other.phase.value}"
    text = f"It is behind run {other.run_id} of its thread, which {what}."
    if blocker.why is not None:
        text += f" That run: {blocker.why.summary}"
    before = [run_id for run_id in found.thread_before if run_id != other.run_id]
    facts = (
        Fact("blocking_run", other.run_id),
        Fact("blocking_phase", other.phase.value),
        Fact("blocking_waits_for", blocker.why.waits_for.value if blocker.why else WaitsFor.ATTEMPT.value),
        Fact("runs_before_on_thread", found.thread_rank + (1 if found.active else 0)),
        *((Fact("also_before", before[:MOST_RUNS]),) if before else ()),
    )
    theirs = tuple(blocker.why.acts) if blocker.why else (acts.cancel_other(other.run_id),)
    return _why(found, WaitsFor.EARLIER_RUN, text, facts, theirs)


def _due_time(found: Surroundings, place: QueuePlace) -> Why:
    until_us = _due_us(place)
    left = seconds_text((until_us - found.now_us) / 1e6)
    first = found.run.attempt == 0
    because = "as its request asks" if first else "a pause after its last attempt"
    text = f"It starts at {time_text(iso(until_us))}, in {left}: {because}."
    return _why(found, WaitsFor.DUE_TIME, text, (Fact("due_at", iso(until_us)),), ())


def _no_worker(found: Surroundings, place: QueuePlace) -> Why:
    text = "No live worker claims runs, so nothing starts."
    return _why(found, WaitsFor.LIVE_WORKER, text, _place_facts(place), (acts.start_worker(),))


def _version(found: Surroundings, place: QueuePlace, versions: KnownVersions | None) -> Why:
    run = found.run
    graph_id, _, version = (found.lane or "").rpartition("@")
    is_fixed, name = version.endswith("!"), version.rstrip("!") or None
    wanted = graph_id if name is None else f"{graph_id}@{name}"
    served = {} if versions is None else _served(versions, graph_id)
    if found.lane_served:
        text = f"A worker that serves {wanted} must claim it: {place.rank} runs are before it in that lane."
    else:
        others = ", ".join(f"{other} by {count} worker{'s' * (count != 1)}" for other, count in served.items())
        text = f"No live worker serves {wanted}. Served: {others or f'no version of graph {graph_id}'}."
    facts = (
        Fact("version", name),
        Fact("version_fixed", is_fixed),
        Fact("is_served", found.lane_served),
        Fact("served", [{"version": other, "workers": count} for other, count in served.items()]),
        *_place_facts(place),
    )
    what_to_do: tuple[Act, ...] = (acts.serve(graph_id, name),)
    if served and not found.lane_served:
        newest = next(reversed(served))
        what_to_do += (acts.continue_on(run, newest),)
        what_to_do += () if is_fixed else (acts.move_thread(run, newest),)
    return _why(found, WaitsFor.VERSION, text, facts, what_to_do, since_us=_due_us(place))


def _served(versions: KnownVersions, graph_id: str) -> dict[str, int]:
    """How many live workers serve each version of the graph, the oldest first."""
    counts = {each.name: len(versions.workers_of(graph_id, each.name)) for each in versions.of_graph(graph_id)}
    return {name: count for name, count in counts.items() if count}


def _group(found: Surroundings, place: QueuePlace) -> Why:
    group = found.group
    assert group is not None  # the job is parked for it
    text = (
        f"{group.running} of at most {group.limit} runs of the concurrency group {bounded(group.name)} execute, and "
        f"{place.rank} runs of it are before this one."
    )
    facts = (
        Fact("group", bounded(group.name)),
        Fact("limit", group.limit),
        Fact("running", group.running),
        Fact("held_by", list(group.holders), private=True),
        *_place_facts(place),
    )
    return _why(found, WaitsFor.CONCURRENCY_GROUP, text, facts, ())


def _suspects(found: Surroundings, place: QueuePlace) -> Why:
    run = found.run
    times = "once" if run.crashes == 1 else f"{run.crashes} times in a row"
    text = (
        f"A worker died while it executed it ({times}), so it may be the cause: of the runs that died together only a "
        "few start at once, and more as those progress."
    )
    facts = (
        Fact("crashes", run.crashes),
        Fact("dead_worker", run.crashed_worker or None, private=True),
        Fact("suspects_executing", list(found.suspects), private=True),
        *_place_facts(place),
    )
    return _why(found, WaitsFor.CRASH_SUSPECTS, text, facts, (), since_us=_due_us(place))


def _memory(found: Surroundings, place: QueuePlace) -> Why:
    room = found.memory or MemoryRoom(None, None, None, None)
    text = "Redis is near the high-water mark of its memory, and has no room for what the run is expected to store."
    facts = (
        Fact("expected_bytes", room.expected),
        Fact("startable_bytes", room.startable),
        Fact("used_bytes", room.used),
        Fact("max_bytes", room.most),
        *_place_facts(place),
    )
    return _why(found, WaitsFor.MEMORY, text, facts, (acts.more_memory(),))


def _free_worker(found: Surroundings, place: QueuePlace) -> Why:
    workers = f"{found.workers} live worker{'s' * (found.workers != 1)}"
    before = f"{place.rank} due run{'s' * (place.rank != 1)} before it"
    text = f"It is due, and waits until one of {workers} has a free place; {before}."
    private = None
    if place.before:
        more = place.rank - len(place.before)
        names = ", ".join(place.before) + (f" and {more} more" if more > 0 else "")
        private = f"{text} Before it: {names}."
    facts = (Fact("live_workers", found.workers), *_place_facts(place))
    what_to_do = (acts.start_more_workers(),)
    return _why(found, WaitsFor.FREE_WORKER, text, facts, what_to_do, private_summary=private)
