"""Routes of the state of a thread: reading, writing and history."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.handler_values.threads import StateWrite, ThreadsUpdate
from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import authorize_read, authorize_thread, read_value, response_if_readable
from slipway.api.bodies.state_select import StateSelect
from slipway.api.bodies.thread_state import HistoryBody, StateReadBody, StateWriteBody
from slipway.api.bodies.threads import ThreadConfigBody
from slipway.api.endpoints import Endpoint, Query, bool_param, int_param, list_param
from slipway.api.request_parsing import parsed, path_id, query_flag, query_names, query_number, read_body, validated
from slipway.api.responses import JsonResponse, large_response
from slipway.api.shared_objects import services_of
from slipway.threads.protocol_state import CheckpointRef

_SUBGRAPHS: Final = bool_param("subgraphs", "Include the states of subgraphs in their tasks")
_SELECT: Final = list_param("select", "Fields of the response; values.<channel> selects one channel")


async def latest(request: Request) -> Response:
    """The current state."""
    return await _read(request, {}, query_flag(request, "subgraphs"), query_names(request, "select"))


async def at_checkpoint_id(request: Request) -> Response:
    """The state at a checkpoint of the root graph."""
    checkpoint: CheckpointRef = {"checkpoint_id": request.path_params["checkpoint_id"]}
    return await _read(request, checkpoint, query_flag(request, "subgraphs"), query_names(request, "select"))


async def at_checkpoint(request: Request) -> Response:
    """The state at a checkpoint of the root graph or a subgraph."""
    body = await read_body(request, StateReadBody)
    return await _read(request, body.checkpoint.public(), body.subgraphs, body.select)


async def _read(request: Request, checkpoint: CheckpointRef, subgraphs: bool, select: list[str]) -> Response:
    thread_id, selection = path_id(request, "thread_id"), StateSelect(select)
    await authorize_read(request, thread_id)
    state = await services_of(request).states.get(thread_id, checkpoint, subgraphs=subgraphs, user=user_of(request))
    return await large_response(selection.select(state))


async def write(request: Request) -> Response:
    """Writes a state after the latest checkpoint, or after the checkpoint that the body names."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, StateWriteBody)
    await authorize_thread(request, StateWrite.model_construct(thread_id=UUID(thread_id)))
    checkpoint_ref = await services_of(request).states.update(
        thread_id, body.values, as_node=body.as_node, checkpoint=body.start_checkpoint, user=user_of(request)
    )
    return JsonResponse(
        {
            "checkpoint": checkpoint_ref,
            "configurable": checkpoint_ref,
            "checkpoint_id": checkpoint_ref.get("checkpoint_id"),
        }
    )


async def merge(request: Request) -> Response:
    """Merges metadata into the thread. Only old clients use this route."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadConfigBody)
    changes = ThreadsUpdate.model_construct(thread_id=UUID(thread_id), metadata=body.metadata)
    value = await authorize_thread(request, changes)
    thread = await services_of(request).threads.patch(thread_id, value.metadata)
    return await response_if_readable(request, read_value(thread_id), thread)


async def history(request: Request) -> Response:
    """The history, newest state first."""
    return await _history(request, await read_body(request, HistoryBody))


async def history_by_query(request: Request) -> Response:
    """The history, selected by query parameters."""
    before = request.query_params.get("before")
    body = {
        "limit": query_number(request, "limit", 10, 1, 1000),
        "before": parsed(before.encode()) if before and before.startswith("{") else before,
        "select": query_names(request, "select"),
    }
    return await _history(request, validated(HistoryBody, body))


async def _history(request: Request, body: HistoryBody) -> Response:
    thread_id, selection = path_id(request, "thread_id"), StateSelect(body.select)
    await authorize_read(request, thread_id)
    states = await services_of(request).states.history(
        thread_id,
        limit=body.limit,
        before=body.before,
        metadata=body.metadata,
        checkpoint=body.checkpoint.public() if body.checkpoint else {},
        user=user_of(request),
    )
    return await large_response([selection.select(state) for state in states])


_STATE: Final = "/threads/{thread_id}/state"
_HISTORY: Final = "/threads/{thread_id}/history"

ENDPOINTS: Final = (
    Endpoint("GET", _STATE, latest, "Read the current state", requires("threads:read"), query=(_SUBGRAPHS, _SELECT)),
    Endpoint(
        "POST",
        _STATE,
        write,
        "Write a state, or fork from a checkpoint",
        requires("threads:update"),
        body=StateWriteBody,
        stores=True,
    ),
    Endpoint(
        "PATCH",
        _STATE,
        merge,
        "Merge metadata into a thread",
        requires("threads:update", "threads:read"),
        body=ThreadConfigBody,
        status_without_body=204,
        stores=True,
    ),
    Endpoint(
        "POST",
        f"{_STATE}/checkpoint",
        at_checkpoint,
        "Read the state at a checkpoint",
        requires("threads:read"),
        body=StateReadBody,
    ),
    Endpoint(
        "GET",
        f"{_STATE}/{{checkpoint_id}}",
        at_checkpoint_id,
        "Read the state at a checkpoint id",
        requires("threads:read"),
        query=(_SUBGRAPHS, _SELECT),
    ),
    Endpoint(
        "POST", _HISTORY, history, "Read the history, newest state first", requires("threads:read"), body=HistoryBody
    ),
    Endpoint(
        "GET",
        _HISTORY,
        history_by_query,
        "Read the history, newest state first",
        requires("threads:read"),
        query=(int_param("limit", 10, 1, 1000), Query("before", {"type": "string"}, "A checkpoint id"), _SELECT),
    ),
)
