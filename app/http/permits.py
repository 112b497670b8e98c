"""Asking the auth file in the shapes that its handlers know, and taking back what they changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.responses import Response

from app.access.filters import EVERYTHING, Filter
from app.access.permissions import Operation
from app.errors import AccessRefused, AuthBroken, NotFound
from app.http.access import gate_of, permit
from app.http.answers import nothing
from app.http.wiring import services_of
from app.run_permits import permit_use as permit_use_of
from app.run_permits import permitted_run
from app.runs.runs import NewRun, Run, new_id
from app.stored_assistants import Assistant


async def permit_thread(
    connection: HTTPConnection, operation: Operation, thread_id: str, **told: Any
) -> dict[str, Any]:
    """Ask for an operation on a thread: what the handler left of its value. `NotFound` when the thread is not among
    those that the caller may do this to."""
    value = {"thread_id": UUID(thread_id), **told}
    only = await permit(connection, operation, value)
    await services_of(connection).threads.check(thread_id, only)
    return value


async def readable_run(connection: HTTPConnection, run_id: str) -> Run:
    """The run with this id, if the caller may read its thread; else `NotFound`, which names the run alone. A run that
    does not exist takes the same way as a hidden one: the handler is asked, and a thread is looked for."""
    runs = services_of(connection).runs
    thread_id = await runs.thread_of(run_id) or new_id()
    try:
        await permit_thread(connection, "threads:read", thread_id, run_id=UUID(run_id))
        return await runs.get(thread_id, run_id)
    except NotFound:
        raise NotFound("run", run_id) from None


async def permit_assistant(
    connection: HTTPConnection, operation: Operation, id_or_name: str, **told: Any
) -> tuple[Assistant, dict[str, Any]]:
    """Ask for an operation on an assistant: the assistant, and what the handler left of its value. `NotFound` when it
    is hidden or does not exist; both take the same way here."""
    assistants = services_of(connection).assistants
    value = {"assistant_id": UUID(assistants.id_of(id_or_name)), **told}
    only = await permit(connection, operation, value)
    return await assistants.get(id_or_name, only), value


async def permit_run(
    connection: HTTPConnection, new: NewRun, *, stateless: bool = False, reads: bool = False
) -> NewRun:
    """Ask for a run, and for what else it does: the run as the handlers leave it (`run_permits`)."""
    return await permitted_run(services_of(connection), gate_of(connection), new, stateless=stateless, reads=reads)


async def permit_use(connection: HTTPConnection, id_or_name: str) -> None:
    """Ask whether an assistant may be run, before anything is read of it (`run_permits`)."""
    await permit_use_of(services_of(connection), gate_of(connection), id_or_name)


async def shown_if_readable(
    connection: HTTPConnection,
    operation: Operation,
    value: dict[str, Any],
    metadata: Mapping[str, Any],
    answer: Callable[[], Response],
) -> Response:
    """The answer to a change of a record, which shows the record: `answer`, or one without a body for who may change
    it and not read it."""
    try:
        only = await permit(connection, operation, value)
    except AccessRefused:
        return nothing()
    return answer() if only.fits(metadata) else nothing()


def told_namespace(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The namespace that a handler left in `value`: where the store is asked."""
    namespace = value.get("namespace") or ()
    fine = isinstance(namespace, list | tuple) and all(
        isinstance(label, str) and label and "." not in label and "\0" not in label for label in namespace
    )
    if not fine:
        raise AuthBroken(f"an authorize handler left the namespace {namespace!r}: labels are strings without a dot")
    return tuple(namespace)


def seen(*filters: Filter) -> Filter:
    """What all of them let through."""
    found = EVERYTHING
    for each in filters:
        found &= each
    return found
