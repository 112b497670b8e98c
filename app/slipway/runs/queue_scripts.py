"""The script stubs of one shard of threads as a whole: claiming, leases, and the room in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

from slipway.graphs.version_choice import VersionChoice
from slipway.redis.hash_fields import fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.failure import ATTEMPTS_USED_UP
from slipway.runs.index_terms import error_term
from slipway.runs.logged_run import run_in_reply
from slipway.runs.script_results import (
    ClaimResult,
    Instruction,
    ReclaimedRun,
    ReclaimOutcome,
    StrandedRun,
    instruction_from,
)
from slipway.runs.suspect_slots import ALONE_FROM_CRASHES, ANY_CRASH, SuspectSlots

SUSPECTS_RETRY_MS: Final = 100
"""Milliseconds after which a worker tries to claim again while crash suspects wait."""

_STRANDED_PARTS: Final = 6
"""Of each stranded run in the reply of `run_claim.lua`."""

_MEMORY_ADMIT = load("memory_admit")
_RUN_CLAIM = load("run_claim")
_RUN_REAP = load("run_reap")  # not retried automatically: after an outage, live workers must send heartbeats first
_HELD_RETRY = load("held_retry")
_LEASE_RENEW = load("lease_renew")
_SUSPECTS_READ = load("suspects_read")
_WAKE_PASS = load("wake_pass")
_QUEUE_WATCH = load("queue_watch")
_LIVE_GROUPS_READ = load("live_groups_read")
_LIVE_GROUPS_COPY = load("live_groups_copy")


def waiting_member(group: str, worker: str) -> str:
    """A worker in the lists of workers that wait, and that are live."""
    return f"{group} {worker}"


class Grace(TypedDict):
    """After how long without heartbeats an outage of Redis is assumed, and how long workers then have to send one."""

    silence_ms: int
    lease_ms: int
    waits: NotRequired[bool]
    """Whether the process that reclaims has a grace period of its own now."""


Suspect = tuple[str, int]
"""The worker that executes a crash suspect, and how many workers in a row have died with the suspect."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a round of the reaper did in one shard."""

    runs: Sequence[ReclaimedRun]
    next_lease_end_in_s: float
    """Seconds until the first lease of the shard expires. Negative if it has expired, infinite if no run has one."""


@dataclass(frozen=True, slots=True)
class LiveGroups:
    """The workers that are live and claim runs, and what they serve."""

    workers: Sequence[str]
    """`<group> <worker>` of each, in order."""
    serves: Mapping[str, bytes]
    """What each group serves, as a MessagePack map."""


class QueueScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def memory_admit(self, mark: float, bytes_to_store: int, *, sharing: int = 1) -> int:
        """Subtracts these bytes from the room below the high-water mark, of which the shard has its part if `sharing`
        shards share the server. Returns how many bytes this process may store
        before it asks again. Raises `Overloaded` if there is no room."""
        arguments = self._args(mark=mark, sharing=sharing, bytes=bytes_to_store)
        return int(await self._pipeline.run(_MEMORY_ADMIT, [], arguments))

    async def run_claim(
        self,
        worker: str,
        limit: int,
        lease_ms: int,
        suspects: SuspectSlots = ANY_CRASH,
        *,
        mark: float | None = None,
        sharing: int = 1,
        serves: bytes = b"",
        group: str | None = None,
    ) -> ClaimResult:
        """Claims runs. `suspects` says which crash suspects may be among them. With `mark`, the high-water mark of
        memory, it claims only runs that fit, if `sharing` shards share the server. `serves` says what the worker
        serves, and `group` is its group (`ServedGraphs`): it claims only runs of versions that it serves. If it is
        empty, versions do not matter."""
        arguments = {
            "worker": worker,
            "limit": limit,
            "lease_ms": lease_ms,
            "suspect_slots": dict(suspects.by_crash),
            "suspects": suspects.others,
            "alone": suspects.alone,
            "alone_from": ALONE_FROM_CRASHES,
            "again_ms": SUSPECTS_RETRY_MS,
            "mark": mark,
            "sharing": None if mark is None else sharing,
            "group": group,
        }
        reply = await self._pipeline.run(_RUN_CLAIM, [], [*self._args(**arguments), serves])
        due_in_ms, near_mark, stranded, exchanges, *runs = reply
        return ClaimResult(
            float(due_in_ms) if due_in_ms else None,
            [fields_of(run) for run in runs],
            near_mark != b"",
            _stranded_runs(stranded) if stranded else (),
            [
                (group.decode(), until_ms.decode())
                for group, until_ms in zip(exchanges[::2], exchanges[1::2], strict=True)
            ],
        )

    async def run_reap(
        self,
        *,
        event_ttl_s: int,
        pause_ms: int,
        grace: Grace | None = None,
        worker: str | None = None,
        other_suspects: Sequence[Suspect] = (),
    ) -> Reaped:
        """Reclaims the runs whose lease has expired. With `worker`, reclaims all runs of the process whose id starts
        with that text, although their leases have not expired. With `grace`, reclaims nothing in the grace period
        after an outage of Redis. `other_suspects` are those that execute in other shards."""
        args = self._args(
            event_ttl_s=event_ttl_s,
            pause_ms=pause_ms,
            worker=worker,
            grace=grace,
            other_suspects=list(other_suspects) or None,
            alone_from=ALONE_FROM_CRASHES,
            failure={
                "record": ATTEMPTS_USED_UP.record(0),
                "public": ATTEMPTS_USED_UP.public(),
                "term": error_term(ATTEMPTS_USED_UP.code),
            },
        )
        next_end_ms, reclaimed = await self._pipeline.run(_RUN_REAP, [], args)
        runs = [
            ReclaimedRun(run_in_reply(run_id, *run), int(attempt), ReclaimOutcome(outcome.decode()))
            for run_id, attempt, outcome, *run in reclaimed
        ]
        return Reaped(runs, float(next_end_ms) / 1000 if next_end_ms else math.inf)

    async def running_suspects(self) -> list[Suspect]:
        """The crash suspects that execute."""
        reply = await self._pipeline.run(_SUSPECTS_READ, [], [self._keys.prefix])
        return [(worker.decode(), crashes) for worker, crashes in reply]

    async def pass_wake_on(self, group: str, *, leaves: str | None = None) -> None:
        """Wakes another worker, if due jobs wait: one of any group, and one of `group` if there are lanes. The worker
        `leaves` (`waiting_member`) waits no longer."""
        await self._pipeline.run(_WAKE_PASS, [], self._args(group=group, leaves=leaves))

    async def watch(self) -> bool:
        """Wakes a worker if a due job waits that nobody has claimed. Returns whether none could be woken for one."""
        return bool(await self._pipeline.run(_QUEUE_WATCH, [], [self._keys.prefix]))

    async def live_groups(self) -> LiveGroups:
        """The workers that are live and claim runs."""
        workers, groups = await self._pipeline.run(_LIVE_GROUPS_READ, [], [self._keys.prefix])
        serves = {group.decode(): stored for group, stored in zip(groups[::2], groups[1::2], strict=True)}
        return LiveGroups([member.decode() for member in workers], serves)

    async def copy_live_groups(self, live: LiveGroups, *, for_ms: int) -> None:
        """Replaces what this shard, which is not the first, knows of live workers. It forgets them after `for_ms`."""
        groups = [part for group in live.serves.items() for part in group]
        await self._pipeline.run(
            _LIVE_GROUPS_COPY, [], [*self._args(workers=list(live.workers), for_ms=for_ms), *groups]
        )

    async def held_retry(
        self, limit: int, reason: str, *, choices: Mapping[str, VersionChoice], until_ms: str | None = None
    ) -> tuple[int, str | None]:
        """Queues up to `limit` runs that were held before `until_ms` (None: until now). Those of the graphs in
        `choices` get their versions anew. Returns how many, and the `until_ms` of the next call, None if no more
        wait."""
        members = {graph_id: choice.members() for graph_id, choice in choices.items()}
        args = self._args(limit=limit, reason=reason, choices=members, until_ms=until_ms)
        queued, more, until = await self._pipeline.run(_HELD_RETRY, [], args)
        return int(queued), until.decode() if more else None

    def control_channel(self, worker: str) -> str:
        """The channel on which a worker or web process receives instructions about its runs."""
        return self._keys.control(worker)

    async def renew_leases(
        self,
        attempts: Sequence[tuple[str, int, str]],
        *,
        lease_ms: int,
        grace: Grace | None = None,
        claims_as: str | None = None,
        stops_as: str | None = None,
        listed_ms: int | None = None,
        serves: bytes = b"",
    ) -> list[tuple[str, Instruction]]:
        """Renews the leases of `attempts`, each given as run id, attempt number and creation time of the run in µs.
        Returns the id and an instruction for each run that was lost or is to be cancelled. A worker that claims runs
        is listed for `listed_ms` (None: `lease_ms`) as the member `claims_as` (`waiting_member`), and no longer as
        `stops_as`. `serves` is what its group serves, for a shard that may not know the group."""
        arguments = self._args(
            attempts=list(attempts),
            lease_ms=lease_ms,
            grace=grace,
            claims_as=claims_as,
            stops_as=stops_as,
            listed_ms=listed_ms or lease_ms,
        )
        reply = await self._pipeline.run(_LEASE_RENEW, [], [*arguments, serves])
        return [(run.decode(), instruction_from(instruction.decode())) for run, instruction in reply]


def _stranded_runs(reply: Sequence[bytes]) -> list[StrandedRun]:
    parts = iter(reply)
    return [
        StrandedRun(run_in_reply(*run), waits_for.decode(), reason.decode())
        for *run, waits_for, reason in zip(*[parts] * _STRANDED_PARTS, strict=True)
    ]
