"""Creates a run from the body of a request. The routes of runs and crons and the event protocol share this code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection, Request

from slipway.api.auth.access_check import access_check_of, requires, user_of
from slipway.api.bodies.runs import RunBody
from slipway.api.header_policy import forwarded_headers
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.shared_objects import services_of
from slipway.errors import RefusedRequest
from slipway.protocol_types import is_internal_member
from slipway.runs.idempotency import HEADER, VALID_S
from slipway.runs.record import Run, RunSpec
from slipway.runs.run_request import RunIds, RunRequest

CREATE_ACCESS: Final = requires(
    "threads:create_run", "assistants:read", optional=("threads:create", "threads:read", "threads:update")
)
CREATE_AND_READ_ACCESS: Final = requires(
    "threads:create_run", "assistants:read", "threads:read", optional=("threads:create", "threads:update")
)

_TRACE_HEADERS: Final = (b"langsmith-trace", b"baggage")
"""Always passed to the graph, so that it continues the client's trace."""


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run whose events this request follows. `subscription` is to be closed with the response."""

    run: Run
    spec: RunSpec
    subscription: ExitStack


async def prepare_run(
    request: Request, body: RunBody, thread_id: str | None, *, reads: bool, index: int = 0
) -> RunSpec:
    """Authorizes and validates the run that `body` requests, and returns its spec. Without a thread id it is a
    stateless run; `index` is its position in a batch. With `reads` the response contains events or the result of the
    run, for which the user must be authorized to read the thread. Raises the exceptions of `RunSubmission.prepare`, and
    `RefusedRequest`."""
    if thread_id is None:
        check_stateless(body)
    run_request = run_request_from_body(request, body, stateless=thread_id is None)
    ids = RunIds.new(await idempotent_id(request, index), thread_id)
    retain_s = VALID_S if HEADER in request.headers else None
    submission, permissions = services_of(request).submission, access_check_of(request)
    return await submission.prepare(run_request, ids, permissions, reads=reads, retain_s=retain_s)


async def submit_and_follow(request: Request, body: RunBody, thread_id: str | None) -> SubmittedRun:
    """Creates a run whose events the client receives as they happen. Subscribes before the run is created, so that the
    first events arrive as messages and need not be read from the log."""
    spec = await prepare_run(request, body, thread_id, reads=True)
    return await _submit_and_subscribe(request, spec.with_follower())


async def submit_and_wait(request: Request, body: RunBody, thread_id: str | None) -> SubmittedRun:
    """Creates a run whose result the client receives. Subscribes as `submit_and_follow` does."""
    return await _submit_and_subscribe(request, await prepare_run(request, body, thread_id, reads=True))


async def _submit_and_subscribe(request: Request, spec: RunSpec) -> SubmittedRun:
    services = services_of(request)
    with ExitStack() as subscription:
        subscription.enter_context(services.events.subscribe_before_create(spec.identity.run_id))
        run = await services.submission.submit(spec)
        return SubmittedRun(run, spec, subscription.pop_all())


def run_request_from_body(connection: HTTPConnection, body: RunBody, *, stateless: bool) -> RunRequest:
    """Converts a body to a run request. Raises `RefusedRequest` and `InvalidRequest` for a body that is invalid for
    every assistant."""
    if body.context and body.config.configurable:
        raise RefusedRequest("give either context or config.configurable, not both: they mirror each other")
    services, user = services_of(connection), user_of(connection)
    services.submission.check_webhook(body.webhook)
    return RunRequest(
        assistant_id=body.assistant_id,
        options=body.options(temporary=stateless and body.on_completion == "delete"),
        chooses_durability=body.chooses_durability,
        metadata=body.metadata,
        headers=_graph_headers(connection),
        version_headers=_headers_among(connection, services.rollout_watch.header_names),
        stateless=stateless,
        create_thread=stateless or body.if_not_exists == "create",
        multitask_strategy=body.multitask_strategy,
        after_s=body.after_seconds,
        user=None if user is None else user.stored(),
    )


def _headers_among(connection: HTTPConnection, names: Sequence[str]) -> dict[str, str]:
    headers = connection.headers
    return {name: headers[name] for name in names if name in headers}


def check_stateless(body: RunBody) -> None:
    """Raises `RefusedRequest` for members that only a run on an existing thread can have."""
    if body.command is not None and "resume" in body.command.public():
        raise RefusedRequest("command.resume needs a thread: a stateless run has no interrupt to answer")
    if body.start_from is not None:
        raise RefusedRequest("checkpoint needs a thread: a stateless run starts without checkpoints")


def _graph_headers(connection: HTTPConnection) -> dict[str, str]:
    """The headers that nodes read in `configurable`. Headers with the name of a member that the server or LangGraph
    reads there are left out: browsers send a header `priority`, for example."""
    section, forwarded = services_of(connection).config.http.configurable_headers, dict[str, str]()
    if section.includes:
        headers = ((name, value) for name, value in connection.headers.items() if not is_internal_member(name))
        forwarded = forwarded_headers(headers, section)
    sent = {name for name, _ in connection.scope["headers"]}
    return forwarded | {name.decode(): connection.headers[name.decode()] for name in _TRACE_HEADERS if name in sent}
