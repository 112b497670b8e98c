"""Asking the auth file in the shapes that its handlers know, and taking back what they changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection

from app.access.filters import EVERYTHING, Filter
from app.assistants import system_id
from app.errors import AuthBroken, NotFound
from app.http.access import Operation, gate_of, permit
from app.http.wiring import services_of
from app.run_making import groups_of
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


async def permit_run(connection: HTTPConnection, new: NewRun, *, stateless: bool = False) -> NewRun:
    """Ask for a run: the run as the handlers leave it. `NotFound` when its assistant is hidden; a hidden thread is
    found out when the run is made."""
    await permit_use(connection, new.assistant_id, new.graph_id, new.assistant_metadata)
    value: dict[str, Any] = {
        "assistant_id": UUID(new.assistant_id),
        "thread_id": UUID(new.thread_id),
        "run_id": UUID(new.run_id),
        "status": "pending",
        "metadata": dict(new.metadata),
        "kwargs": new.kwargs,
        "multitask_strategy": new.multitask_strategy,
        "prevent_insert_if_inflight": new.multitask_strategy == "reject",
        "if_not_exists": "create" if new.create_thread else "reject",
        "after_seconds": new.after_s,
    }
    only = await permit(connection, "threads:create_run", value)
    if gate_of(connection).auth is None:
        return new
    metadata = told_metadata(value)
    services = services_of(connection)
    return replace(
        new,
        metadata=metadata,
        kwargs=_object(value, "kwargs"),
        multitask_strategy=value["multitask_strategy"],
        create_thread=value["if_not_exists"] == "create",
        after_s=int(value["after_seconds"]),
        groups=groups_of(services.settings, services.graphs.spec(new.graph_id), metadata),
        only=EVERYTHING if stateless else only,  # looked at in the moment that makes the run
    )


async def permit_use(connection: HTTPConnection, assistant_id: str, graph_id: str, metadata: Mapping[str, Any]) -> None:
    """Ask whether an assistant may be run; everybody may run those that the graphs have from the start. `NotFound`."""
    if assistant_id == system_id(graph_id):
        gate_of(connection).note("assistants:read")
        return
    only = await permit(connection, "assistants:read", {"assistant_id": UUID(assistant_id), "metadata": {}})
    if not only.fits(metadata):
        raise NotFound("assistant", assistant_id, services_of(connection).graphs.names())


def told_metadata(value: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that a handler left in `value`: what is stored."""
    return _object(value, "metadata")


def told_namespace(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The namespace that a handler left in `value`: where the store is asked."""
    namespace = value.get("namespace") or ()
    fine = isinstance(namespace, list | tuple) and all(
        isinstance(label, str) and label and "." not in label and "\0" not in label for label in namespace
    )
    if not fine:
        raise AuthBroken(f"an authorize handler left the namespace {namespace!r}: labels are strings without a dot")
    return tuple(namespace)


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise AuthBroken(f"an authorize handler left {name} as {type(found).__name__}; it must be an object")
    return found


def seen(*filters: Filter) -> Filter:
    """What all of them let through."""
    found = EVERYTHING
    for each in filters:
        found &= each
    return found
