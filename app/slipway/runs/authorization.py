"""Authorizes new runs: for a request, an event command, a cron or a batch.

Each operation is authorized separately. A run that does more than execute needs further operations:

| what the run does | operation |
|---|---|
| it executes a graph on a thread | `threads:create_run` |
| it uses an assistant that is not a system assistant | `assistants:read` |
| it creates a thread that remains (`if_not_exists`, a stateless run with `on_completion: "keep"`) | `threads:create` |
| it cancels the active runs of its thread (`multitask_strategy`) | `threads:update` |
| it sends the values of its thread to the user (who waits, streams, or names a webhook) | `threads:read` |

A stateless run with a temporary thread needs no `threads:create`: no other run is accepted on that thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, cast
from uuid import UUID

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.assistants import AssistantsRead
from slipway.access.handler_values.base import Action
from slipway.access.handler_values.runs import RunsCreate
from slipway.access.handler_values.threads import BusyThreadCancel, RunSelection, ThreadCreateForRun, ThreadsRead
from slipway.access.permissions import Permissions, require_match
from slipway.assistants.all_assistants import AllAssistants
from slipway.errors import NotFound
from slipway.graphs.interface import Graphs
from slipway.protocol_types import MultitaskStrategy
from slipway.run_options import RunOptions
from slipway.runs.handler_changes import changed_by_handler
from slipway.runs.record import Run, RunSpec
from slipway.settings import Settings

_CANCELS: Final = frozenset({"interrupt", "rollback"})
"""Strategies that cancel the active runs of the thread. They have the names of the cancel actions."""


class ThreadAccess(Protocol):
    """The part of the thread store that authorization needs."""

    async def status(self, thread_id: str, access_filter: AccessFilter, /) -> str | None:
        """None if the thread does not exist. Raises `NotFound` if it does not match the filter."""

    async def check_access(self, thread_id: str, access_filter: AccessFilter, /, *, may_be_new: bool = False) -> None:
        """Raises `NotFound` if the thread does not match the filter."""


@dataclass(frozen=True, slots=True)
class RunAuthorizer:
    """Authorizes runs. Every method raises `AccessRefused` if the user is not authorized, `AuthBroken` if the auth file
    failed, and `NotFound` for an assistant or a thread that does not match the access filter."""

    settings: Settings
    graphs: Graphs
    assistants: AllAssistants
    threads: ThreadAccess
    check_webhook: Callable[[str | None], None]

    async def authorize(
        self, permissions: Permissions, spec: RunSpec, *, stateless: bool = False, reads: bool = False
    ) -> RunSpec:
        """The run with the changes of the authorize handlers and with the access filter of its thread. `reads`: the
        user receives the values that the run writes to the thread. The assistant must have been authorized before, by
        `authorize_assistant`. Whether the thread matches the filter may be checked only when the run is created."""
        if permissions.auth is None:
            permissions.mark_authorized("threads:create_run")
            await self._authorize_read(permissions, spec.identity.thread_id, spec.execution.options, reads)
            return spec
        before = _handler_value(spec)
        value, create_filter = await permissions.authorize(before)
        if value != before:
            graph = self.graphs.spec(spec.identity.graph_id)
            spec = changed_by_handler(spec, before, value, graph, self.settings, self.check_webhook)
        identity, options = spec.identity, spec.execution.options
        read_filter = await self._authorize_read(permissions, identity.thread_id, options, reads)
        access_filter = MATCH_ALL if stateless else create_filter & read_filter
        # the script that creates the run evaluates the filter
        spec = replace(spec, behaviour=replace(spec.behaviour, access_filter=access_filter))
        if options.temporary:
            _check_owner(create_filter, spec)
            return spec
        if stateless:
            return await self._with_thread(permissions, spec, create_filter, may_exist=False)
        return await self._on_thread(permissions, spec, create_filter)

    async def _on_thread(self, permissions: Permissions, spec: RunSpec, create_filter: AccessFilter) -> RunSpec:
        thread_id, behaviour = spec.identity.thread_id, spec.behaviour
        if not behaviour.create_thread and behaviour.multitask_strategy not in _CANCELS:
            return spec
        status = await self.threads.status(thread_id, behaviour.access_filter)
        if status is not None:
            existing = replace(spec, behaviour=replace(behaviour, create_thread=False))
            return await self._with_cancels(permissions, existing, status)
        if not behaviour.create_thread:
            raise NotFound("thread", thread_id)
        return await self._with_thread(permissions, spec, create_filter, may_exist=True)

    async def _authorize_read(
        self, permissions: Permissions, thread_id: str, options: RunOptions, reads: bool
    ) -> AccessFilter:
        """The filter of the threads that the user may read, if the run sends the values of its thread to the user."""
        if not reads and options.webhook is None:
            return MATCH_ALL
        if permissions.auth is None:
            permissions.mark_authorized(ThreadsRead.OPERATION)
            return MATCH_ALL
        _, access_filter = await permissions.authorize(ThreadsRead.model_construct(thread_id=UUID(thread_id)))
        return access_filter

    async def _with_thread(
        self, permissions: Permissions, spec: RunSpec, create_filter: AccessFilter, *, may_exist: bool
    ) -> RunSpec:
        """The run with the metadata of the thread that is created for it, if it creates one."""
        identity = spec.identity
        if not spec.behaviour.create_thread:
            return spec
        request_value = ThreadCreateForRun.model_construct(
            thread_id=UUID(identity.thread_id),
            metadata=identity.metadata,
            if_exists="do_nothing" if may_exist else "raise",
        )
        value, thread_filter = await permissions.authorize(request_value)
        metadata = value.metadata | {"graph_id": identity.graph_id, "assistant_id": identity.assistant_id}
        require_match(thread_filter, metadata, "threads:create")
        require_match(create_filter, metadata, "threads:create_run")
        return replace(spec, behaviour=replace(spec.behaviour, thread_metadata=value.metadata))

    async def _with_cancels(self, permissions: Permissions, spec: RunSpec, status: str) -> RunSpec:
        """The run with the authorization to cancel the active runs of its thread, if its strategy cancels runs. On a
        thread that is not busy, nothing is authorized, and the run must not cancel a run that starts in between."""
        thread_id, strategy = spec.identity.thread_id, spec.behaviour.multitask_strategy
        if strategy not in _CANCELS:
            return spec
        if status != "busy":
            return replace(spec, behaviour=replace(spec.behaviour, may_cancel=False))
        selection = RunSelection.model_construct(run_ids=None, status="all")
        value = BusyThreadCancel.model_construct(
            thread_id=UUID(thread_id), action=cast("Action", strategy), metadata=selection
        )
        _, cancel_filter = await permissions.authorize(value)
        await self.threads.check_access(thread_id, cancel_filter)
        return spec

    async def check_again(self, permissions: Permissions, run: Run) -> None:
        """Authorizes a stored run that waits. Changes by the handlers are ignored, because the run is already
        stored."""
        await self.authorize_assistant(permissions, run.assistant_id)
        _, access_filter = await permissions.authorize(_value_of_stored(run))
        access_filter &= await self._authorize_read(permissions, run.thread_id, run.options, reads=False)
        if not run.options.temporary:
            await self.threads.check_access(run.thread_id, access_filter)

    async def authorize_assistant(self, permissions: Permissions, id_or_name: str) -> None:
        """Authorizes the use of an assistant, before the assistant is read. System assistants need no authorization.
        Raises `InvalidRequest` for a text that is neither an id nor the name of a graph."""
        assistant_id = self.assistants.resolve_id(id_or_name)
        if self.assistants.is_system(assistant_id):
            permissions.mark_authorized("assistants:read")
            return
        _, access_filter = await permissions.authorize(AssistantsRead.model_construct(assistant_id=UUID(assistant_id)))
        await self.assistants.check_access(assistant_id, access_filter)


def _handler_value(spec: RunSpec) -> RunsCreate:
    identity, behaviour = spec.identity, spec.behaviour
    return RunsCreate.model_construct(
        assistant_id=UUID(identity.assistant_id),
        thread_id=UUID(identity.thread_id),
        run_id=UUID(identity.run_id),
        metadata=identity.metadata,
        prevent_insert_if_inflight=behaviour.multitask_strategy == "reject",
        multitask_strategy=behaviour.multitask_strategy,
        if_not_exists="create" if behaviour.create_thread else "reject",
        after_seconds=behaviour.after_s,
        kwargs=spec.execution.options,
    )


def _value_of_stored(run: Run) -> RunsCreate:
    if_not_exists: Literal["create", "reject"] = "reject"
    return RunsCreate.model_construct(
        assistant_id=UUID(run.assistant_id),
        thread_id=UUID(run.thread_id),
        run_id=UUID(run.run_id),
        metadata=run.metadata,
        prevent_insert_if_inflight=run.multitask_strategy == "reject",
        multitask_strategy=cast("MultitaskStrategy", run.multitask_strategy),
        if_not_exists=if_not_exists,
        after_seconds=0,
        kwargs=run.options,
    )


def _check_owner(create_filter: AccessFilter, spec: RunSpec) -> None:
    """A temporary thread needs no owner. But if its metadata names an owner, the filter must match that owner."""
    if create_filter.member_names() & spec.identity.metadata.keys():
        require_match(create_filter, spec.identity.metadata, "threads:create_run")
