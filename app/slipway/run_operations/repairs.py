"""What operators do to get a run past a problem: retry it, skip a node, edit its state.

    retry        a run that failed or was cancelled continues as a new run, in the same chain: from its last checkpoint,
                 or from one that the operator names
    skip node    a node that is next ends without a result; its edges are followed. For a paused run, or in a retry
    edit state   a state is written as if a node had returned it, then the run continues. For a paused run, or in a
                 retry

A repeated request changes nothing: the run that retries is found by the record of the first, tasks are skipped by their
ids, and an edit is found in the metadata of the checkpoint that it has written.

A retry from the last checkpoint repeats no call of a tool that writes: the call returns its result. From any other
state the tasks are other ones, and so are their calls. What would be repeated then, or lost, is refused unless the
operator permits it with `repeat`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import PregelTask, StateSnapshot

from slipway import failpoints
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.execution.run_input import remaining_command
from slipway.run_operations.made_calls import chain_of
from slipway.run_operations.operations import OperatedRun, Operator, after_script
from slipway.run_operations.refusals import refusal
from slipway.run_operations.repetitions import Repetitions
from slipway.run_options import RunOptions
from slipway.runs.audit import AuditEntry, AuditTrail
from slipway.runs.record import Phase, Retry, Run
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.runs.submit import RunSubmission
from slipway.serialization.json_encoding import dumps
from slipway.threads.graph_opener import ThreadGraphOpener
from slipway.threads.state_reader import read_state
from slipway.threads.state_store import ThreadStateStore
from slipway.threads.store import ThreadStore

EDIT: Final = "slipway_edit"
"""The member of a checkpoint's metadata that names the edit which has written it."""
_MOST_STATE_WRITES: Final = 50
"""State writes after the last checkpoint of a run that a retry looks through."""
_COPY: Final = "__copy__"
_SKIPPED: Final = "run.node_skipped"


@dataclass(frozen=True, slots=True)
class StateEdit:
    """Values that are written as if `as_node` had returned them; None for the node that wrote last."""

    values: Any
    as_node: str | None = None

    @property
    def digest(self) -> str:
        """Names the edit."""
        return hashlib.sha256(dumps([self.values, self.as_node])).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RunRepairs:
    """Each method raises `NotFound` for an unknown run, and `Conflict` if the run is in a phase that does not permit
    the operation."""

    runs: RunStore
    scripts: RunScripts
    submission: RunSubmission
    threads: ThreadStore
    states: ThreadStateStore
    graphs: ThreadGraphOpener
    checkpointer: BaseCheckpointer
    audit: AuditTrail
    repetitions: Repetitions

    async def retry(
        self,
        run_id: str,
        operator: Operator,
        checkpoint_id: str | None = None,
        *,
        repeat: bool = False,
        version: str | None = None,
    ) -> OperatedRun:
        """Creates the run that continues the chain of a run that failed or was cancelled, and returns it. Without a
        `checkpoint_id` it continues from the last checkpoint, with state writes that followed, and executes the tasks
        that have failed again. With `version` it executes on this version of its graph, and on no other. Raises
        `NotFound` for an unknown checkpoint, `InvalidRequest` for an unknown version, `WorkRepeated` unless `repeat`
        permits that tools that write act again, and `Conflict` if the run was retried before on another version."""
        run = await self.runs.find(run_id)
        details: dict[str, Any] = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
        if repeat:
            details["repeat"] = True
        if version is not None:
            details["version"] = version
        operated = await self._retry(
            run, operator, details, checkpoint_id=checkpoint_id, repeat=repeat, version=version
        )
        if version is not None and not operated.changed and operated.run.version != version:
            raise Conflict(
                f"run {run_id} cannot be retried on version {version}: run {operated.run.run_id} has retried it before"
            )
        return operated

    async def skip_node(self, run_id: str, operator: Operator, node: str) -> OperatedRun:
        """Continues a run that is paused, has failed or was cancelled, without the result of a node that is next. Also
        finds nodes inside subgraphs. A node whose graph calls it several times at once is skipped in all calls."""
        run = await self.runs.find(run_id)
        if run.phase in (Phase.QUEUED, Phase.RUNNING):
            if await self._skipped_last(run_id, node):
                return OperatedRun(run, changed=False)
            raise Conflict(f"node {node!r} of run {run_id} cannot be skipped: the run is {run.phase}; pause it first")
        if run.phase in (Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL):
            raise await refusal(self.runs, run, f"continue without node {node!r}")
        if run.retried_by is not None:
            return await self._retry(run, operator, {})
        tasks = await self._tasks_of(run, node)
        details: dict[str, Any] = {"node": node, "tasks": tasks}
        if run.phase is Phase.PAUSED:
            result = await self.scripts.run_resume(
                run_id,
                by=operator.by,
                reason=operator.reason,
                action=_SKIPPED,
                details=details | {"reason": operator.reason},
                skip=tasks,
            )
            return await after_script(self.runs, run_id, result, "continue without a node")
        return await self._retry(run, operator, {"skipped": details}, skipped_tasks=tasks)

    async def edit_state(
        self, run_id: str, operator: Operator, edit: StateEdit, *, resume: bool = True, repeat: bool = False
    ) -> OperatedRun:
        """Writes a state for a run that is paused, has failed or was cancelled, and continues the run with `resume`.
        Raises `RefusedRequest` if the graph rejects the values, and `WorkRepeated` unless `repeat` permits that tools
        that write act again and results of finished nodes are discarded."""
        if edit.as_node == _COPY:
            raise InvalidRequest("as_node", "must be a node: LangGraph copies the checkpoint then, without the values")
        run = await self.runs.find(run_id)
        if run.phase in (Phase.QUEUED, Phase.RUNNING):
            if run.edit == edit.digest:
                return OperatedRun(run, changed=False)
            raise Conflict(f"the state of run {run_id} cannot be edited: the run is {run.phase}; pause it first")
        if run.phase in (Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL):
            raise await refusal(self.runs, run, "continue with another state")
        if run.retried_by is not None:
            return await self._retry(run, operator, {})
        changed = await self._write(run, operator, edit, repeat=repeat)
        failpoints.reach("state_edited")
        if not resume:
            return OperatedRun(await self.runs.find(run_id), changed)
        if run.phase is not Phase.PAUSED:
            return await self._retry(run, operator, {"edit": edit.digest})
        result = await self.scripts.run_resume(
            run_id,
            by=operator.by,
            reason=operator.reason,
            action="run.resumed",
            details={"edit": edit.digest, "reason": operator.reason},
            edit=edit.digest,
        )
        return await after_script(self.runs, run_id, result, "continue with another state")

    async def _write(self, run: Run, operator: Operator, edit: StateEdit, *, repeat: bool) -> bool:
        """Writes the state unless the newest checkpoint is that of this edit. Returns whether it was written now."""
        newest = await self.checkpointer.latest(run.thread_id)
        if newest is None:
            raise Conflict(f"the state of run {run.run_id} cannot be edited: it has none yet")
        if newest.metadata.get(EDIT) == edit.digest:
            return False
        if not repeat:
            await self.repetitions.check_edit(run, edit.as_node, newest)
        metadata = {EDIT: edit.digest, "run_id": run.run_id}
        details: dict[str, Any] = {"edit": edit.digest, "as_node": edit.as_node, "reason": operator.reason}
        if repeat:
            details["repeat"] = True
        audit = AuditEntry("run.state_edited", operator.by, details)
        await self.states.edit(run, edit.values, as_node=edit.as_node, metadata=metadata, audit=audit)
        return True

    async def _check_retry(self, run: Run, checkpoint_id: str | None) -> None:
        """Raises `WorkRepeated` if calls of tools that write would be made again. Does nothing if the run was retried
        before."""
        if run.retried_by is not None and await self.runs.thread_of(run.retried_by) is not None:
            return
        if checkpoint_id is not None:
            await self.repetitions.check_checkpoint(run, checkpoint_id)
            return
        newest = await self.checkpointer.latest(run.thread_id)
        if newest is None or newest.metadata.get("run_id") in (run.run_id, *run.retries):
            return
        if (own := await self._last_of(run, newest)) is not None:
            await self.repetitions.check_state_writes(run, own, newest)

    async def _retry(
        self,
        run: Run,
        operator: Operator,
        details: dict[str, Any],
        *,
        checkpoint_id: str | None = None,
        skipped_tasks: list[str] | None = None,
        repeat: bool = False,
        version: str | None = None,
    ) -> OperatedRun:
        if run.phase not in (Phase.FAILED, Phase.CANCELLED):
            todo = (
                ": resume it"
                if run.phase is Phase.PAUSED
                else "; only a run that failed or was cancelled can be retried"
            )
            raise await refusal(self.runs, run, "be retried", f"it is {run.phase}{todo}")
        if checkpoint_id is not None:
            await self._check_checkpoint(run, checkpoint_id)
        if not repeat:
            await self._check_retry(run, checkpoint_id)
        if checkpoint_id is None:
            options = await self._options_from_last(run)
        else:
            checkpoint = {"checkpoint_id": checkpoint_id, "checkpoint_ns": ""}
            options = replace(run.options, input=None, command=None, checkpoint=checkpoint)
        retry = Retry(
            run_id=run.run_id,
            earlier=run.retries,
            by=operator.by,
            details={"retried": run.run_id, "reason": operator.reason, **details},
            named_checkpoint=checkpoint_id is not None,
            skipped_tasks=skipped_tasks or (),
        )
        created = await self.submission.retry(run, options, retry, version)
        return OperatedRun(created.run, changed=created.is_new)

    async def _options_from_last(self, run: Run) -> RunOptions:
        """What the graph is called with to continue from the last checkpoint: nothing, if the run has stored its input;
        else the same as before, without answers that its tasks have used."""
        newest = await self.checkpointer.latest(run.thread_id)
        if newest is None:
            return run.options
        if await self._last_of(run, newest) is not None:
            return replace(run.options, input=None, command=None, checkpoint=None)
        command: Mapping[str, Any] | None = run.options.command
        for run_id in (run.run_id, *run.retries):
            command = command and remaining_command(run_id, command, newest)
        if command is run.options.command:
            return run.options
        return replace(run.options, command=None if command is None else dict(command))

    async def _last_of(self, run: Run, newest: CheckpointTuple) -> CheckpointTuple | None:
        """The checkpoint that the run, or one that it retries, has written last, if only state writes followed."""
        found: CheckpointTuple | None = newest
        for _ in range(_MOST_STATE_WRITES):
            if found is None:
                return None
            if found.metadata.get("run_id") in (run.run_id, *run.retries):
                return found
            if found.metadata.get("source") not in ("update", "fork") or found.parent_config is None:
                return None
            found = await self.checkpointer.aget_tuple(found.parent_config)
        return None

    async def _check_checkpoint(self, run: Run, checkpoint_id: str) -> None:
        """Raises `NotFound`, and `Conflict` for a checkpoint of another chain: what that chain did would be done again
        as part of this one."""
        config: RunnableConfig = {
            "configurable": {"thread_id": run.thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
        }
        found = await self.checkpointer.aget_tuple(config)
        if found is None:
            raise NotFound("checkpoint", checkpoint_id)
        writer = await self._writer_of(found)
        if writer is not None and writer not in [each.run_id async for each in chain_of(self.runs, run)]:
            raise Conflict(
                f"run {run.run_id} cannot be retried from checkpoint {checkpoint_id}: run {writer}, which belongs to "
                "another chain, has written it. Start a new run from that checkpoint instead"
            )

    async def _writer_of(self, checkpoint: CheckpointTuple) -> str | None:
        """The run that has written the checkpoint, or the one that later state writes changed. None if no run did."""
        found: CheckpointTuple | None = checkpoint
        for _ in range(_MOST_STATE_WRITES):
            if found is None or "run_id" in found.metadata or found.parent_config is None:
                break
            found = await self.checkpointer.aget_tuple(found.parent_config)
        return None if found is None else found.metadata.get("run_id")

    async def _tasks_of(self, run: Run, node: str) -> list[str]:
        """The ids of the tasks of this node that are next. Raises `Conflict` if there are none."""
        thread = await self.threads.get(run.thread_id)
        if run.attempt == 0 or thread.graph_id is None:
            raise Conflict(f"node {node!r} of run {run.run_id} cannot be skipped: the run has not started")
        config: RunnableConfig = {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}}
        async with self.graphs.for_reading(thread, None) as graph:
            state = await read_state(graph, config, subgraphs=True)
        unfinished = [task for task in _tasks_in(state) if task.result is None]
        if tasks := [task.id for task in unfinished if task.name == node]:
            return tasks
        names = ", ".join(sorted({task.name for task in unfinished})) or "none"
        raise Conflict(f"node {node!r} of run {run.run_id} cannot be skipped: it is not next; next: {names}")

    async def _skipped_last(self, run_id: str, node: str) -> bool:
        """Whether the last thing that an operator did with the run was to skip this node."""
        entries = await self.audit.read(run_id)
        last = next((entry for entry in reversed(entries) if entry.action.startswith("run.")), None)
        return last is not None and last.action == _SKIPPED and last.details.get("node") == node


def _tasks_in(state: StateSnapshot) -> Iterator[PregelTask]:
    """The tasks of a state and of the states of subgraphs in it."""
    for task in state.tasks:
        yield task
        if isinstance(task.state, StateSnapshot):
            yield from _tasks_in(task.state)
