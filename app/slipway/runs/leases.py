"""Leases: which attempt owns which run, and until when, on the clock of Redis.

`LeaseRenewer` sends heartbeats from its own thread, so that a graph that blocks the event loop does not lose its lease.
The reaper (`slipway_workers.duties.reaper`) reclaims leases that have expired. `reclaim_process` reclaims all leases of
one process, although they have not expired; the supervisor calls it when a child process has exited.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.reachable_shards import within_time
from slipway.redis.shards import Shards
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.cancel_reasons import Action
from slipway.runs.queue_scripts import Grace, QueueScripts, Reaped, Suspect, waiting_member
from slipway.runs.script_results import Instruction, PauseRequested, RunLost, instruction_from
from slipway.runs.worker_list_scripts import WorkerListScripts
from slipway.settings import Settings
from slipway.stop_times import LAST_HEARTBEAT_WITHIN_S

log = structlog.get_logger(__name__)

T = TypeVar("T")

RETRY_PAUSE_MS: Final = 500
"""After each further crash in a row, the next attempt waits this many ms longer, so that a run that kills its worker
does not stop all workers."""

_RENEW_AGAIN_S: Final = 0.25
"""The longest pause between two tries to connect or to send a heartbeat while Redis is unavailable."""

COPY_LISTED_MS: Final = 60_000
"""For so long a shard other than the first counts a worker as live, unless its list of live workers is replaced
(`slipway_workers.duties.queue_watch`)."""

CONTACT_WITHIN_S: Final = 1.0
"""Seconds within which all live processes have sent a heartbeat when Redis is available again after a short outage. It
is longer than `_RENEW_AGAIN_S`, so that a busy machine has time to send it."""

_LOST_WRITES_S: Final = 2.0
"""Seconds of writes that Redis may lose when it is killed. It writes its append-only file to the disk every second, or
up to a second later if the disk is slow."""


def outage_after_s(settings: Settings) -> float:
    """Seconds without a heartbeat of any process after which Redis counts as having been unavailable. It is shorter
    than the rest of a lease between two heartbeats, so every outage in which a lease expires is detected."""
    return (settings.lease_s - settings.heartbeat_s) / 2


def certain_for_s(settings: Settings) -> float:
    """Seconds for which no lease of a live process expires, after a time when all live processes had contact with
    Redis. A process had sent its last heartbeat at most `heartbeat_s` before, and Redis may lose it."""
    return settings.lease_s - settings.heartbeat_s - _LOST_WRITES_S


def grace_period_of(settings: Settings) -> Grace:
    """After an outage of Redis, live workers have `lease_s` seconds to send a heartbeat before the reaper reclaims
    runs."""
    return {"silence_ms": int(outage_after_s(settings) * 1000), "lease_ms": int(settings.lease_s * 1000)}


def worker_id() -> str:
    """The id of this process: host, process id and a random part. No other process has the same id, now or later."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


class LeaseRenewer:
    """Renews the leases of one process, from its own thread and over its own connection. `is_worker`: the process is
    listed among the live workers.

    It sends a heartbeat every `heartbeat_s` seconds and, after an outage of Redis, as soon as it is connected again,
    because the reaper waits only `CONTACT_WITHIN_S` seconds for it.

    Redis decides which attempt owns a run. The process itself trusts a lease for a shorter time: for 7/8 of `lease_s`
    on its own clock, from the moment when it sent the claim, or the heartbeat that renewed the lease. It may have been
    suspended before it received the reply.
    """

    def __init__(self, address: Address, shards: Shards, worker: str, settings: Settings, *, is_worker: bool) -> None:
        self.worker = worker
        self._address, self._shards, self._is_worker = address, shards, is_worker
        self._lease_ms = int(settings.lease_s * 1000)
        self._interval_s = settings.heartbeat_s
        self._trusted_for_s = settings.lease_s * 7 / 8
        self._grace = grace_period_of(settings)
        self._attempts: dict[str, AttemptWriter] = {}
        self._claims_as: str | None = None
        self._stops_as: str | None = None
        self._serves = b""
        self._uninformed: set[int] = set()
        """The shards, other than the first, that do not know `_claims_as` and `_stops_as` yet."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="heartbeat", daemon=True)

    async def start(self) -> None:
        """Starts the thread. Its connection may not be open yet when this returns."""
        self._main_loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._main_loop.create_future()
        self._thread.start()
        await self._started

    async def stop(self) -> None:
        """Sends a last heartbeat, which removes the process from the live workers, and ends the thread. If Redis does
        not reply in time, the thread is not waited for: the process is listed until its entry expires."""
        self._loop.call_soon_threadsafe(self._stop)
        await asyncio.to_thread(self._thread.join, LAST_HEARTBEAT_WITHIN_S)

    def add(self, attempt: AttemptWriter, claim_sent_at: float) -> None:
        """Starts to renew the lease of an attempt that was just claimed; the claim was sent at `claim_sent_at`
        (`time.monotonic`). If this process still executes an older attempt of the same run, that attempt has lost the
        run and is stopped."""
        attempt.lease_trusted_until = claim_sent_at + self._trusted_for_s
        with self._lock:
            older = self._attempts.get(attempt.run.run_id)
            self._attempts[attempt.run.run_id] = attempt
        if older is not None:
            older.mark_fenced()

    def claims_in_group(self, group: str | None, serves: bytes = b"") -> None:
        """From now on the process claims runs as a worker of this group, which serves `serves`; with None, it claims
        none any more. The next heartbeat, which is sent at once, tells others. Until then they may wake it for runs."""
        if self._claims_as is not None:
            self._stops_as = self._claims_as
        self._claims_as, self._serves = None if group is None else waiting_member(group, self.worker), serves
        self._uninformed = set(range(1, self._shards.count))
        self._loop.call_soon_threadsafe(self._heartbeat_due.set)

    @property
    def run_ids(self) -> frozenset[str]:
        """The ids of the runs whose leases are renewed now."""
        with self._lock:
            return frozenset(self._attempts)

    def remove(self, attempt: AttemptWriter) -> None:
        """Stops renewing the lease."""
        with self._lock:
            if self._attempts.get(attempt.run.run_id) is attempt:
                del self._attempts[attempt.run.run_id]

    def on_control_message(self, message: bytes | None) -> None:
        """Handles a message on the control channel of this process: `<run id>@<created, µs> <instruction>`. The reply
        to the next heartbeat contains the same instruction again, so a lost message only causes a delay. Messages from
        earlier releases have no creation time."""
        if message is None:
            return
        target, _, instruction = message.decode().partition(" ")
        run_id, _, incarnation = target.partition("@")
        attempt = self._attempts.get(run_id)
        if attempt is not None and incarnation in ("", attempt.run.incarnation):
            _apply_instruction(attempt, instruction_from(instruction))

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._heartbeat_due = False, asyncio.Event()
        self._main_loop.call_soon_threadsafe(self._started.set_result, None)
        # these timeouts are one heartbeat interval, so that a broken connection is replaced before leases expire
        timeout_s = self._interval_s
        pipeline = pipeline_to(
            self._address,
            f"lease renewer {self.worker}",
            patience_s=timeout_s,
            reply_timeout_s=timeout_s,
            max_reconnect_pause_s=_RENEW_AGAIN_S,
            on_connected=self._heartbeat_due.set,
        )
        if not await self._open_with_retries(pipeline):
            return
        queues = PerShard(self._shards, partial(QueueScripts, pipeline))
        workers = WorkerListScripts(pipeline, self._shards.processes)
        while not self._stopping:
            self._heartbeat_due.clear()
            replied = await self.send_heartbeat(queues, workers)
            await self._pause(self._interval_s if replied else _RENEW_AGAIN_S)
        await self.send_heartbeat(queues, workers, leaving=True)
        await pipeline.close()

    async def _open_with_retries(self, pipeline: Pipeline) -> bool:
        while not self._stopping:
            try:
                await pipeline.open()
                return True
            except StoreUnavailable as error:
                log.warning("heartbeat.missed", problem=str(error))
                await self._pause(self._interval_s)
        return False

    def _stop(self) -> None:
        self._stopping = True
        self._heartbeat_due.set()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heartbeat_due.wait()

    async def send_heartbeat(
        self, queues: PerShard[QueueScripts], workers: WorkerListScripts, *, leaving: bool = False
    ) -> bool:
        """Sends one heartbeat and applies the reply. `leaving` removes a worker from the live workers. Returns False if
        a shard was unavailable.

        A heartbeat goes to the first shard, to those in which the process executes attempts, and to those that do not
        know yet that it claims runs, or has stopped. All scripts are in one write, and can fail independently: a worker
        whose leases were renewed keeps its runs, although another worker can take over its duties if it is not listed
        for one lease. A failure is only logged, because the next heartbeat may succeed."""
        with self._lock:
            attempts = list(self._attempts.values())
        by_shard: dict[int, list[AttemptWriter]] = {0: []}
        for attempt in attempts:
            by_shard.setdefault(self._shards.number_of_run(attempt.run.run_id), []).append(attempt)
        for shard in range(1, self._shards.count) if leaving else self._uninformed:
            by_shard.setdefault(shard, [])
        listed, *renewed = await asyncio.gather(
            self._list(workers, is_live=not leaving),
            *(self._renew(queues[shard], shard, its, leaving=leaving) for shard, its in by_shard.items()),
            return_exceptions=True,
        )
        if listed is not None:
            _log_failure(listed)
        for failure in filter(None, renewed):
            _log_failure(failure)
        return not any(isinstance(failure, StoreUnavailable) for failure in renewed)

    async def _renew(self, queue: QueueScripts, shard: int, attempts: list[AttemptWriter], *, leaving: bool) -> None:
        """Renews the leases of one shard, and tells it whether the process claims runs."""
        claims_as, stops_as, informs = self._claims_as, self._stops_as, shard == 0 or shard in self._uninformed
        sent_at = time.monotonic()
        by_run = {attempt.run.run_id: attempt for attempt in attempts}
        instructions = await queue.renew_leases(
            [(run_id, attempt.number, attempt.run.incarnation) for run_id, attempt in by_run.items()],
            lease_ms=self._lease_ms,
            grace=self._grace,
            claims_as=claims_as if informs and not leaving else None,
            stops_as=claims_as if leaving else stops_as,
            listed_ms=None if shard == 0 else COPY_LISTED_MS,
            serves=b"" if shard == 0 else self._serves,
        )
        if (claims_as, stops_as) == (self._claims_as, self._stops_as):
            self._uninformed.discard(shard)
        lost = {run_id for run_id, instruction in instructions if isinstance(instruction, RunLost)}
        for run_id in by_run.keys() - lost:
            by_run[run_id].lease_trusted_until = sent_at + self._trusted_for_s
        for run_id, instruction in instructions:
            self._main_loop.call_soon_threadsafe(self.on_instruction, by_run[run_id], instruction)

    async def _list(self, workers: WorkerListScripts, *, is_live: bool) -> None:
        if self._is_worker:
            await workers.list_worker(self.worker, is_live=is_live, lease_ms=self._lease_ms)

    def on_instruction(self, attempt: AttemptWriter, instruction: Instruction) -> None:
        """Applies an instruction for an attempt from the reply to a heartbeat. Ignores it if the process no longer
        executes this attempt."""
        if self._attempts.get(attempt.run.run_id) is attempt:
            _apply_instruction(attempt, instruction)


def _log_failure(error: BaseException) -> None:
    if isinstance(error, StoreUnavailable):
        log.warning("heartbeat.missed", problem=str(error))
    else:  # an unexpected reply
        log.error("heartbeat.failed", exc_info=error)


def _apply_instruction(attempt: AttemptWriter, instruction: Instruction) -> None:
    match instruction:
        case RunLost():
            attempt.mark_fenced()
        case PauseRequested():
            attempt.request_pause()
        case Action():
            attempt.request_cancel(instruction)


async def reclaim_process(settings: Settings, pid: int) -> list[str]:
    """Reclaims all leases of a process on this machine that has exited, without a grace period. Returns the ids of the
    runs."""
    pipeline = pipeline_to(
        Address(settings.redis), "reaper", patience_s=settings.redis_patience_web_s, counts_metrics=settings.metrics
    )
    await pipeline.open()
    try:
        queues = PerShard(shards_of(settings), partial(QueueScripts, pipeline))
        reaped = await reap(queues, settings, worker=f"{platform.node()}:{pid}:")
    finally:
        await pipeline.close()
    return [run.run_id for each in reaped.values() if isinstance(each, Reaped) for run in each.runs]


async def reap(
    queues: PerShard[QueueScripts],
    settings: Settings,
    *,
    grace_of: Callable[[int], Grace] | None = None,
    worker: str | None = None,
) -> dict[int, Reaped | StoreUnavailable]:
    """Reclaims runs in all shards (see `QueueScripts.run_reap`), by the number of the shard. `grace_of` returns the
    grace period of a shard. Two round trips, and one if there is one shard. Raises `StoreUnavailable` if no shard
    replies."""
    shards = range(len(queues))
    suspects: Mapping[int, list[Suspect] | StoreUnavailable] = {}
    if len(queues) > 1:
        suspects = await _from_all([queue.running_suspects() for queue in queues])

    def others(shard: int) -> list[Suspect]:
        return [each for other, its in suspects.items() if other != shard and isinstance(its, list) for each in its]

    return await _from_all(
        [
            queues[shard].run_reap(
                event_ttl_s=settings.event_ttl_s,
                pause_ms=RETRY_PAUSE_MS,
                grace=None if grace_of is None else grace_of(shard),
                worker=worker,
                other_suspects=others(shard),
            )
            for shard in shards
        ]
    )


async def _from_all(calls: Sequence[Awaitable[T]]) -> dict[int, T | StoreUnavailable]:
    """What each shard replied, or that it is unavailable. Raises that error if all are, and other errors."""
    if len(calls) == 1:
        return {0: await calls[0]}
    found: dict[int, T | StoreUnavailable] = {}
    for shard, result in enumerate(await asyncio.gather(*map(within_time, calls), return_exceptions=True)):
        if isinstance(result, BaseException) and not isinstance(result, StoreUnavailable):
            raise result
        found[shard] = result
    failures = [each for each in found.values() if isinstance(each, StoreUnavailable)]
    if len(failures) == len(found):
        raise failures[0]
    return found
