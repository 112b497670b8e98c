"""Crons: create, read, change, delete, search, count (protocol 2.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.crons import NewCron, Wanted
from app.errors import RefusedRequest
from app.http.answers import Json, nothing
from app.http.cron_bodies import TIMING, CronBody, CronFilterBody, CronSearchBody
from app.http.endpoints import Endpoint
from app.http.inputs import ident_of, parsed, path_id, read_body, read_optional_body, validated
from app.http.new_runs import asked_by
from app.http.pages import paged, selected
from app.http.stateless import check
from app.http.wiring import services_of
from app.schedules import Schedule


async def create(request: Request) -> Response:
    """A cron whose runs have threads of their own."""
    return await _create(request, None)


async def create_for_thread(request: Request) -> Response:
    """A cron whose runs are on this thread."""
    thread_id = path_id(request, "thread_id")
    return await _create(request, thread_id)


async def _create(request: Request, thread_id: str | None) -> Response:
    services, body = services_of(request), await read_body(request, CronBody)
    new = await _new(request, body, thread_id)
    if thread_id is not None:
        await services.threads.get(thread_id)
    cron = await services.crons.create(await ident_of(request), new, _now_ms(request))
    return Json(cron.public())


async def _new(request: Request, body: CronBody, thread_id: str | None) -> NewCron:
    services, stateless = services_of(request), thread_id is None
    if stateless:
        check(body)
    schedule = Schedule.checked(body.schedule, body.timezone, body.end_ms)
    asked = asked_by(services, request, body, stateless=stateless)
    assistant = await services.assistants.get(body.assistant_id)
    asked = replace(
        asked,
        assistant_id=assistant.assistant_id,
        metadata={},
        after_s=0,
        temporary=stateless and body.on_run_completed == "delete",
        create_thread=stateless,
    )
    sent = body.model_dump(exclude_unset=True)
    return NewCron(
        assistant_id=assistant.assistant_id,
        thread_id=thread_id,
        schedule=schedule,
        enabled=body.enabled,
        on_run_completed=body.on_run_completed if stateless else None,
        payload={name: value for name, value in sent.items() if name not in TIMING and name != "metadata"},
        metadata=body.metadata,
        request=asked,
    )


async def read(request: Request) -> Response:
    """One cron."""
    return Json((await services_of(request).crons.get(path_id(request, "cron_id"))).public())


async def patch(request: Request) -> Response:
    """Change some of what a cron was made with; metadata is merged."""
    services, cron_id = services_of(request), path_id(request, "cron_id")
    changes: Any = parsed(await request.body())
    if not isinstance(changes, dict) or not changes:
        raise RefusedRequest("the body must name at least one field to change")
    cron = await services.crons.get(cron_id)
    held = cron.payload | {
        "schedule": cron.schedule.text,
        "timezone": cron.schedule.zone,
        "end_time": cron.end_time,
        "enabled": cron.enabled,
        "on_run_completed": cron.on_run_completed,
        "metadata": cron.metadata,
    }
    given = {name: value for name, value in changes.items() if value is not None or name == "end_time"}
    if isinstance(given.get("metadata"), dict):
        given["metadata"] = cron.metadata | given["metadata"]
    new = await _new(request, validated(CronBody, held | given), cron.thread_id)
    moves = (new.schedule, new.enabled) != (cron.schedule, cron.enabled)
    return Json((await services.crons.change(cron_id, new, _now_ms(request), moves=moves)).public())


async def delete(request: Request) -> Response:
    """Remove a cron; the runs it made stay."""
    await services_of(request).crons.delete(path_id(request, "cron_id"))
    return nothing()


async def search(request: Request) -> Response:
    """A page of crons."""
    body = await read_optional_body(request, CronSearchBody)
    found = await services_of(request).crons.search(
        _wanted(body), sort_by=body.sort_by, descending=body.sort_order == "desc"
    )
    page = [cron.public() for cron in found[body.offset : body.offset + body.limit]]
    return paged(selected(page, body.select), offset=body.offset, limit=body.limit, total=len(found))


async def count(request: Request) -> Response:
    """How many crons fit."""
    body = await read_optional_body(request, CronFilterBody)
    return Json(len(await services_of(request).crons.search(_wanted(body))))


def _wanted(body: CronFilterBody) -> Wanted:
    return Wanted(body.assistant_id, body.thread_id, body.enabled, body.metadata)


def _now_ms(request: Request) -> int:
    return int(services_of(request).clock.now().timestamp() * 1000)


_ONE: Final = "/runs/crons/{cron_id}"

ENDPOINTS: Final = (
    Endpoint("POST", "/runs/crons", create, "A cron whose runs have threads of their own", body=CronBody),
    Endpoint("POST", "/threads/{thread_id}/runs/crons", create_for_thread, "A cron on a thread", body=CronBody),
    Endpoint("POST", "/runs/crons/search", search, "A page of crons", body=CronSearchBody),
    Endpoint("POST", "/runs/crons/count", count, "How many crons fit", body=CronFilterBody),
    Endpoint("GET", _ONE, read, "One cron"),
    Endpoint("PATCH", _ONE, patch, "Change a cron"),
    Endpoint("DELETE", _ONE, delete, "Remove a cron", answers="", status=204),
)
