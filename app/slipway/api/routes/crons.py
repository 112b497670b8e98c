"""Routes of crons (docs/store-crons-webhooks.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple, TypedDict, TypeVar
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
from slipway.api.auth.authorization import authorize_assistant_use, authorize_read, response_if_readable
from slipway.api.bodies.crons import CronBody, CronFilterBody, CronSearchBody
from slipway.api.endpoints import Endpoint
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.pagination import completeness, page_of, selected
from slipway.api.request_parsing import parsed, path_id, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.run_submission import CREATE_ACCESS, check_stateless, run_request_from_body
from slipway.api.shared_objects import services_of
from slipway.assistants.record import Assistant
from slipway.crons.record import Cron, NewCron
from slipway.crons.schedules import Schedule
from slipway.crons.search import CronQuery
from slipway.errors import InvalidRequest, NotFound, RefusedRequest
from slipway.protocol_types import JsonObject
from slipway.runs.record import new_id
from slipway.runs.run_request import RunIds, RunRequest


class _Selection(TypedDict):
    """The members that the handler values of a search and a count share."""

    assistant_id: UUID | None
    thread_id: UUID | None
    metadata: JsonObject


class _Plan(NamedTuple):
    """The schedule of a cron, and the run request from which each of its runs is created."""

    schedule: Schedule
    run_request: RunRequest


async def create(request: Request) -> Response:
    """Creates a cron whose runs are stateless."""
    return await _create(request, None)


async def create_for_thread(request: Request) -> Response:
    """Creates a cron whose runs execute on the thread in the path."""
    thread_id = path_id(request, "thread_id")
    return await _create(request, thread_id)


async def _create(request: Request, thread_id: str | None) -> Response:
    services, body = services_of(request), await read_body(request, CronBody)
    _plan(request, body, thread_id)
    if thread_id is not None:
        await authorize_read(request, thread_id)
    user = user_of(request)
    request_value = CronsCreate.model_construct(
        cron_id=UUID(await idempotent_id(request)),
        thread_id=None if thread_id is None else UUID(thread_id),
        user_id=None if user is None else user.identity,
        schedule=body.schedule,
        end_time=body.end_time,
        payload=body.model_dump(exclude_unset=True),
        metadata=body.metadata,
    )
    value, create_filter = await authorize(request, request_value)
    changed = _with_handler_changes(request, request_value, value, {}, thread_id)
    require_match(create_filter, value.metadata, "crons:create")
    new = await _new_cron(request, changed, thread_id, _payload_of_new(body, changed))
    await _authorize_runs(request, new)
    return JsonResponse((await services.crons.create(str(value.cron_id), new, _now_ms(request))).public())


def _payload_of_new(body: CronBody, changed: CronBody) -> JsonObject:
    """The payload of a new cron in responses: the members that the client sent, with the changes of the handler."""
    has_metadata = bool(changed.metadata) or "metadata" in body.model_fields_set
    return changed.model_dump(exclude_unset=True, exclude=None if has_metadata else {"metadata"})


def _with_handler_changes(
    request: Request, request_value: _CronValue, value: _CronValue, stored: JsonObject, thread_id: str | None
) -> CronBody:
    """The cron after the authorize handler has changed `request_value` to `value`. `stored` has the members of an
    existing cron. Raises the error of an invalid cron if the request is invalid without the changes too, else
    `AuthBroken`."""
    try:
        if unknown := sorted(value.payload.keys() - request_value.payload.keys() - CronBody.model_fields.keys()):
            raise InvalidRequest(f"payload.{unknown[0]}", "is not a member of a cron")
        return _checked_body(request, _merged(stored, value.payload), thread_id)
    except (InvalidRequest, RefusedRequest) as error:
        _checked_body(request, _merged(stored, request_value.payload), thread_id)
        raise request_value.handler_error(f"changed the cron to an invalid one: {error}") from error


def _checked_body(request: Request, members: JsonObject, thread_id: str | None) -> CronBody:
    body = validated(CronBody, members)
    _plan(request, body, thread_id)
    return body


def _merged(stored: JsonObject, changes: JsonObject) -> JsonObject:
    """The members after a change. Null leaves a member unchanged, except `end_time`. Metadata is merged."""
    members = {name: value for name, value in changes.items() if value is not None or name == "end_time"}
    if isinstance(metadata := members.get("metadata"), dict):
        members |= {"metadata": stored.get("metadata", {}) | metadata}
    return stored | members


def _plan(request: Request, body: CronBody, thread_id: str | None) -> _Plan:
    """Raises `InvalidRequest` and `RefusedRequest` for a body that is invalid for every assistant."""
    stateless = thread_id is None
    if stateless:
        check_stateless(body)
    schedule = Schedule.checked(body.schedule, body.timezone, body.end_ms)
    return _Plan(schedule, run_request_from_body(request, body, stateless=stateless))


async def _new_cron(request: Request, body: CronBody, thread_id: str | None, payload: JsonObject) -> NewCron:
    """The cron that `body` describes. Responses show `payload` as its body."""
    stateless = thread_id is None
    plan = _plan(request, body, thread_id)
    assistant = await _usable_assistant(request, body.assistant_id)
    temporary = stateless and body.on_run_completed == "delete"
    run_request = replace(
        plan.run_request,
        assistant_id=assistant.assistant_id,
        options=replace(plan.run_request.options, temporary=temporary),
        metadata={},
        after_s=0,
        create_thread=stateless,
    )
    return NewCron(
        assistant_id=assistant.assistant_id,
        thread_id=thread_id,
        schedule=plan.schedule,
        enabled=body.enabled,
        on_run_completed=body.on_run_completed if stateless else None,
        payload=payload,
        metadata=body.metadata,
        request=run_request,
    )


async def _authorize_runs(request: Request, new: NewCron) -> None:
    """Authorizes a run of the cron now. It is authorized again at each due time."""
    services, check = services_of(request), access_check_of(request)
    if check.auth is None:
        for operation in CREATE_ACCESS.required:
            check.mark_authorized(operation)
        return
    run_request = replace(new.request, metadata=new.metadata | new.request.metadata)
    ids = RunIds.new(new_id(), new.thread_id)
    await services.submission.check_due(run_request, ids, check)


async def _usable_assistant(request: Request, id_or_name: str) -> Assistant:
    """The assistant, if the user is authorized to run it. Raises `NotFound` for an unknown name, because the reference
    server responds with 404 and not with 422 here."""
    services = services_of(request)
    try:
        await authorize_assistant_use(request, id_or_name)
        return await services.assistants.get(id_or_name)
    except InvalidRequest:
        raise NotFound("assistant", id_or_name, services.graphs.names()) from None


async def read(request: Request) -> Response:
    cron_id = path_id(request, "cron_id")
    value, access_filter = await authorize(request, CronsRead.model_construct(cron_id=UUID(cron_id)))
    return JsonResponse((await services_of(request).crons.get(str(value.cron_id), access_filter)).public())


async def patch(request: Request) -> Response:
    """Changes the members that the body names. Metadata is merged."""
    services, cron_id = services_of(request), path_id(request, "cron_id")
    changes: Any = parsed(await request.body())
    if not isinstance(changes, dict) or not changes:
        raise RefusedRequest("the body must name at least one field to change")
    validated(CronBody, _merged(_REQUIRED_MEMBERS, changes))
    request_value = CronsUpdate.model_construct(
        cron_id=UUID(cron_id),
        payload=changes,
        metadata=changes.get("metadata") or {},
        **{name: changes.get(name) for name in ("schedule", "end_time", "enabled", "on_run_completed")},
    )
    value, access_filter = await authorize(request, request_value)
    cron = await services.crons.get(str(value.cron_id), access_filter)
    new = _disabled(cron, value.payload) if changes == DISABLING_CHANGE else None
    new = new or await _with_changes(request, cron, request_value, value)
    reschedule = (new.schedule, new.enabled) != (cron.schedule, cron.enabled)
    changed = await services.crons.change(cron_id, new, _now_ms(request), reschedule=reschedule)
    return await response_if_readable(request, CronsRead.model_construct(cron_id=UUID(cron_id)), changed)


def _disabled(cron: Cron, changes: JsonObject) -> NewCron | None:
    """The cron, disabled. None if the handler changed more than the metadata."""
    metadata = changes.get("metadata") or {}
    if {name: value for name, value in changes.items() if name != "metadata"} != DISABLING_CHANGE:
        return None
    new = cron.disabled()
    return replace(new, metadata=new.metadata | metadata, payload=new.payload | changes)


async def _with_changes(request: Request, cron: Cron, request_value: CronsUpdate, value: CronsUpdate) -> NewCron:
    """The cron with the changes. Raises an error if the user may not create the runs that the changed cron would
    create."""
    stored = cron.payload | {
        "schedule": cron.schedule.text,
        "timezone": cron.schedule.zone,
        "end_time": cron.end_time,
        "enabled": cron.enabled,
        "on_run_completed": cron.on_run_completed,
        "metadata": cron.metadata,
    }
    body = _with_handler_changes(request, request_value, value, stored, cron.thread_id)
    new = await _new_cron(request, body, cron.thread_id, _changed_payload(cron.payload, body, value.payload))
    await _authorize_runs(request, new)
    user = user_of(request)
    run_request = replace(new.request, user=_owner(cron, user), changed_by=_changed_by(cron, user))
    return replace(new, request=run_request)


def _owner(cron: Cron, user: User | None) -> dict[str, Any] | None:
    """The stored user of the owner, who does not change. When the owner changes the cron, it is replaced by the user
    of this request."""
    if user is not None and user.identity == cron.user_id:
        return user.stored()
    return cron.request.user


def _changed_by(cron: Cron, user: User | None) -> list[dict[str, Any]]:
    """The stored users who have changed the cron, except its owner. `user` sends this change."""
    others = cron.request.changed_by
    if user is None or user.identity == cron.user_id:
        return others
    return [*(each for each in others if each["identity"] != user.identity), user.stored()]


def _changed_payload(payload: JsonObject, body: CronBody, changes: JsonObject) -> JsonObject:
    """The payload of a changed cron in responses: each member as the last request with it sent it."""
    members = body.model_dump(exclude_unset=True)
    sent = {name: members[name] for name in changes if name in members}
    if "metadata" in sent:
        sent |= {"metadata": {name: value for name, value in sent["metadata"].items() if name in changes["metadata"]}}
    cleared = {"end_time": None} if changes.get("end_time", "") is None else {}
    return payload | sent | cleared


async def delete(request: Request) -> Response:
    """Deletes a cron, but not the runs that it has created."""
    crons, cron_id = services_of(request).crons, path_id(request, "cron_id")
    value, access_filter = await authorize(request, CronsDelete.model_construct(cron_id=UUID(cron_id)))
    await crons.delete((await crons.get(str(value.cron_id), access_filter)).cron_id)
    return empty_response()


async def search(request: Request) -> Response:
    body = await read_body(request, CronSearchBody)
    request_value = CronsSearch.model_construct(**_selection(request, body), limit=body.limit, offset=body.offset)
    value, access_filter = await authorize(request, request_value)
    found = await services_of(request).crons.search(
        _query(value, body, access_filter),
        limit=value.limit + 1,  # one more tells whether there is a next page
        offset=value.offset,
        sort_by=body.sort_by,
        descending=body.sort_order == "desc",
    )
    page = selected([cron.public() for cron in found.records[: value.limit]], body.select)
    return page_of(found, page, offset=value.offset, limit=value.limit)


async def count(request: Request) -> Response:
    body = await read_body(request, CronFilterBody)
    value, access_filter = await authorize(request, CronsCount.model_construct(**_selection(request, body)))
    counted = await services_of(request).crons.count(_query(value, body, access_filter))
    return JsonResponse(counted.number, headers=completeness(complete=counted.complete))


def _selection(request: Request, body: CronFilterBody) -> _Selection:
    assistants = services_of(request).assistants
    return {
        "assistant_id": None if body.assistant_id is None else UUID(assistants.resolve_id(body.assistant_id)),
        "thread_id": None if body.thread_id is None else UUID(body.thread_id),
        "metadata": body.metadata or {},
    }


def _query(value: CronsSearch, body: CronFilterBody, access_filter: AccessFilter) -> CronQuery:
    """The query for an authorized search."""
    return CronQuery(
        assistant_id=None if value.assistant_id is None else str(value.assistant_id),
        thread_id=None if value.thread_id is None else str(value.thread_id),
        enabled=body.enabled,
        metadata=value.metadata,
        access_filter=access_filter,
    )


def _now_ms(request: Request) -> int:
    return int(services_of(request).clock.now().timestamp() * 1000)


_CronValue = TypeVar("_CronValue", CronsCreate, CronsUpdate)
_REQUIRED_MEMBERS: Final = {"assistant_id": "any", "schedule": "any"}
"""Members that a new cron must have and a change need not have."""
DISABLING_CHANGE: Final = {"enabled": False}
"""The change that needs no authorization for runs: a user who is authorized to change a cron can always disable
it."""
_CRON: Final = "/runs/crons/{cron_id}"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/runs/crons",
        create,
        "Create a cron whose runs are stateless",
        requires("crons:create", *CREATE_ACCESS.required, optional=tuple(CREATE_ACCESS.optional)),
        body=CronBody,
        stores=True,
    ),
    Endpoint(
        "POST",
        "/threads/{thread_id}/runs/crons",
        create_for_thread,
        "Create a cron on a thread",
        requires("crons:create", "threads:read", *CREATE_ACCESS.required, optional=tuple(CREATE_ACCESS.optional)),
        body=CronBody,
        stores=True,
    ),
    Endpoint("POST", "/runs/crons/search", search, "Search crons", requires("crons:search"), body=CronSearchBody),
    Endpoint("POST", "/runs/crons/count", count, "Count crons", requires("crons:search"), body=CronFilterBody),
    Endpoint(
        "GET",
        _CRON,
        read,
        "Read a cron",
        requires("crons:read"),
    ),
    Endpoint(
        "PATCH",
        _CRON,
        patch,
        "Change a cron",
        requires("crons:update", "crons:read", optional=tuple(CREATE_ACCESS.required | CREATE_ACCESS.optional)),
        status_without_body=204,
    ),
    Endpoint("DELETE", _CRON, delete, "Delete a cron", requires("crons:delete"), media_type="", status=204),
)
