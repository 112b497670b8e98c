"""Commands of the event protocol: start a run, answer interrupts, and read the status of a run and its subgraphs.

Clients send them as HTTP requests and over WebSockets. The response to a command that fails is an error with HTTP
status 200. Only failures of the server itself and missing permissions are HTTP errors.
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
from starlette.requests import HTTPConnection

from slipway.api.auth.access_check import access_check_of
from slipway.api.bodies.events import CommandFrame, RespondParams, StartParams, TreeParams
from slipway.api.bodies.runs import RunBody
from slipway.api.request_parsing import checked_uuid, validated
from slipway.api.run_submission import run_request_from_body
from slipway.api.streams.command_responses import CommandError, command_error_response, command_response
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
"""The longest time that an answer waits until the run with the interrupt settles."""

_THREAD_STATUS: Final = {"busy": "running", "interrupted": "interrupted", "error": "failed", "idle": "completed"}
"""Status of a thread → status of the event protocol."""
_RUN_STATUS: Final = {
    "pending": "started",
    "running": "running",
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
    "interrupted": "interrupted",
}
"""Status of a run → status of the event protocol."""

Params = TypeVar("Params", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The connection of a command, its thread, and the id of the run that it may create."""

    connection: HTTPConnection
    services: Services
    thread_id: str
    run_id: str


async def execute_command(context: CommandContext, command: CommandFrame) -> dict[str, Any]:
    """Executes a command and returns the response. Raises `Unavailable`, `AccessRefused` and `AuthBroken`."""
    perform = _METHODS.get(command.method)
    if perform is None:
        return command_error_response(
            command.id, "unknown_command", f"{command.method!r} is not one of {', '.join(sorted(_METHODS))}"
        )
    try:
        before = await context.services.protocol_log.applied_through(context.thread_id)
        return command_response(command.id, await perform(context, command.params), before)
    except CommandError as error:
        return command_error_response(command.id, error.code, str(error))
    except (Unavailable, AccessRefused, AuthBroken):
        raise
    except SlipwayError as error:
        return command_error_response(command.id, _protocol_error_code(error), str(error))


def params_of(model: type[Params], params: dict[str, Any]) -> Params:
    """The parameters of a command. Raises `CommandError`."""
    try:
        return validated(model, params)
    except InvalidRequest as error:
        raise CommandError("invalid_argument", str(error)) from None


def _protocol_error_code(error: SlipwayError) -> str:
    """The error code of the event protocol: `invalid_argument` if the command must be changed, else `unknown_error`."""
    if isinstance(error, InvalidRequest | RefusedRequest | NotFound):
        return "invalid_argument"
    return "unknown_error"


async def _start(context: CommandContext, params: dict[str, Any]) -> dict[str, Any]:
    """Starts a run with `input`. If the thread has an open interrupt, `input` is the answer to it."""
    start = params_of(StartParams, params)
    open_interrupts = await _open_interrupts(context) if start.input is not None else {}
    answers = None
    if open_interrupts:
        by_id = isinstance(start.input, dict) and start.input.keys() <= open_interrupts.keys()
        answers = start.input if by_id or len(open_interrupts) > 1 else {next(iter(open_interrupts)): start.input}
    return await _run(context, start.run(answers))


async def _open_interrupts(context: CommandContext) -> dict[str, Any]:
    """The open interrupts of the thread: id → value."""
    with suppress(NotFound):
        thread = await context.services.threads.get(context.thread_id)
        if thread.status == "busy":
            thread = await (
                _wait_until_idle(context) if await _has_open_interrupt(context) else _existing_thread(context)
            )
        if thread.status == "interrupted":
            return _interrupts(thread)
    return {}


async def _has_open_interrupt(context: CommandContext) -> bool:
    """Whether the active run of the thread has sent an interrupt to clients although it is not settled. Only its log
    contains the interrupt then: the record of the thread gets it when the run settles."""
    run_id = await context.services.threads.active_run(context.thread_id)
    if run_id is None:
        return False
    return any(map(_has_interrupts, await context.services.scripts.last_frames(run_id)))


_INTERRUPT_KEY: Final = INTERRUPT.encode()


def _has_interrupts(frame: bytes) -> bool:
    if name_of(frame).partition("|")[0] not in ("updates", "values"):
        return False
    data = orjson.loads(data_of(frame)) if _INTERRUPT_KEY in frame else None
    return isinstance(data, dict) and isinstance(data.get(INTERRUPT), list)


def _interrupts(thread: Thread) -> dict[str, Any]:
    return {item["id"]: item["value"] for items in thread.interrupts.values() for item in items}


async def _respond(context: CommandContext, params: dict[str, Any]) -> dict[str, Any]:
    """Starts the run that receives the answers. Waits until the run with the interrupt settles, because clients receive
    the interrupt before that."""
    respond = params_of(RespondParams, params)
    thread = await _wait_until_idle(context)
    assistant_id = thread.metadata.get("assistant_id")
    if not isinstance(assistant_id, str):
        raise CommandError("no_such_run", f"thread {context.thread_id} has no run with an interrupt")
    open_interrupts = _interrupts(thread) if thread.status == "interrupted" else {}
    if unknown := [each for each in respond.answers if each not in open_interrupts]:
        if await _is_repetition(context):
            return {"run_id": context.run_id}
        raise CommandError("no_such_interrupt", f"{unknown[0]!r} is not an open interrupt")
    try:
        return await _run(context, respond.run(assistant_id))
    except Conflict as error:
        raise CommandError("no_such_interrupt", str(error)) from error


async def _is_repetition(context: CommandContext) -> bool:
    """Whether the same command was executed before, with the same idempotency key."""
    with suppress(NotFound):
        await context.services.runs.find(context.run_id)
        return True
    return False


async def _wait_until_idle(context: CommandContext) -> Thread:
    """Returns the thread when none of its runs is active, or after `WAIT_FOR_INTERRUPT_S`."""
    thread = await _existing_thread(context)
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_FOR_INTERRUPT_S):
            while thread.status == "busy":
                run_id = await context.services.threads.active_run(context.thread_id)
                if run_id is not None:
                    async with aclosing(context.services.events.follow(run_id, "$")) as batches:
                        async for _ in batches:
                            pass
                else:
                    await asyncio.sleep(_RETRY_PAUSE_S)
                thread = await _existing_thread(context)
    return thread


_RETRY_PAUSE_S: Final = 0.05


async def _existing_thread(context: CommandContext) -> Thread:
    try:
        return await context.services.threads.get(context.thread_id)
    except NotFound as error:
        raise CommandError("no_such_run", str(error)) from None


async def _run(context: CommandContext, body: dict[str, Any]) -> dict[str, Any]:
    """Starts the run of `body`, with all stream modes of the event protocol."""
    request = run_request_from_body(context.connection, validated(RunBody, body), stateless=False)
    options = replace(request.options, stream_mode=list(MODES), subgraphs=True, resumable=True)
    ids = RunIds(run_id=context.run_id, thread_id=context.thread_id)
    submission, permissions = context.services.submission, access_check_of(context.connection)
    spec = await submission.prepare(replace(request, options=options), ids, permissions)
    run = await submission.submit(spec.with_follower())
    return {"run_id": run.run_id}


async def _tree(context: CommandContext, params: dict[str, Any]) -> dict[str, Any]:
    """The status of the run that started last, or of the named run, and of its subgraphs."""
    named = params_of(TreeParams, params).run_id
    run = None if named is None else await _named_run(context, named)
    tree = await _thread_tree(context) if run is None else AgentTree(run.graph_id, _RUN_STATUS[run.status])
    run_id = None if run is None else run.run_id
    async with aclosing(context.services.protocol_log.events_until_now(context.thread_id, run_id)) as events:
        async for event in events:
            tree.apply(event)
    return {"tree": tree.root}


async def _named_run(context: CommandContext, run_id: str) -> Run:
    try:
        return await context.services.runs.get(context.thread_id, checked_uuid(run_id, "run_id"))
    except NotFound as error:
        raise CommandError("no_such_run", str(error)) from None


async def _thread_tree(context: CommandContext) -> AgentTree:
    thread = await _existing_thread(context)
    graph_id = thread.metadata.get("graph_id")
    if graph_id is None:
        raise CommandError("no_such_run", f"thread {context.thread_id} has no run")
    return AgentTree(graph_id, _THREAD_STATUS[thread.status])


_METHODS: Final[dict[str, Callable[[CommandContext, dict[str, Any]], Awaitable[dict[str, Any]]]]] = {
    "run.start": _start,
    "input.respond": _respond,
    "agent.getTree": _tree,
}
