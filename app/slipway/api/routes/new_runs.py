"""From the body of a request to a run: the rest is `slipway.runs.run_making`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from langchain_core.runnables import RunnableConfig
from starlette.requests import HTTPConnection, Request

from slipway.api.auth.access_check import user_of
from slipway.api.auth.authorization import authorize_assistant_use, authorize_run
from slipway.api.bodies.runs import RunBody
from slipway.api.header_policy import forwarded_headers
from slipway.api.idempotent_ids import idempotent_id
from slipway.errors import NotFound, RefusedRequest
from slipway.protocol_types import is_of_the_server
from slipway.runs.idempotency import HEADER, KEPT_S
from slipway.runs.record import NewRun
from slipway.runs.run_making import check_webhook, run_of
from slipway.runs.run_requests import RunRequest
from slipway.services import Services

_TRACE_HEADERS: Final = ("langsmith-trace", "baggage")
"""Always handed to the graph, so that a caller's trace goes on in it."""


async def new_run(
    services: Services,
    request: Request,
    thread_id: str,
    body: RunBody,
    *,
    reads: bool,
    stateless: bool = False,
    part: int = 0,
) -> NewRun:
    """The run that `body` asks for; a `stateless` one makes its thread, and `part` is its place in a batch. `reads`
    says that the caller gets to see what it makes of the thread.
    Raises for an unknown assistant, for what makes no sense, and for what the caller may not do."""
    asked = asked_by(services, request, body, stateless=stateless)
    await authorize_assistant_use(request, body.assistant_id)
    new = await run_of(services, asked, run_id=await idempotent_id(request, part), thread_id=thread_id)
    if new.temporary and HEADER in request.headers:
        new = replace(new, kept_s=KEPT_S)
    permitted = await authorize_run(request, new, stateless=stateless, reads=reads)
    if checkpoint_id := (permitted.options.checkpoint or {}).get("checkpoint_id"):
        await services.threads.check_access(thread_id, permitted.only, may_be_new=permitted.create_thread)
        await _must_exist(services, permitted, checkpoint_id)
    return permitted


async def _must_exist(services: Services, new: NewRun, checkpoint_id: str) -> None:
    """LangGraph begins with an empty state where there is no such checkpoint."""
    config: RunnableConfig = {
        "configurable": {"checkpoint_ns": "", **(new.options.checkpoint or {}), "thread_id": new.thread_id}
    }
    if await services.checkpointer.aget_tuple(config) is None:
        raise NotFound("checkpoint", checkpoint_id)


def asked_by(services: Services, request: HTTPConnection, body: RunBody, *, stateless: bool) -> RunRequest:
    """What `body` asks for as plain data. Raises for what cannot be, whatever the assistant is."""
    if body.context and body.config.configurable:
        raise RefusedRequest("give either context or config.configurable, not both: they mirror each other")
    check_webhook(services, body.webhook)
    user = user_of(request)
    return RunRequest(
        assistant_id=body.assistant_id,
        input=body.input,
        command=body.command.public() if body.command else None,
        config=body.config.public(),
        context=body.context,
        metadata=body.metadata,
        checkpoint=body.start_from,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        stream_mode=list(body.stream_mode or ["values"]),
        subgraphs=body.stream_subgraphs,
        resumable=body.stream_resumable,
        multitask_strategy=body.multitask_strategy,
        create_thread=stateless or body.if_not_exists == "create",
        stateless=stateless,
        temporary=stateless and body.on_completion == "delete",
        after_s=body.after_seconds,
        webhook=body.webhook,
        durability=body.durable,
        feedback_keys=body.feedback_keys,
        strict_resume=body.strict_resume,
        headers=_headers(services, request),
        user=None if user is None else user.stored(),
    )


def _headers(services: Services, request: HTTPConnection) -> dict[str, str]:
    """What graphs find in their `configurable`. A header never takes the place of what the server or LangGraph reads
    there: browsers send a header `priority`, for instance."""
    headers = ((name, value) for name, value in request.headers.items() if not is_of_the_server(name))
    told = forwarded_headers(headers, services.config.http.configurable_headers)
    return told | {name: request.headers[name] for name in _TRACE_HEADERS if name in request.headers}
