"""Crons: create, read, change, delete, search, count (protocol 2.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.filters import AccessFilter
from slipway.access.handler_values.crons import (
    CronsCount,
    CronsCreate,
    CronsDelete,
    CronsRead,
    CronsSearch,
    CronsUpdate,
)
from slipway.access.permissions import require_match
from slipway.access.users import User
from slipway.api.auth.access_check import access_check_of, authorize, requires, user_of
from slipway.api.auth.authorization import authorize_assistant_use, authorize_read, body_if_readable
from slipway.api.bodies.crons import CronBody, CronFilterBody, CronSearchBody
from slipway.api.endpoints import Endpoint
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.lifespan_state import services_of
from slipway.api.pagination import paged, selected
from slipway.api.request_parsing import parsed, path_id, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.run_submission import check_stateless, run_request_from_body
from slipway.assistants.record import Assistant
from slipway.crons.record import Cron, NewCron
from slipway.crons.schedules import Schedule
from slipway.crons.store import CronQuery
from slipway.errors import InvalidRequest, NotFound, RefusedRequest
from slipway.runs.record import new_id
from slipway.runs.run_request import RunIds, RunRequest


async def create(request: Request) -> Response:
    """A cron whose runs have threads of their own."""
    return await _create(request, None)


async def create_for_thread(request: Request) -> Response:
    """A cron whose runs are on this thread."""
    thread_id = path_id(request, "thread_id")
    return await _create(request, thread_id)


async def _create(request: Request, thread_id: str | None) -> Response:
    services, body = services_of(request), await read_body(request, CronBody)
    _asked(request, body, thread_id)
    if thread_id is not None:
        await authorize_read(request, thread_id)
    user = user_of(request)
    wanted = CronsCreate.model_construct(
        cron_id=UUID(await idempotent_id(request)),
        thread_id=None if thread_id is None else UUID(thread_id),
        user_id=None if user is None else user.identity,
        schedule=body.schedule,
        end_time=body.end_time,
        payload=body.model_dump(exclude_unset=True),
        metadata=body.metadata,
    )
    value, only = await authorize(request, wanted)
    changed = _left(request, wanted, value, {}, thread_id)
    require_match(only, value.metadata, "crons:create")
    new = await _new(request, changed, thread_id, _sent(body, changed))
    await _permit_firing(request, new)
    return JsonResponse((await services.crons.create(str(value.cron_id), new, _now_ms(request))).public())


def _sent(body: CronBody, changed: CronBody) -> dict[str, Any]:
    """What clients are shown as the body: what was sent, as a handler left it."""
    told = bool(changed.metadata) or "metadata" in body.model_fields_set
    return changed.model_dump(exclude_unset=True, exclude=None if told else {"metadata"})


def _left(
    request: Request, wanted: _CronValue, left: _CronValue, held: dict[str, Any], thread_id: str | None
) -> CronBody:
    """The cron as a handler left it, over what is `held` of it. What is wrong with it is the client's fault where the
    same is wrong with what the client sent; else it is `AuthBroken`."""
    try:
        if unknown := sorted(left.payload.keys() - wanted.payload.keys() - CronBody.model_fields.keys()):
            raise InvalidRequest(f"payload.{unknown[0]}", "is no field of a cron")
        return _checked(request, held | _given(left.payload, held), thread_id)
    except (InvalidRequest, RefusedRequest) as error:
        _checked(request, held | _given(wanted.payload, held), thread_id)
        raise wanted.handler_error(f"left a cron that is refused: {error}") from error


def _checked(request: Request, given: dict[str, Any], thread_id: str | None) -> CronBody:
    body = validated(CronBody, given)
    _asked(request, body, thread_id)
    return body


def _given(changes: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """What is not null, with metadata merged into what is held."""
    given = {name: value for name, value in changes.items() if value is not None or name == "end_time"}
    if isinstance(given.get("metadata"), dict):
        given["metadata"] = held.get("metadata", {}) | given["metadata"]
    return given


def _asked(request: Request, body: CronBody, thread_id: str | None) -> tuple[Schedule, RunRequest]:
    """When, and what run. Raises for what cannot be, whatever the assistant is."""
    stateless = thread_id is None
    if stateless:
        check_stateless(body)
    schedule = Schedule.checked(body.schedule, body.timezone, body.end_ms)
    return schedule, run_request_from_body(request, body, stateless=stateless)


async def _new(request: Request, body: CronBody, thread_id: str | None, payload: dict[str, Any]) -> NewCron:
    """The cron that `body` describes; `payload` is what clients are shown as its body."""
    stateless = thread_id is None
    schedule, asked = _asked(request, body, thread_id)
    assistant = await _assistant(request, body.assistant_id)
    options = replace(asked.options, temporary=stateless and body.on_run_completed == "delete")
    asked = replace(
        asked,
        assistant_id=assistant.assistant_id,
        options=options,
        metadata={},
        after_s=0,
        create_thread=stateless,
    )
    return NewCron(
        assistant_id=assistant.assistant_id,
        thread_id=thread_id,
        schedule=schedule,
        enabled=body.enabled,
        on_run_completed=body.on_run_completed if stateless else None,
        payload=payload,
        metadata=body.metadata,
        request=asked,
    )


async def _permit_firing(request: Request, new: NewCron) -> None:
    """Ask for such a run as the cron will have made, as it is asked for again at each due time."""
    services, gate = services_of(request), access_check_of(request)
    if gate.auth is None:
        for operation in FIRING.required:
            gate.mark_authorized(operation)
        return
    asked = replace(new.request, metadata=new.metadata | new.request.metadata)
    ids = RunIds(run_id=new_id(), thread_id=new.thread_id or new_id())
    await services.submission.check_due(asked, ids, gate)


async def _assistant(request: Request, id_or_name: str) -> Assistant:
    """The assistant, if the caller may use it. As the reference server has it: a name that is no graph's is unknown
    here, not malformed."""
    services = services_of(request)
    try:
        await authorize_assistant_use(request, id_or_name)
        return await services.assistants.get(id_or_name)
    except InvalidRequest:
        raise NotFound("assistant", id_or_name, services.graphs.names()) from None


async def read(request: Request) -> Response:
    """One cron."""
    cron_id = path_id(request, "cron_id")
    value, only = await authorize(request, CronsRead.model_construct(cron_id=UUID(cron_id)))
    return JsonResponse((await services_of(request).crons.get(str(value.cron_id), only)).public())


async def patch(request: Request) -> Response:
    """Change some of what a cron was made with; metadata is merged."""
    services, cron_id = services_of(request), path_id(request, "cron_id")
    changes: Any = parsed(await request.body())
    if not isinstance(changes, dict) or not changes:
        raise RefusedRequest("the body must name at least one field to change")
    validated(CronBody, _ANY | _given(changes, {}))
    wanted = CronsUpdate.model_construct(
        cron_id=UUID(cron_id),
        payload=changes,
        metadata=changes.get("metadata") or {},
        **{name: changes.get(name) for name in ("schedule", "end_time", "enabled", "on_run_completed")},
    )
    value, only = await authorize(request, wanted)
    cron = await services.crons.get(str(value.cron_id), only)
    new = _stopped(cron, value.payload) if changes == STOPS else None
    new = new or await _as_changed(request, cron, wanted, value)
    moves = (new.schedule, new.enabled) != (cron.schedule, cron.enabled)
    changed = await services.crons.change(cron_id, new, _now_ms(request), moves=moves)
    shown = CronsRead.model_construct(cron_id=UUID(cron_id))
    return await body_if_readable(request, shown, changed.metadata, lambda: JsonResponse(changed.public()))


def _stopped(cron: Cron, changes: dict[str, Any]) -> NewCron | None:
    """The cron when all that is done to it is to stop it; a handler may write metadata, too."""
    metadata = changes.get("metadata") or {}
    if {name: value for name, value in changes.items() if name != "metadata"} != STOPS:
        return None
    new = cron.stopped()
    return replace(new, metadata=new.metadata | metadata, payload=new.payload | changes)


async def _as_changed(request: Request, cron: Cron, wanted: CronsUpdate, left: CronsUpdate) -> NewCron:
    """The cron with these changes, if the caller may have such runs made."""
    held = cron.payload | {
        "schedule": cron.schedule.text,
        "timezone": cron.schedule.zone,
        "end_time": cron.end_time,
        "enabled": cron.enabled,
        "on_run_completed": cron.on_run_completed,
        "metadata": cron.metadata,
    }
    body = _left(request, wanted, left, held, cron.thread_id)
    new = await _new(request, body, cron.thread_id, _patched(cron.payload, body, left.payload))
    await _permit_firing(request, new)
    changer = user_of(request)
    request_by = replace(new.request, user=_owner(cron, changer), changed_by=_changers(cron, changer))
    return replace(new, request=request_by)


def _owner(cron: Cron, changer: User | None) -> dict[str, Any] | None:
    """For whom it was made, whoever changes it; as the auth file knows that user by now, if that is who asks."""
    if changer is not None and changer.identity == cron.user_id:
        return changer.stored()
    return cron.request.user


def _changers(cron: Cron, changer: User | None) -> list[dict[str, Any]]:
    """The users beside the owner who have changed the cron; the one who does it now as the auth file knows them."""
    held = cron.request.changed_by
    if changer is None or changer.identity == cron.user_id:
        return held
    return [*(user for user in held if user["identity"] != changer.identity), changer.stored()]


def _patched(payload: dict[str, Any], body: CronBody, changes: dict[str, Any]) -> dict[str, Any]:
    """What was sent, once more was: each field as it was sent last, not merged."""
    told = body.model_dump(exclude_unset=True)
    sent = {name: told[name] for name in changes if name in told}
    if "metadata" in sent:
        sent["metadata"] = {name: value for name, value in sent["metadata"].items() if name in changes["metadata"]}
    cleared = {"end_time": None} if changes.get("end_time", "") is None else {}
    return payload | sent | cleared


async def delete(request: Request) -> Response:
    """Remove a cron; the runs it made stay."""
    crons, cron_id = services_of(request).crons, path_id(request, "cron_id")
    value, only = await authorize(request, CronsDelete.model_construct(cron_id=UUID(cron_id)))
    await crons.delete((await crons.get(str(value.cron_id), only)).cron_id)
    return empty_response()


async def search(request: Request) -> Response:
    """A page of crons."""
    body = await read_body(request, CronSearchBody)
    which = CronsSearch.model_construct(**_wanted(request, body), limit=body.limit, offset=body.offset)
    value, only = await authorize(request, which)
    found = await services_of(request).crons.search(
        _searched(value, body, only), sort_by=body.sort_by, descending=body.sort_order == "desc"
    )
    page = [cron.public() for cron in found[value.offset : value.offset + value.limit]]
    return paged(selected(page, body.select), offset=value.offset, limit=value.limit, total=len(found))


async def count(request: Request) -> Response:
    """How many crons fit."""
    body = await read_body(request, CronFilterBody)
    value, only = await authorize(request, CronsCount.model_construct(**_wanted(request, body)))
    return JsonResponse(len(await services_of(request).crons.search(_searched(value, body, only))))


def _wanted(request: Request, body: CronFilterBody) -> dict[str, Any]:
    """What authorize handlers are shown of a search and of a count alike."""
    assistants = services_of(request).assistants
    return {
        "assistant_id": None if body.assistant_id is None else UUID(assistants.resolve_id(body.assistant_id)),
        "thread_id": None if body.thread_id is None else UUID(body.thread_id),
        "metadata": body.metadata or {},
    }


def _searched(value: CronsSearch, body: CronFilterBody, only: AccessFilter) -> CronQuery:
    """What is searched for, as the authorize handler left it."""
    return CronQuery(
        assistant_id=None if value.assistant_id is None else str(value.assistant_id),
        thread_id=None if value.thread_id is None else str(value.thread_id),
        enabled=body.enabled,
        metadata=value.metadata,
        only=only,
    )


def _now_ms(request: Request) -> int:
    return int(services_of(request).clock.now().timestamp() * 1000)


_CronValue = TypeVar("_CronValue", CronsCreate, CronsUpdate)
_ANY: Final = {"assistant_id": "any", "schedule": "any"}
"""What a change need not name."""
STOPS: Final = {"enabled": False}
"""The change that needs no leave to run anything: whoever may change the cron may stop it."""
FIRING: Final = requires(
    "threads:create_run", "assistants:read", optional=("threads:create", "threads:read", "threads:update")
)
"""What is asked for the runs of a cron."""
_ONE: Final = "/runs/crons/{cron_id}"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/runs/crons",
        create,
        "A cron whose runs have threads of their own",
        requires("crons:create", *FIRING.required, optional=tuple(FIRING.optional)),
        body=CronBody,
    ),
    Endpoint(
        "POST",
        "/threads/{thread_id}/runs/crons",
        create_for_thread,
        "A cron on a thread",
        requires("crons:create", "threads:read", *FIRING.required, optional=tuple(FIRING.optional)),
        body=CronBody,
    ),
    Endpoint("POST", "/runs/crons/search", search, "A page of crons", requires("crons:search"), body=CronSearchBody),
    Endpoint("POST", "/runs/crons/count", count, "How many crons fit", requires("crons:search"), body=CronFilterBody),
    Endpoint(
        "GET",
        _ONE,
        read,
        "One cron",
        requires("crons:read"),
    ),
    Endpoint(
        "PATCH",
        _ONE,
        patch,
        "Change a cron",
        requires("crons:update", "crons:read", optional=tuple(FIRING.required | FIRING.optional)),
        status_without_body=204,
    ),
    Endpoint("DELETE", _ONE, delete, "Remove a cron", requires("crons:delete"), media_type="", status=204),
)
