"""The script stubs of the due times of crons, in the shard of their runs: see `redis/lua/lib/due_times.lua`."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, arguments_for
from slipway.runs.scripts import DueTime

_REVOKE = load("due_time_revoke")
_PROBLEM = load("cron_problem")


@dataclass(frozen=True, slots=True)
class ToldProblem:
    """What webhook endpoints are told about a cron that cannot create a run."""

    problem: str
    assistant_id: str
    graph_id: str | None
    """None if the assistant does not exist any more."""
    owner: str | None
    """The member `owner` of its metadata, as JSON."""
    thread_id: str | None


class DueTimeScripts(RecordScriptStubs):
    """Each method takes one round trip. `thread_id` is None for a stateless cron."""

    async def revoke(self, cron_id: str, thread_id: str | None, incarnation: str, due_ms: int) -> None:
        """Prevents that a worker creates the run of a due time that the cron no longer has. A run that exists stays."""
        arguments = self._of_cron(cron_id, thread_id, incarnation=incarnation, due_ms=due_ms)
        await self._pipeline.run(_REVOKE, [], arguments)

    async def tell_problem(self, due_time: DueTime, told: ToldProblem) -> bool:
        """Creates the deliveries of `cron.problem`, if the problem is new. Returns whether it is."""
        arguments = self._of_cron(
            due_time["cron_id"],
            told.thread_id,
            incarnation=due_time["incarnation"],
            due_ms=due_time["due_ms"],
            problem=told.problem,
            assistant_id=told.assistant_id,
            graph_id=told.graph_id,
            owner=told.owner,
        )
        return bool(await self._pipeline.run(_PROBLEM, [], arguments))

    def _of_cron(self, cron_id: str, thread_id: str | None, **arguments: object) -> tuple[str, bytes]:
        """The arguments for the shard of the runs of a cron (`Cron.run_ids`)."""
        shard = self._shards.of_thread(thread_id or cron_id)
        return arguments_for(shard, {**arguments, "cron_id": cron_id, "thread_id": thread_id})
