"""Commands of the event protocol: starting a run, answering interrupts, and how an agent stands.

They come as requests and over sockets, and are refused by an answer, not by a status: only what is wrong with the
server itself is an HTTP error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import orjson
from langgraph.checkpoint.serde.types import INTERRUPT
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from slipway.api.auth.access_check import access_check_of
from slipway.api.bodies.events import CommandFrame, RespondParams, StartParams, TreeParams
from slipway.api.bodies.runs import RunBody
from slipway.api.endpoints import Endpoint
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import checked_uuid, parsed, path_id, validated
from slipway.api.responses import JsonResponse
from slipway.api.run_submission import run_request_from_body
from slipway.api.streams.event_access import COMMANDS, may_read
from slipway.errors import (
    AccessRefused,
    AuthBroken,
    Conflict,
    InvalidRequest,
    NotFound,
    RefusedRequest,
    SlipwayError,
    Unavailable,
)
from slipway.event_protocol.agent_tree import AgentTree
from slipway.event_protocol.run_translator import MODES
from slipway.runs.record import Run
from slipway.runs.run_request import RunIds
from slipway.services import Services
from slipway.sse_frames import data_of, name_of
from slipway.threads.record import Thread

WAIT_FOR_INTERRUPT_S: Final = 5.0
"""How long an answer waits for the run that asks to be over."""

_STANDS: Final = {"busy": "running", "interrupted": "interrupted", "error": "failed", "idle": "completed"}
"""A thread, in the words of the protocol."""
_RUN_STANDS: Final = {
    "pending": "started",
    "running": "running",
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
    "interrupted": "interrupted",
}
"""A run, in the same words."""

Params = TypeVar("Params", bound=BaseModel)


class Refused(Exception):
    """A command that is answered with an error. `code` is one of the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a command came from, and the id of the run that it would make."""

    connection: HTTPConnection
    services: Services
    thread_id: str
    run_id: str


async def post(request: Request) -> Response:
    """One command."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    await may_read(request, thread_id)
    try:
        command = validated(CommandFrame, parsed(await request.body()))
    except InvalidRequest as error:
        return JsonResponse(refusal(None, "invalid_argument", str(error)) | {"detail": str(error)}, 400)
    asked = Asked(request, services, thread_id, await idempotent_id(request))
    return JsonResponse(await answered(asked, command))


async def answered(asked: Asked, command: CommandFrame) -> dict[str, Any]:
    """The answer to a command. Raises `Unavailable`, `AccessRefused` and `AuthBroken`."""
    perform = _METHODS.get(command.method)
    if perform is None:
        return refusal(command.id, "unknown_command", f"{command.method!r} is not one of {', '.join(sorted(_METHODS))}")
    try:
        before = await asked.services.protocol_log.applied_through(asked.thread_id)
        return success(command.id, await perform(asked, command.params), before)
    except Refused as error:
        return refusal(command.id, error.code, str(error))
    except (Unavailable, AccessRefused, AuthBroken):
        raise
    except SlipwayError as error:
        return refusal(command.id, _code_of(error), str(error))


def success(ident: int, result: dict[str, Any], applied_through: int) -> dict[str, Any]:
    """The answer to a command that was done."""
    return {"type": "success", "id": ident, "result": result, "meta": {"applied_through_seq": applied_through}}


def refusal(ident: int | None, code: str, message: str) -> dict[str, Any]:
    """The answer to a command that was not."""
    return {"type": "error", "id": ident, "error": code, "message": message}


def params_of(model: type[Params], params: dict[str, Any]) -> Params:
    """The parameters of a command, or `Refused`."""
    try:
        return validated(model, params)
    except InvalidRequest as error:
        raise Refused("invalid_argument", str(error)) from None


def _code_of(error: SlipwayError) -> str:
    if isinstance(error, InvalidRequest | RefusedRequest | NotFound):
        return "invalid_argument"
    return "unknown_error"


async def _start(asked: Asked, params: dict[str, Any]) -> dict[str, Any]:
    """A run with `input`, or with it as the answer where the thread waits for one."""
    start = params_of(StartParams, params)
    waiting = await _waiting(asked) if start.input is not None else {}
    answers = None
    if waiting:
        by_id = isinstance(start.input, dict) and start.input.keys() <= waiting.keys()
        answers = start.input if by_id or len(waiting) > 1 else {next(iter(waiting)): start.input}
    return await _run(asked, start.run(answers))


async def _waiting(asked: Asked) -> dict[str, Any]:
    """What the thread waits for: interrupt → value."""
    with suppress(NotFound):
        thread = await asked.services.threads.get(asked.thread_id)
        if thread.status == "busy":
            thread = await (_settled(asked) if await _has_asked(asked) else _known(asked))
        if thread.status == "interrupted":
            return _interrupts(thread)
    return {}


async def _has_asked(asked: Asked) -> bool:
    """Whether the active run of the thread has an interrupt that clients know already, although the run is not settled.
    Only the log says so: the record of the thread gets its interrupts when the run settles."""
    run_id = await asked.services.threads.active_run(asked.thread_id)
    if run_id is None:
        return False
    return any(map(_has_interrupts, await asked.services.scripts.last_frames(run_id)))


_INTERRUPT_KEY: Final = INTERRUPT.encode()


def _has_interrupts(frame: bytes) -> bool:
    if name_of(frame).partition("|")[0] not in ("updates", "values"):
        return False
    data = orjson.loads(data_of(frame)) if _INTERRUPT_KEY in frame else None
    return isinstance(data, dict) and isinstance(data.get(INTERRUPT), list)


def _interrupts(thread: Thread) -> dict[str, Any]:
    return {item["id"]: item["value"] for items in thread.interrupts.values() for item in items}


async def _respond(asked: Asked, params: dict[str, Any]) -> dict[str, Any]:
    """The run that takes the answers. The event that asks reaches clients before the run that asks has settled."""
    respond = params_of(RespondParams, params)
    thread = await _settled(asked)
    assistant_id = thread.metadata.get("assistant_id")
    if not isinstance(assistant_id, str):
        raise Refused("no_such_run", f"thread {asked.thread_id} has had no run that could ask")
    waiting = _interrupts(thread) if thread.status == "interrupted" else {}
    if unknown := [ident for ident in respond.answers if ident not in waiting]:
        if await _was_made(asked):
            return {"run_id": asked.run_id}
        raise Refused("no_such_interrupt", f"{unknown[0]!r} does not wait for an answer")
    try:
        return await _run(asked, respond.run(assistant_id))
    except Conflict as error:
        raise Refused("no_such_interrupt", str(error)) from error


async def _was_made(asked: Asked) -> bool:
    """Whether the same command came before, with the same idempotency key."""
    with suppress(NotFound):
        await asked.services.runs.find(asked.run_id)
        return True
    return False


async def _settled(asked: Asked) -> Thread:
    """The thread, once no run of it is active; after `WAIT_FOR_INTERRUPT_S` as it is then."""
    thread = await _known(asked)
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_FOR_INTERRUPT_S):
            while thread.status == "busy":
                run_id = await asked.services.threads.active_run(asked.thread_id)
                if run_id is not None:
                    async with aclosing(asked.services.events.follow(run_id, "$")) as batches:
                        async for _ in batches:
                            pass
                else:
                    await asyncio.sleep(_AGAIN_S)
                thread = await _known(asked)
    return thread


_AGAIN_S: Final = 0.05


async def _known(asked: Asked) -> Thread:
    try:
        return await asked.services.threads.get(asked.thread_id)
    except NotFound as error:
        raise Refused("no_such_run", str(error)) from None


async def _run(asked: Asked, body: dict[str, Any]) -> dict[str, Any]:
    """The run that `body` asks for, streaming all there is."""
    request = run_request_from_body(asked.connection, validated(RunBody, body), stateless=False)
    options = replace(request.options, stream_mode=list(MODES), subgraphs=True, resumable=True)
    ids = RunIds(run_id=asked.run_id, thread_id=asked.thread_id)
    submission, permissions = asked.services.submission, access_check_of(asked.connection)
    spec = await submission.prepare(replace(request, options=options), ids, permissions)
    run = await submission.submit(spec)
    return {"run_id": run.run_id}


async def _tree(asked: Asked, params: dict[str, Any]) -> dict[str, Any]:
    """How the thread's newest run stands, or the one that is named, with the graphs inside it."""
    wanted = params_of(TreeParams, params).run_id
    run = None if wanted is None else await _run_named(asked, wanted)
    tree = await _thread_as_tree(asked) if run is None else AgentTree(run.graph_id, _RUN_STANDS[run.status])
    run_id = None if run is None else run.run_id
    async with aclosing(asked.services.protocol_log.so_far(asked.thread_id, run_id)) as events:
        async for event in events:
            tree.take(event)
    return {"tree": tree.root}


async def _run_named(asked: Asked, run_id: str) -> Run:
    try:
        return await asked.services.runs.get(asked.thread_id, checked_uuid(run_id, "run_id"))
    except NotFound as error:
        raise Refused("no_such_run", str(error)) from None


async def _thread_as_tree(asked: Asked) -> AgentTree:
    thread = await _known(asked)
    graph_id = thread.metadata.get("graph_id")
    if graph_id is None:
        raise Refused("no_such_run", f"thread {asked.thread_id} has had no run")
    return AgentTree(graph_id, _STANDS[thread.status])


_METHODS: Final[dict[str, Callable[[Asked, dict[str, Any]], Awaitable[dict[str, Any]]]]] = {
    "run.start": _start,
    "input.respond": _respond,
    "agent.getTree": _tree,
}

ENDPOINTS: Final = (
    Endpoint(
        "POST", "/threads/{thread_id}/commands", post, "A command of the event protocol", COMMANDS, body=CommandFrame
    ),
)
