"""Authorizes operations on threads, runs and assistants.

For a record that does not match the access filter, these functions raise the same `NotFound` as for a record that does
not exist, and call the auth file and Redis in the same way before. So neither the error nor its delay reveals that the
record exists. `AccessRefused` and `AuthBroken` can be raised by every function here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.responses import Response

from slipway.access.filters import AccessFilter
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
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.shared_objects import services_of
from slipway.assistants.record import Assistant
from slipway.errors import AccessRefused, NotFound
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Run, new_id
from slipway.threads.search import ThreadQuery

_OfThread = TypeVar("_OfThread", ThreadsRead, ThreadsUpdate, StateWrite, ThreadsDelete, RunCancel)
_OfAssistant = TypeVar("_OfAssistant", AssistantsRead, AssistantsUpdate, AssistantsSetVersion, AssistantsDelete)


class PublicRecord(Protocol):
    """A stored record that responses show."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata that access filters check."""

    def public(self) -> dict[str, Any]:
        """The protocol's object."""


async def authorize_thread(connection: HTTPConnection, value: _OfThread) -> _OfThread:
    """Authorizes an operation on a thread. Returns the value with the changes of the handler. Raises `NotFound`."""
    changed, access_filter = await authorize(connection, value)
    await services_of(connection).threads.check_access(str(changed.thread_id), access_filter)
    return changed


async def authorize_read(connection: HTTPConnection, thread_id: str, run_id: str | None = None) -> None:
    """Authorizes reading a thread or one of its runs. Raises `NotFound`."""
    await authorize_thread(connection, read_value(thread_id, run_id))


async def authorize_delete(connection: HTTPConnection, thread_id: str, run_id: str | None = None) -> None:
    """Authorizes deleting a thread or one of its runs. Raises `NotFound`."""
    run = None if run_id is None else UUID(run_id)
    value = ThreadsDelete.model_construct(thread_id=UUID(thread_id), run_id=run)
    await authorize_thread(connection, value)


async def authorize_cancel(connection: HTTPConnection, thread_id: str, run_id: str, action: Action) -> Action:
    """Authorizes cancelling a run. Returns the action, which the handler can change. Raises `NotFound`."""
    return Action((await authorize_thread(connection, cancel_value(thread_id, run_id, action))).action)


def cancel_value(thread_id: str, run_id: str, action: Action) -> RunCancel:
    """The handler value for cancelling a run."""
    selection = RunSelection.model_construct(run_ids=[UUID(run_id)], status=None)
    return RunCancel.model_construct(thread_id=UUID(thread_id), action=action.value, metadata=selection)


def read_value(thread_id: str, run_id: str | None = None) -> ThreadsRead:
    """The handler value for reading a thread or one of its runs."""
    return ThreadsRead.model_construct(thread_id=UUID(thread_id), run_id=None if run_id is None else UUID(run_id))


async def readable_run(connection: HTTPConnection, run_id: str) -> Run:
    """The run with this id, if the user can read its thread. Raises `NotFound` for the run.

    For a run that does not exist, the handler is called with a random thread id, so that both cases take the same
    time."""
    runs = services_of(connection).runs
    thread_id = await runs.thread_of(run_id) or new_id()
    try:
        await authorize_read(connection, thread_id, run_id)
        return await runs.get(thread_id, run_id)
    except NotFound:
        raise NotFound("run", run_id) from None


def assistant_id_of(connection: HTTPConnection, id_or_name: str) -> UUID:
    """The id of an assistant. Raises `InvalidRequest` for a text that is neither an id nor the id of a graph."""
    return UUID(services_of(connection).assistants.resolve_id(id_or_name))


async def authorize_assistant(connection: HTTPConnection, value: _OfAssistant) -> tuple[Assistant, _OfAssistant]:
    """Authorizes an operation on an assistant. Returns the assistant, and the value with the changes of the handler.
    Raises `NotFound`."""
    changed, access_filter = await authorize(connection, value)
    return await services_of(connection).assistants.get(str(changed.assistant_id), access_filter), changed


async def read_assistant(connection: HTTPConnection, id_or_name: str) -> Assistant:
    """The assistant, if the user can read it. Raises `NotFound`, and `InvalidRequest` as `assistant_id_of` does."""
    assistant_id = assistant_id_of(connection, id_or_name)
    assistant, _ = await authorize_assistant(connection, AssistantsRead.model_construct(assistant_id=assistant_id))
    return assistant


async def authorize_assistant_use(connection: HTTPConnection, id_or_name: str) -> None:
    """Authorizes creating runs of an assistant. Nothing of the assistant is read before (`runs.authorization`)."""
    await services_of(connection).submission.authorizer.authorize_assistant(access_check_of(connection), id_or_name)


async def response_if_readable(connection: HTTPConnection, value: HandlerValue, record: PublicRecord) -> Response:
    """The response after a change of `record`: the record if the user is authorized to read it, else 204 without a
    body. `value` is the handler value for reading it."""
    try:
        _, access_filter = await authorize(connection, value)
    except AccessRefused:
        return empty_response()
    return JsonResponse(record.public()) if access_filter.matches(record.metadata) else empty_response()


def thread_query(value: ThreadsSearch, access_filter: AccessFilter) -> ThreadQuery:
    """The query for an authorized search."""
    ids = None if value.ids is None else {str(thread_id) for thread_id in value.ids}
    if value.thread_id is not None:
        thread_id = str(value.thread_id)
        ids = {thread_id} if ids is None or thread_id in ids else set()
    return ThreadQuery(
        ids=ids,
        metadata=value.metadata or None,
        values=value.values or None,
        status=value.status,
        access_filter=access_filter,
    )
