"""The only way to create a run: for requests on threads, stateless runs, batches, event commands and crons.

A run is submitted in two steps. `prepare` authorizes it and returns its `RunSpec`. `submit` stores it. In between, the
caller can subscribe to its events, or prepare the other runs of a batch, before anything is stored.

    api/routes/runs ─▶ submit.prepare ─▶ submit.submit ─▶ creation ─▶ scripts.run_create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig

from slipway.access.operators import OPERATE, require_operator
from slipway.access.permissions import Permissions
from slipway.assistants.all_assistants import AllAssistants
from slipway.budgets import NO_BUDGETS, Budgets, budget_owner, entries_of
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.current_work import request_belongs_to
from slipway.errors import GraphIsOff, NotFound
from slipway.graphs.interface import Graphs
from slipway.graphs.version_choice import NO_CHOICE, VersionChoice
from slipway.redis.shard_ids import run_id_on
from slipway.rollouts.choice import DeclaredChoice, Requested, choice_of
from slipway.rollouts.store import FindVersions
from slipway.rollouts.watch import RolloutWatch
from slipway.run_options import RunOptions
from slipway.runs.authorization import RunAuthorizer, ThreadAccess
from slipway.runs.creation import AnswersChanged, CreatedRun, RunCreator
from slipway.runs.index_terms import owner_of
from slipway.runs.record import Retry, Run, RunBehaviour, RunExecution, RunIdentity, RunSpec, new_id
from slipway.runs.run_request import RunIds, RunRequest, concurrency_groups_of, spec_from
from slipway.settings import Settings
from slipway.switches.watch import SwitchWatch


class InlineSubmission(Protocol):
    """Executes short graphs in this process (`execution/inline.py`)."""

    async def submit(self, spec: RunSpec, /) -> Run:
        """Creates the run, and starts it at once if possible."""


class AnswerCheck(Protocol):
    """Checks the answers of a run against the reviews of the waiting run (`reviews/protocol_answers.py`)."""

    async def check(self, spec: RunSpec, /) -> RunSpec:
        """The run with `RunBehaviour.checked`. Raises `InvalidRequest`, `Conflict` and `AccessRefused`."""


class TargetCheck(Protocol):
    """Checks where the command of a run goes (`graph_versions/command_targets.py`)."""

    async def check(self, graph_id: str, command: Mapping[str, Any] | None, version: str | None, /) -> None:
        """Raises `InvalidRequest` if `goto` names a node that the version lacks; without a version, that all lack."""


@dataclass(frozen=True, slots=True)
class RunSubmission:
    """Submits runs. `inline` is None in processes that do not execute inline runs."""

    settings: Settings
    graphs: Graphs
    assistants: AllAssistants
    threads: ThreadAccess
    checkpointer: BaseCheckpointer
    authorizer: RunAuthorizer
    creator: RunCreator
    check_layout: Callable[[], None]
    """Raises `StoreUnavailable` if a later release has upgraded the data (`health/health.py`)."""
    switches: SwitchWatch
    answers: AnswerCheck
    rollouts: RolloutWatch
    find_versions: FindVersions
    """For requests that name a version."""
    targets: TargetCheck
    budgets: Budgets = NO_BUDGETS
    inline: InlineSubmission | None = None

    def check_webhook(self, url: str | None) -> None:
        """Raises `InvalidRequest` for a webhook that is not allowed."""
        self.authorizer.check_webhook(url)

    async def prepare(
        self,
        request: RunRequest,
        ids: RunIds,
        permissions: Permissions,
        *,
        reads: bool = False,
        retain_s: int | None = None,
    ) -> RunSpec:
        """The requested run, with the changes of the authorize handlers. `reads`: the user receives the values that the
        run writes to the thread. `retain_s` is for a run with a temporary thread, see `RunBehaviour.retain_s`.

        Raises `NotFound` for an unknown assistant, thread or checkpoint, `GraphIsOff` if the graph is switched off,
        `InvalidRequest` also for an unknown version of the graph and for a command that goes to an unknown node,
        `AccessRefused` and `AuthBroken`."""
        await self.authorizer.authorize_assistant(permissions, request.assistant_id)
        spec = await self._spec_of(request, ids)
        if retain_s is not None and spec.execution.options.temporary:
            spec = replace(spec, behaviour=replace(spec.behaviour, retain_s=retain_s))
        spec = await self.authorizer.authorize(permissions, spec, stateless=request.stateless, reads=reads)
        await self._check_checkpoint(spec)
        self._check_switch(spec)
        return self._with_limits(await self._with_version(spec, request, permissions))

    async def submit(self, spec: RunSpec) -> Run:
        """Stores the run. If a run with its id exists, that run is returned unchanged. An inline run is started at once
        in this process.

        Raises `Overloaded` if Redis is short of memory, and what `RunCreator.create` raises."""
        self.check_layout()
        while True:
            try:
                run = await self._submit(await self._with_checked_answers(spec))
                if trace_id := run.trace_id:
                    request_belongs_to(trace_id)
                return run
            except AnswersChanged:
                if spec.behaviour.has_held_answers:
                    raise  # the run waits no more

    async def _submit(self, spec: RunSpec) -> Run:
        if spec.execution.inline and self.inline is not None:
            paused = self.switches.off.runs_of(spec.identity.graph_id)
            if paused is None:
                return await self.inline.submit(spec)
        return (await self.creator.create(spec)).run

    async def _with_checked_answers(self, spec: RunSpec) -> RunSpec:
        """The answers that were held for the waiting run were checked when they were given."""
        if not spec.execution.options.answers_interrupt or spec.behaviour.has_held_answers:
            return spec
        return await self.answers.check(spec)

    async def submit_due(
        self, request: RunRequest, ids: RunIds, owner: Permissions, changers: Sequence[Permissions]
    ) -> CreatedRun:
        """Creates the run of a cron's due time. The `owner` and every other user who changed the cron must be
        authorized now. The changes of the authorize handlers are applied for the owner and ignored for the others,
        because the run executes for the owner.

        Raises `DueTimeTaken`, and what `prepare` and `RunCreator.create` raise."""
        await self.authorizer.authorize_assistant(owner, request.assistant_id)
        spec = await self._spec_of(request, ids)
        on_thread = not request.stateless
        for changer in changers:
            await self.authorizer.authorize_assistant(changer, spec.identity.assistant_id)
            await self._authorize_due(changer, spec, on_thread=on_thread, checks_thread=on_thread)
        spec = await self._authorize_due(owner, spec, on_thread=on_thread, checks_thread=False)
        self._check_switch(spec)
        spec = await self._with_version(spec, request, owner)
        return await self.creator.create(await self._with_checked_answers(self._with_limits(spec)))

    async def retry(self, run: Run, options: RunOptions, retry: Retry, version: str | None = None) -> CreatedRun:
        """Creates the run that retries `run` with these `options`, in the same chain; with `version` on this one only.
        It executes for the same user, whom the auth file authorizes again when it starts. If the run was retried
        before, returns that run.

        Raises `Conflict`, `InvalidRequest` for an unknown version, and what `RunCreator.create` raises."""
        self.check_layout()
        if version is not None:
            (await self.find_versions(run.graph_id)).check("version", version)
        identity = RunIdentity(
            run_id=run_id_on(run.thread_id, new_id()),
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            graph_id=run.graph_id,
            metadata=run.metadata,
            user=run.user,
            changed_by=run.changed_by,
            retry=retry,
        )
        choice = self._choice_of(run.graph_id, run.thread_id, Requested({}, run.metadata))
        if choice.moves == "at-next-run":
            choice = replace(choice, moves="pinned")  # the retry continues a run that has begun
        if version is not None:
            choice = replace(choice, explicit=version)
        behaviour = RunBehaviour(priority=self.graphs.spec(run.graph_id).priority, version=choice)
        spec = RunSpec(identity, RunExecution(options=options, ceilings=run.ceilings), behaviour)
        return await self.creator.create(self._with_limits(spec))

    async def check_due(self, request: RunRequest, ids: RunIds, permissions: Permissions) -> None:
        """Checks that a cron of this user may create such a run, and creates nothing. The assistant must have been
        authorized before. Raises what `prepare` raises."""
        on_thread = not request.stateless
        spec = await self._spec_of(request, ids)
        await self._authorize_due(permissions, spec, on_thread=on_thread, checks_thread=on_thread)
        await self._with_version(spec, request, permissions)

    async def _authorize_due(
        self, permissions: Permissions, spec: RunSpec, *, on_thread: bool, checks_thread: bool
    ) -> RunSpec:
        """Authorizes the run of a cron. A cron on a thread needs `threads:read`, because its owner receives the values
        that its runs write to the thread."""
        authorized = await self.authorizer.authorize(permissions, spec, stateless=not on_thread, reads=on_thread)
        if checks_thread:
            await self.threads.check_access(spec.identity.thread_id, authorized.behaviour.access_filter)
        return authorized

    async def _spec_of(self, request: RunRequest, ids: RunIds) -> RunSpec:
        assistant = await self.assistants.get(request.assistant_id)
        return spec_from(request, ids, assistant, self.graphs.spec(assistant.graph_id), self.settings)

    def _with_limits(self, spec: RunSpec) -> RunSpec:
        """The run with its concurrency groups and budgets, and with what becomes of it when its retries are used up. A
        run that continues a chain counts in no budget of runs."""
        graph = self.graphs.spec(spec.identity.graph_id)
        groups = concurrency_groups_of(spec.identity.metadata, graph, self.settings)
        if groups or graph.on_exhausted == "pause":
            pauses = graph.on_exhausted == "pause"
            spec = replace(spec, behaviour=replace(spec.behaviour, groups=groups, pauses_exhausted=pauses))
        if not self.budgets.any or spec.execution.options.continues:
            return spec
        owner = budget_owner(spec.identity.metadata, owner_of(spec.identity.user))
        budgets = entries_of(self.budgets.of_run(owner, graph.graph_id, self.budgets.clock.now()), {"runs": 1})
        return replace(spec, behaviour=replace(spec.behaviour, budgets=budgets))

    async def _with_version(self, spec: RunSpec, request: RunRequest, permissions: Permissions) -> RunSpec:
        """The run with the versions among which it gets one. Raises `InvalidRequest` if the request names an unknown
        one, or a node that no version has, and `AccessRefused` if its user may not name any version."""
        identity = spec.identity
        requested = Requested(request.version_headers, identity.metadata)
        choice = self._choice_of(identity.graph_id, identity.thread_id, requested)
        if (named := requested.named) is not None and not self._is_tester(identity.graph_id, requested):
            version, field = named
            require_operator(permissions.user, OPERATE, f"{field} names a version: ")
            (await self.find_versions(identity.graph_id)).check(field, version)
            choice = replace(choice, explicit=version)
        if (command := spec.execution.options.command) is not None:
            await self.targets.check(identity.graph_id, command, choice.explicit)
        return replace(spec, behaviour=replace(spec.behaviour, version=choice)) if choice != NO_CHOICE else spec

    def _is_tester(self, graph_id: str, requested: Requested) -> bool:
        """Whether a rule of the rollout gives the run the version that it names."""
        ramp = self.rollouts.ramp_of(graph_id)
        return ramp is not None and requested.names_by_rule(ramp)

    def _choice_of(self, graph_id: str, thread_id: str, requested: Requested) -> VersionChoice:
        graph = self.graphs.spec(graph_id)
        declared = DeclaredChoice(graph.default_version, graph.moves)
        return choice_of(self.rollouts.of(graph_id), declared, graph_id, thread_id, requested)

    def choices(self) -> dict[str, VersionChoice]:
        """By graph, how a run on a thread that has a version gets its own."""
        return {graph_id: self._choice_of(graph_id, "", Requested({}, {})) for graph_id in self.graphs.names()}

    def _check_switch(self, spec: RunSpec) -> None:
        """A run that is created before this process learns that its graph was switched off is paused when a worker
        claims it."""
        if (switch := self.switches.off.graph(spec.identity.graph_id)) is not None:
            raise GraphIsOff(f"no new runs are accepted: {switch}", switch=switch.public())

    async def _check_checkpoint(self, spec: RunSpec) -> None:
        """Raises `NotFound` if the requested checkpoint does not exist. LangGraph would start with an empty state."""
        thread_id, checkpoint = spec.identity.thread_id, spec.execution.options.checkpoint or {}
        if not checkpoint.get("checkpoint_id"):
            return
        behaviour = spec.behaviour
        await self.threads.check_access(thread_id, behaviour.access_filter, may_be_new=behaviour.create_thread)
        config: RunnableConfig = {"configurable": {"checkpoint_ns": "", **checkpoint, "thread_id": thread_id}}
        if await self.checkpointer.aget_tuple(config) is None:
            raise NotFound("checkpoint", checkpoint["checkpoint_id"])
