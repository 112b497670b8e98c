"""Resumes a run whose questions all have answers: once, although several processes may try.

The script that stores the last answer lists the run. Whoever stored it resumes the run at once; if that process dies, a
duty finds the run in the list. The id of the new run follows from that of the waiting run, so a second try finds the
run of the first one. The script that creates it passes the answers on: their reviews are decided then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol
from uuid import NAMESPACE_OID, uuid5

import structlog

from slipway.errors import Conflict, NotFound, SlipwayError
from slipway.graphs.interface import Graphs
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shard_ids import run_id_on
from slipway.reviews.reads import ReviewReads
from slipway.reviews.record import Review, ReviewState, review_from, review_id_of
from slipway.reviews.write_commands import forget_ready_run
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, RunBehaviour, RunExecution, RunIdentity, RunSpec, run_from
from slipway.runs.run_request import concurrency_groups_of
from slipway.runs.submit import RunSubmission
from slipway.settings import Settings

log = structlog.get_logger(__name__)


class Resumer(Protocol):
    """Who resumes a run when its last answer is stored."""

    async def resume_soon(self, run_id: str, /) -> None: ...


class ResumedByDuty:
    """For processes without graphs: the duty of a worker finds the run in the list."""

    async def resume_soon(self, run_id: str) -> None:
        """Does nothing."""


class RunResumer:
    """Creates the runs that have the answers of reviews. They execute for the user of the run that asked."""

    def __init__(
        self, pipeline: Pipeline, keys: Keys, submission: RunSubmission, graphs: Graphs, settings: Settings
    ) -> None:
        self._pipeline, self._keys = pipeline, keys
        self._reads, self._runs = ReviewReads(pipeline, keys), RunReads(pipeline, keys)
        self._submission, self._graphs, self._settings = submission, graphs, settings

    async def resume(self, run_id: str) -> str | None:
        """The id of the run that continues this one. None if the run waits no more, or if a question has no answer yet.
        Raises `Overloaded` if memory has no room, and `GraphUnavailable`: then the duty tries again."""
        fields = await self._runs.record(run_id)
        if fields is None:
            await forget_ready_run(self._pipeline, self._keys, run_id)
            return None
        run = run_from(fields)
        records = await self._reads.records([review_id_of(run_id, each) for each in run.reviews])
        reviews = [review_from(record) for record in records if record is not None]
        if not reviews or any(review.state is not ReviewState.HELD for review in reviews):
            return run.resumed_by
        try:
            resumed = await self._submission.submit(self._spec(run, reviews))
        except (Conflict, NotFound) as error:  # the thread continued otherwise, or was deleted
            log.info("review.not_resumed", run=run_id, problem=str(error))
            await forget_ready_run(self._pipeline, self._keys, run_id)
            return None
        return resumed.run_id

    async def resume_soon(self, run_id: str) -> None:
        """The same, for whoever gave the last answer: the answer is stored, so what fails here is left to the duty."""
        try:
            await self.resume(run_id)
        except SlipwayError as error:
            log.warning("review.resume_later", run=run_id, problem=str(error))

    def _spec(self, run: Run, reviews: Sequence[Review]) -> RunSpec:
        """The run with all answers. It has the options of the run that asked, except its input."""
        graph = self._graphs.spec(run.graph_id)
        resume = {review.interrupt_id: review.answer for review in reviews}
        options = replace(run.options, input=None, command={"resume": resume}, checkpoint=None, strict_resume=False)
        return RunSpec(
            RunIdentity(
                run_id=resuming_run_id(run),
                thread_id=run.thread_id,
                assistant_id=run.assistant_id,
                graph_id=run.graph_id,
                metadata={name: value for name, value in run.metadata.items() if name not in _SERVER_METADATA},
                user=run.user,
                changed_by=run.changed_by,
            ),
            RunExecution(options=options, ceilings=run.ceilings, inline=graph.execution == "inline"),
            RunBehaviour(
                priority=graph.priority,
                groups=concurrency_groups_of(run.metadata, graph, self._settings),
                checked={"run_id": run.run_id, "held": True, "revisions": {}, "answers": {}},
            ),
        )


_SERVER_METADATA: Final = frozenset({"graph_id", "assistant_id"})


def resuming_run_id(run: Run) -> str:
    """The id of the run with the held answers of this one."""
    return run_id_on(run.thread_id, str(uuid5(NAMESPACE_OID, f"{run.run_id} {run.incarnation} reviews")))
