"""Asking the auth file in the shapes that its handlers know, and taking back what they changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection

from app.access.filters import EVERYTHING, Filter
from app.access.permissions import Operation
from app.errors import AuthBroken, NotFound
from app.http.access import gate_of, permit
from app.http.wiring import services_of
from app.run_permits import permitted_run
from app.runs.runs import NewRun
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


async def permit_assistant(connection: HTTPConnection, operation: Operation, assistant: Assistant, **told: Any) -> Any:
    """Ask for an operation on an assistant: what the handler left of its value. `NotFound` when it is hidden."""
    value = {"assistant_id": UUID(assistant.assistant_id), **told}
    only = await permit(connection, operation, value)
    if not only.fits(assistant.metadata):
        raise NotFound("assistant", assistant.assistant_id, services_of(connection).graphs.names())
    return value


async def permit_run(
    connection: HTTPConnection, new: NewRun, *, stateless: bool = False, reads: bool = False
) -> NewRun:
    """Ask for a run, and for what else it does: the run as the handlers leave it (`run_permits`)."""
    return await permitted_run(services_of(connection), gate_of(connection), new, stateless=stateless, reads=reads)


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
