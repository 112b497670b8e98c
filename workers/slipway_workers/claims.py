"""Claims runs with a subclass of arq's `Worker`.

It has the life cycle of arq: `async_run` executes `main`, `close` ends it, `ctx` is passed to each attempt, and its
health is recorded in Redis, where `arq --check` reads it. It replaces how arq takes and executes jobs:

- *Latency*: arq polls the queue. Here, a claim that leaves no due job lists the worker as waiting. A script that queues
  a job, due or not, takes the worker that has waited longest from the list, and wakes it with a message. So an idle
  worker sends nothing. The duty `queue_watch` finds jobs whose message was lost.
- *Claims*: arq needs three round trips for a job, and checks only the first jobs of the queue. Here, one script claims
  as many due runs of a shard as the worker has free slots. Shards that may have jobs take turns (`claim_turns`).
- *Crash*: arq retries a job after its timeout. Here, a run is reclaimed when its lease is no longer renewed (`leases`,
  `duties.reaper`).
- *Connections*: arq uses a pool of redis-py. Here, commands are sent on the two pipelines of the process.

arq's retries, results and pickled arguments are not used: a job is its id, `<run id>:<attempt>`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from signal import Signals
from typing import Any, Final, cast

import hiredis
import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from slipway import failpoints
from slipway.errors import StoredDataError, StoreUnavailable
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.redis.hash_fields import Fields
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.admission import shards_on_a_server
from slipway.runs.control_channels import ControlChannels
from slipway.runs.crash_suspects import CrashSuspects
from slipway.runs.group_exchange import GroupExchange
from slipway.runs.queue_scripts import QueueScripts, waiting_member
from slipway.runs.record import Run, has_large_options, run_from, run_in_turns
from slipway.runs.script_results import ClaimResult
from slipway.runs.scripts import RunScripts
from slipway.runs.suspect_slots import NO_SUSPECTS, SuspectSlots
from slipway.runs.worker_health import WorkerHealth
from slipway_workers.claim_turns import ClaimTurns

log = structlog.get_logger(__name__)

_MAX_PAUSE_S: Final = 1.0
"""The longest pause after a failed claim."""

_FIRST_PAUSE_S: Final = 0.05
"""The pause after a failed claim doubles with each that follows, up to `_MAX_PAUSE_S`. It is short at first, because a
claim waits for a connection: after a restart of Redis the next one succeeds."""

_HOLDS_SLOTS_S: Final = 1.0
"""Seconds for which a claim without a reply holds free slots back from other shards: its node may be unavailable."""

LEAVE_WITHIN_S: Final = 0.25
"""Seconds within which a worker that stops is removed from the workers that wait. Otherwise a script that wakes it
finds out that it is gone."""

HEALTH_EVERY_S: Final = 2.0
"""Interval at which the claim loop records that it works."""

HEALTH_LIFETIME_S: Final = 5.0
"""Seconds after which a worker that records nothing counts as dead. It is longer than two intervals, so that a short
pause of a busy machine is not taken for a dead worker."""

MEMORY_UNCHECKED_S: Final = 0.05
"""Seconds for which a worker claims without checking memory again, after memory was far from the high-water mark."""

_ADDED_BY_ARQ_S: Final = 1.0
"""arq stores a record of health for `health_check_interval` and one second."""

UNREADABLE_PAUSE_MS: Final = 5000
"""Milliseconds after which a run is due again whose record a worker could not read."""

RunHandler = Callable[[dict[str, Any], Run, float], Awaitable[None]]
"""Executes one attempt at a run. The last argument is when the claim of the run was sent (`time.monotonic`)."""


@dataclass(slots=True)
class _HeldSlots:
    """Free slots for which a claim is in progress."""

    slots: int
    timer: asyncio.TimerHandle | None = None


class ClaimingWorker(Worker):
    """Claims runs of the versions in `served`, and calls `handler` for each in a task. `pipeline` is the connection for
    claims. `channels` are open: what wakes this worker arrives there."""

    def __init__(
        self,
        handler: RunHandler,
        shards: Shards,
        pipeline: Pipeline,
        channels: ControlChannels,
        worker: str,
        health: WorkerHealth,
        served: ServedGraphs,
        *,
        lease_ms: int,
        max_runs: int,
        high_water: float,
    ) -> None:
        super().__init__(
            functions=[func(handler, name="attempt", keep_result=0, max_tries=1)],  # type: ignore[arg-type]
            redis_pool=cast(ArqRedis, health),
            handle_signals=False,
            max_jobs=max_runs,
            keep_result=0,
            max_tries=1,
            retry_jobs=False,
            health_check_key=health.key,
            health_check_interval=HEALTH_LIFETIME_S - _ADDED_BY_ARQ_S,
        )
        self._run_attempt, self._scripts = handler, RunScripts(pipeline, shards)
        self._pipeline, self._queues = pipeline, PerShard(shards, partial(QueueScripts, pipeline))
        self._worker_id, self._lease_ms, self._served = worker, lease_ms, served
        self._high_water, self._check_memory_at = high_water, [0.0] * shards.count
        self._turns = ClaimTurns(shards.count)
        self._is_claiming = False
        self._held_slots = 0
        """Free slots for which claims are in progress."""
        self._claims: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._groups = GroupExchange(pipeline, shards)
        self._timers: dict[int, asyncio.TimerHandle] = {}
        """When the next claim of a shard is due, although nobody wakes this worker."""
        self._pauses_s: dict[int, float] = {}
        """The next pause of each shard whose last claim has failed."""
        self._suspects_claimed = False
        """Whether a claim in progress may return crash suspects. No other may: they would be too many."""
        self._without_suspects: set[int] = set()
        """Shards to claim from again when that claim has ended."""
        self._fault: BaseException | None = None
        self._changed, self._claims_ended = asyncio.Event(), asyncio.Event()
        self._recording: asyncio.Task[None] | None = None
        self._record_at = 0.0
        self.suspects = CrashSuspects()
        health.pending = lambda: self._turns.pending
        channels.on_wake = self.on_wake

    async def main(self) -> None:
        """Claims and executes runs until `stop_claiming` is called. Records its health until it is cancelled, so that a
        worker that drains is healthy."""
        try:
            await self._claim_until_stopped()
        finally:
            self._claims_ended.set()
        while True:
            self._record_health_if_due()
            await asyncio.sleep(HEALTH_EVERY_S)

    async def _claim_until_stopped(self) -> None:
        self._is_claiming = True
        while self.allow_pick_jobs:
            self._record_health_if_due()
            self._changed.clear()
            self._start_claims()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_EVERY_S):
                    await self._changed.wait()
            if self._fault is not None:
                raise self._fault
        for timer in self._timers.values():
            timer.cancel()
        if self._claims:
            await asyncio.wait(self._claims)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN_S):
                await asyncio.gather(*map(self._leave, range(len(self._queues))))

    def stop_claiming(self) -> None:
        """Stops claiming. Runs that a claim in progress returns are started and released at once
        (`OpenExecutions.drain`)."""
        self.allow_pick_jobs = False
        self._changed.set()

    def on_wake(self, shard: int, others_wait: bool) -> None:
        """A job of a shard may be due. While this worker claims nothing, it wakes another one instead."""
        if self.allow_pick_jobs:
            self._turns.woken(shard, others_wait=others_wait)
            if self._is_claiming:
                self._start_claims()
        elif others_wait:
            self._pass_wake_on(shard)

    def _pass_wake_on(self, shard: int) -> None:
        self._in_background(self._queues[shard].pass_wake_on(self._served.group))

    def _exchange(self, shard: int, group: str, until_ms: str) -> None:
        """Exchanges slots of a concurrency group with other shards."""
        self._in_background(self._groups.exchange(group, [shard], until_ms=until_ms))

    def _in_background(self, call: Awaitable[None]) -> None:
        task = self.loop.create_task(self._try(call))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _leave(self, shard: int) -> None:
        member = waiting_member(self._served.group, self._worker_id)
        await self._try(self._queues[shard].pass_wake_on(self._served.group, leaves=member))

    async def _try(self, call: Awaitable[None]) -> None:
        """A failure is ignored: the duties `queue_watch` and `group_slots` find jobs that wait."""
        with suppress(StoreUnavailable):
            await call

    def handle_sig(self, signum: Signals) -> None:
        """Called by `close`, with no signal: stops the attempts that are left after the drain, and does not wait for
        them."""
        if self._recording is not None:
            self._recording.cancel()
        for task in (*self._claims, *self._background, *self.tasks.values()):
            task.cancel()
        self.tasks.clear()

    async def record_health(self) -> None:
        """Records the health as arq does, whenever it is called, and does not log the counts. A failure is only logged,
        because claims do not depend on it."""
        self._last_health_check, self._last_health_check_log = 0.0, None
        try:
            await super().record_health()
        except (StoreUnavailable, hiredis.ReplyError) as error:
            log.warning("health.not_recorded", problem=str(error))

    def _record_health_if_due(self) -> None:
        """Starts to record the health in a task, for which the claim loop does not wait. While Redis is unavailable,
        that task waits for it."""
        if self.loop.time() < self._record_at or not (self._recording is None or self._recording.done()):
            return
        self._record_at = self.loop.time() + HEALTH_EVERY_S
        self._recording = self.loop.create_task(self.record_health(), name="record health")

    async def wait_until_idle(self, within_s: float) -> bool:
        """Waits until the last claim has returned and no run executes. Returns whether that was within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._claims_ended.wait()
                if self.tasks:
                    await asyncio.wait(list(self.tasks.values()))
                return True
        return False

    def _start_claims(self) -> None:
        """Claims for the free slots, from the shards whose turn it is. Without a free slot, it wakes other workers for
        the jobs for which this one was woken."""
        if len(self.tasks) >= self.max_jobs:
            for shard in self._turns.take_passable():
                self._pass_wake_on(shard)
            return
        for shard, limit in self._turns.take(max(0, self.max_jobs - len(self.tasks) - self._held_slots)):
            self._start_claim(shard, limit)

    def _start_claim(self, shard: int, limit: int) -> None:
        if (timer := self._timers.pop(shard, None)) is not None:
            timer.cancel()
        task = self.loop.create_task(self._claim(shard, limit), name=f"claim of shard {shard}")
        self._claims.add(task)
        self._held_slots += limit
        held = _HeldSlots(limit)
        if len(self._queues) > 1:
            held.timer = self.loop.call_later(_HOLDS_SLOTS_S, self._let_go, held)
        task.add_done_callback(partial(self._on_claim_ended, held))

    def _let_go(self, held: _HeldSlots) -> None:
        """The slots of a claim are free for other claims."""
        self._held_slots -= held.slots
        held.slots = 0
        self._changed.set()

    def _on_claim_ended(self, held: _HeldSlots, claim: asyncio.Task[None]) -> None:
        self._claims.discard(claim)
        if held.timer is not None:
            held.timer.cancel()
        self._let_go(held)
        if not claim.cancelled() and (fault := claim.exception()) is not None:
            self._fault = fault

    async def _claim(self, shard: int, limit: int) -> None:
        """Claims runs of a shard, starts them, and notes when to claim from this shard again."""
        with_suspects, self._suspects_claimed = not self._suspects_claimed, True
        try:
            claimed, sent_at = await self._send_claim(
                shard, limit, self.suspects.free_slots() if with_suspects else NO_SUSPECTS
            )
            await self._start_all(claimed.runs, sent_at)
        except StoreUnavailable as error:
            pause_s = self._pauses_s.get(shard, _FIRST_PAUSE_S)
            log.warning("claim.failed", problem=str(error), retry_in_s=pause_s)
            self._pauses_s[shard] = min(2 * pause_s, _MAX_PAUSE_S)
            self._claim_later(shard, pause_s)
            return
        finally:
            if with_suspects:
                self._suspects_claimed = False
                for each in self._without_suspects:
                    self._turns.add(each)
                self._without_suspects.clear()
        self._pauses_s.pop(shard, None)
        if claimed.due_in_ms is None:
            return
        if claimed.due_in_ms == 0 or not (with_suspects or self._suspects_claimed):
            self._turns.add(shard)
        elif with_suspects:
            self._claim_later(shard, min(claimed.due_in_ms / 1000, self.suspects.next_slot_in_s()))
        else:
            self._without_suspects.add(shard)

    async def _send_claim(self, shard: int, limit: int, slots: SuspectSlots) -> tuple[ClaimResult, float]:
        """The reply, and when the claim was sent (`time.monotonic`)."""
        sent_at = time.monotonic()
        checks_memory = sent_at >= self._check_memory_at[shard]
        claimed = await self._queues[shard].run_claim(
            self._worker_id,
            limit,
            self._lease_ms,
            slots,
            mark=self._high_water if checks_memory else None,
            sharing=shards_on_a_server(self._pipeline, self._queues.shards),
            serves=self._served.packed,
            group=self._served.group,
        )
        if checks_memory and not claimed.near_mark:
            self._check_memory_at[shard] = sent_at + MEMORY_UNCHECKED_S
        for group, until_ms in claimed.exchanges:
            self._exchange(shard, group, until_ms)
        for stranded in claimed.stranded:
            log.warning(
                "run.stranded", waits_for=stranded.waits_for, reason=stranded.reason, **stranded.run.log_fields()
            )
        return claimed, sent_at

    def _claim_later(self, shard: int, seconds: float) -> None:
        if (timer := self._timers.pop(shard, None)) is not None:
            timer.cancel()
        self._timers[shard] = self.loop.call_later(seconds, self.on_wake, shard, False)

    async def _start_all(self, runs: Sequence[Fields], claim_sent_at: float) -> None:
        if runs:
            failpoints.reach("claim")
        for fields in sorted(runs, key=has_large_options):  # the others do not wait for large ones
            try:
                run = await run_in_turns(fields) if has_large_options(fields) else run_from(fields)
            except StoredDataError as error:
                run_id = await self._scripts.give_back(fields, f"a worker cannot read it: {error}", UNREADABLE_PAUSE_MS)
                log.error("run.unreadable", run=run_id, problem=str(error), retry_in_s=UNREADABLE_PAUSE_MS / 1000)
            else:
                self._start(run, claim_sent_at)

    def _start(self, run: Run, claim_sent_at: float) -> None:
        job_id = f"{run.run_id}:{run.attempt}"
        task = self.loop.create_task(self.run_job(job_id, 0, run, claim_sent_at), name=f"job {job_id}")
        self.tasks[job_id] = task
        self.suspects.add(run)
        task.add_done_callback(lambda _: self._on_end(job_id, run))

    async def run_job(self, job_id: str, score: int, run: Run | None = None, claim_sent_at: float = 0.0) -> None:
        """Executes one attempt. An unexpected exception is logged. It counts as an attempt, because the lease is no
        longer renewed."""
        assert run is not None
        try:
            await self._run_attempt(self.ctx, run, claim_sent_at)
            self.jobs_complete += 1
        except Exception:
            log.exception("attempt.crashed", run=run.run_id, attempt=run.attempt)
            self.jobs_failed += 1

    def _on_end(self, job_id: str, run: Run) -> None:
        self.tasks.pop(job_id, None)
        self.suspects.remove(run)
        self._changed.set()
