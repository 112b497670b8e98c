"""Asking the auth file in the shapes that its handlers know, and taking back what they changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.responses import Response

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.assistants import (
    AssistantsDelete,
    AssistantsRead,
    AssistantsSetVersion,
    AssistantsUpdate,
)
from slipway.access.handler_values.base import HandlerValue
from slipway.access.handler_values.threads import (
    RunCancel,
    RunSelection,
    StateWrite,
    ThreadsDelete,
    ThreadsRead,
    ThreadsSearch,
    ThreadsUpdate,
)
from slipway.api.auth.access_check import access_check_of, authorize
from slipway.api.lifespan_state import services_of
from slipway.api.responses import empty_response
from slipway.assistants.record import Assistant
from slipway.errors import AccessRefused, NotFound
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Run, new_id
from slipway.threads.search import ThreadQuery

_OfThread = TypeVar("_OfThread", ThreadsRead, ThreadsUpdate, StateWrite, ThreadsDelete, RunCancel)
_OfAssistant = TypeVar("_OfAssistant", AssistantsRead, AssistantsUpdate, AssistantsSetVersion, AssistantsDelete)


async def authorize_thread(connection: HTTPConnection, value: _OfThread) -> _OfThread:
    """Ask for an operation on a thread: the value as the handler leaves it. `NotFound` when the thread is not among
    those that the caller may do this to."""
    left, only = await authorize(connection, value)
    await services_of(connection).threads.check_access(str(left.thread_id), only)
    return left


async def authorize_read(connection: HTTPConnection, thread_id: str, run_id: str | None = None) -> None:
    """Ask to read a thread, or a run of it. `NotFound` when the thread is hidden."""
    await authorize_thread(connection, read_value(thread_id, run_id))


async def authorize_delete(connection: HTTPConnection, thread_id: str, run_id: str | None = None) -> None:
    """Ask to delete a thread, or a run of it. `NotFound` when the thread is hidden."""
    run = None if run_id is None else UUID(run_id)
    value = ThreadsDelete.model_construct(thread_id=UUID(thread_id), run_id=run)
    await authorize_thread(connection, value)


async def authorize_cancel(connection: HTTPConnection, thread_id: str, run_id: str, action: Action) -> Action:
    """Ask to cancel a run: the action as the handler leaves it. `NotFound` when the thread is hidden."""
    return Action((await authorize_thread(connection, cancel_value(thread_id, run_id, action))).action)


def cancel_value(thread_id: str, run_id: str, action: Action) -> RunCancel:
    """What is asked for by whoever wants to cancel a run."""
    which = RunSelection.model_construct(run_ids=[UUID(run_id)], status=None)
    return RunCancel.model_construct(thread_id=UUID(thread_id), action=action.value, metadata=which)


def read_value(thread_id: str, run_id: str | None = None) -> ThreadsRead:
    """What is asked for by whoever wants to read a thread, or a run of it."""
    return ThreadsRead.model_construct(thread_id=UUID(thread_id), run_id=None if run_id is None else UUID(run_id))


async def readable_run(connection: HTTPConnection, run_id: str) -> Run:
    """The run with this id, if the caller may read its thread; else `NotFound`, which names the run alone. A run that
    does not exist takes the same way as a hidden one: the handler is asked, and a thread is looked for."""
    runs = services_of(connection).runs
    thread_id = await runs.thread_of(run_id) or new_id()
    try:
        await authorize_read(connection, thread_id, run_id)
        return await runs.get(thread_id, run_id)
    except NotFound:
        raise NotFound("run", run_id) from None


def assistant_id_of(connection: HTTPConnection, id_or_name: str) -> UUID:
    """The id of the assistant that is meant. `InvalidRequest` for a text that is neither an id nor a graph's name."""
    return UUID(services_of(connection).assistants.resolve_id(id_or_name))


async def authorize_assistant(connection: HTTPConnection, value: _OfAssistant) -> tuple[Assistant, _OfAssistant]:
    """Ask for an operation on an assistant: the assistant, and the value as the handler leaves it. `NotFound` when it
    is hidden or does not exist; both take the same way here."""
    left, only = await authorize(connection, value)
    return await services_of(connection).assistants.get(str(left.assistant_id), only), left


async def read_assistant(connection: HTTPConnection, id_or_name: str) -> Assistant:
    """The assistant, if the caller may read it; else `NotFound`."""
    assistant_id = assistant_id_of(connection, id_or_name)
    assistant, _ = await authorize_assistant(connection, AssistantsRead.model_construct(assistant_id=assistant_id))
    return assistant


async def authorize_assistant_use(connection: HTTPConnection, id_or_name: str) -> None:
    """Ask whether an assistant may be run, before anything is read of it (`run_permits`)."""
    await services_of(connection).submission.authorizer.authorize_assistant(access_check_of(connection), id_or_name)


async def body_if_readable(
    connection: HTTPConnection,
    value: HandlerValue,
    metadata: Mapping[str, Any],
    answer: Callable[[], Response],
) -> Response:
    """The answer to a change of a record, which shows the record: `answer`, or one without a body for who may change
    it and not read it."""
    try:
        _, only = await authorize(connection, value)
    except AccessRefused:
        return empty_response()
    return answer() if only.matches(metadata) else empty_response()


def combine_filters(*filters: AccessFilter) -> AccessFilter:
    """What all of them let through."""
    found = MATCH_ALL
    for each in filters:
        found &= each
    return found


def thread_query(value: ThreadsSearch, only: AccessFilter) -> ThreadQuery:
    """What is searched for, as the authorize handler left it."""
    ids = None if value.ids is None else {str(ident) for ident in value.ids}
    if value.thread_id is not None:
        thread_id = str(value.thread_id)
        ids = {thread_id} if ids is None or thread_id in ids else set()
    return ThreadQuery(
        ids=ids, metadata=value.metadata or None, values=value.values or None, status=value.status, access_filter=only
    )
