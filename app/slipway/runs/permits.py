"""Whether a run may be made, by whatever door: a request, a command of the event protocol, a cron, a batch.

One operation is one permission. What a run does beside being a run is asked for as that:

| what it does | asked for |
|---|---|
| it executes a graph on a thread | `threads:create_run` |
| it uses an assistant that is not a graph's own | `assistants:read` |
| it makes a thread that stays (`if_not_exists`, a stateless one with `on_completion: "keep"`) | `threads:create` |
| it cancels what the thread is busy with (`multitask_strategy`) | `threads:update` |
| it shows the thread's values (the caller waits or streams, or names a webhook) | `threads:read` |

A stateless run whose thread goes with it makes none that anybody could use: no other run is taken on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal, cast
from uuid import UUID

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.assistants import AssistantsRead
from slipway.access.handler_values.runs import RunsCreate
from slipway.access.handler_values.threads import BusyThreadCancel, RunSelection, ThreadCreateForRun, ThreadsRead
from slipway.access.permissions import Permissions, require_match
from slipway.errors import NotFound
from slipway.runs.handler_changes import left_run
from slipway.runs.record import NewRun, Run
from slipway.services import Services

_CANCELS: Final = frozenset({"interrupt", "rollback"})
"""Strategies that cancel the thread's earlier runs, named as the action that they take."""


async def permitted_run(
    services: Services, permissions: Permissions, new: NewRun, *, stateless: bool = False, reads: bool = False
) -> NewRun:
    """The run as the authorize handlers leave it; `reads` says that the caller gets to see what it makes of the thread.
    Its assistant was permitted before (`permit_use`). `NotFound` for a hidden thread, unless that is found out when the
    run is made. Raises `AccessRefused` and `AuthBroken`."""
    if permissions.auth is None:
        permissions.mark_authorized("threads:create_run")
        await _readable(permissions, new, reads)
        return new
    if_not_exists: Literal["create", "reject"] = "create" if new.create_thread else "reject"
    before = _value_of(new, if_not_exists, new.after_s)
    value, only = await permissions.authorize(before)
    asked = new if value == before else left_run(services, new, before, value)
    readable = await _readable(permissions, asked, reads)
    # the filter is looked at in the moment that makes the run
    asked = replace(asked, only=MATCH_ALL if stateless else only & readable)
    if asked.temporary:
        _must_not_be_anothers(only, asked)
        return asked
    if stateless:
        return await _with_thread(permissions, asked, only, may_exist=False)
    if not asked.create_thread and asked.multitask_strategy not in _CANCELS:
        return asked
    status = await services.threads.status(new.thread_id, asked.only)
    if status is None:
        if not asked.create_thread:
            raise NotFound("thread", new.thread_id)
        return await _with_thread(permissions, asked, only, may_exist=True)
    return await _with_cancels(services, permissions, replace(asked, create_thread=False), status)


def _value_of(run: NewRun | Run, if_not_exists: Literal["create", "reject"], after_s: int) -> RunsCreate:
    return RunsCreate.model_construct(
        assistant_id=UUID(run.assistant_id),
        thread_id=UUID(run.thread_id),
        run_id=UUID(run.run_id),
        metadata=run.metadata,
        prevent_insert_if_inflight=run.multitask_strategy == "reject",
        multitask_strategy=cast("Any", run.multitask_strategy),
        if_not_exists=if_not_exists,
        after_seconds=after_s,
        kwargs=run.options,
    )


async def _readable(permissions: Permissions, run: NewRun | Run, reads: bool) -> AccessFilter:
    """Which threads the caller may read, where the run shows its thread to the caller."""
    if not reads and run.options.webhook is None:
        return MATCH_ALL
    _, only = await permissions.authorize(ThreadsRead.model_construct(thread_id=UUID(run.thread_id)))
    return only


async def _with_thread(permissions: Permissions, new: NewRun, only: AccessFilter, *, may_exist: bool) -> NewRun:
    """The run with leave to make its thread, if it wants to; and what the thread's metadata is to be then."""
    if not new.create_thread:
        return new
    wanted = ThreadCreateForRun.model_construct(
        thread_id=UUID(new.thread_id), metadata=new.metadata, if_exists="do_nothing" if may_exist else "raise"
    )
    value, creatable = await permissions.authorize(wanted)
    made = value.metadata | {"graph_id": new.graph_id, "assistant_id": new.assistant_id}
    require_match(creatable, made, "threads:create")
    require_match(only, made, "threads:create_run")
    return replace(new, thread_metadata=value.metadata)


def _must_not_be_anothers(only: AccessFilter, new: NewRun) -> None:
    """A thread that lives as long as its run needs no owner; but it is not made in somebody else's name."""
    if only.member_names() & new.metadata.keys():
        require_match(only, new.metadata, "threads:create_run")


async def _with_cancels(services: Services, permissions: Permissions, new: NewRun, status: str) -> NewRun:
    """The run with leave to cancel what its thread is busy with, if that is its strategy."""
    if new.multitask_strategy not in _CANCELS:
        return new
    if status != "busy":
        return replace(new, may_cancel=False)
    which = RunSelection.model_construct(run_ids=None, status="all")
    value = BusyThreadCancel.model_construct(
        thread_id=UUID(new.thread_id), action=cast("Any", new.multitask_strategy), metadata=which
    )
    _, updatable = await permissions.authorize(value)
    await services.threads.check_access(new.thread_id, updatable)
    return new


async def check_still_permitted(services: Services, permissions: Permissions, run: Run) -> None:
    """Ask again for a run that was made a while ago. What the handlers write is not taken over: it is made. Raises
    `NotFound`, `AccessRefused` and `AuthBroken`."""
    await permit_use(services, permissions, run.assistant_id)
    _, only = await permissions.authorize(_value_of(run, "reject", 0))
    only &= await _readable(permissions, run, reads=False)
    if not run.options.temporary:
        await services.threads.check_access(run.thread_id, only)


async def permit_use(services: Services, permissions: Permissions, id_or_name: str) -> None:
    """Ask whether an assistant may be run, before anything is read of it; everybody may run those that the graphs have
    from the start. `NotFound`; `InvalidRequest` for a text that is neither an id nor a graph's name."""
    assistants = services.assistants
    assistant_id = assistants.resolve_id(id_or_name)
    if assistants.is_system(assistant_id):
        permissions.mark_authorized("assistants:read")
        return
    _, only = await permissions.authorize(AssistantsRead.model_construct(assistant_id=UUID(assistant_id)))
    await assistants.check_access(assistant_id, only)
