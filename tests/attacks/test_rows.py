"""Every route, command, duty and long response has a row in the table of attacks."""

from __future__ import annotations

import inspect
import re

import httpx
import pytest

from slipway.api import event_commands
from slipway.api.host_app.internal_webhooks import InternalWebhooks
from slipway.api.route_table import ENDPOINTS
from slipway.api.routes import event_socket
from slipway.api.ui import site
from slipway.execution.inline import InlineRuns
from slipway_workers.process import DUTIES, WorkerProcess
from tests.attacks.rows import (
    ALL_ROUTES,
    ANY_IDS,
    BACKGROUND,
    COMMANDS,
    LONG_RESPONSES,
    OPERATOR_ROUTES,
    ROUTES,
    create_one_of_each,
    send,
)
from tests.auth.conftest import Client
from tests.auth.samples import samples
from tests.http.conftest import Served

METHOD = re.compile(r'"((?:agent|input|run|subscription|thread|store)\.\w+)"')
"""A command, as it is spelled in the modules that execute commands."""

CONFLICTS = {"DELETE /threads/{thread_id}/runs/{run_id}", "POST /threads/{thread_id}/state"}
"""Routes that respond with 409 while the run is queued."""


def test_every_route_has_a_row() -> None:
    assert ROUTES.keys() | OPERATOR_ROUTES.keys() == ALL_ROUTES.keys()
    assert list(ALL_ROUTES.values()) == [*ENDPOINTS, *site.ENDPOINTS]


def test_every_sample_is_of_an_existing_route() -> None:
    assert samples(dict(ANY_IDS)).keys() <= ALL_ROUTES.keys()


def test_every_route_with_a_body_has_a_sample() -> None:
    sampled = {name for name, sample in samples(dict(ANY_IDS)).items() if sample.body is not None}
    assert {name for name, route in ALL_ROUTES.items() if route.body is not None} <= sampled


def test_every_command_has_a_row() -> None:
    posted = set(METHOD.findall(inspect.getsource(event_commands)))
    assert {name for name, command in COMMANDS.items() if command.posted} == posted
    assert COMMANDS.keys() == posted | set(METHOD.findall(inspect.getsource(event_socket)))


async def test_every_duty_has_a_row(worker: WorkerProcess) -> None:
    duties = {duty.__name__ for duty in DUTIES}
    others = {each.__name__ for each in (InternalWebhooks, InlineRuns, type(worker.claims))} | {"event_socket"}
    assert {work.done_by for work in BACKGROUND.values()} == duties | others | set(LONG_RESPONSES)


def test_every_event_stream_is_a_long_response() -> None:
    streams = {name for name, route in ROUTES.items() if route.media_type == "text/event-stream"}
    assert streams <= set(LONG_RESPONSES)


@pytest.mark.parametrize("name", [name for name, work in BACKGROUND.items() if work.run_round is not None])
async def test_every_duty_can_run_one_round(name: str, served: Served, ann: Client) -> None:
    run_round = BACKGROUND[name].run_round
    assert run_round is not None
    await create_one_of_each(ann)
    await run_round(served.services)


async def test_every_sample_succeeds_for_the_owner(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    """Otherwise an attack could be rejected for a reason other than the one that its test checks."""
    statuses = {}
    for name in ROUTES:
        if name.endswith(("/wait", "/join")):
            continue  # its run ends in an hour
        statuses[name] = (await send(client, name, await create_one_of_each(ann), "ann")).status_code
    failed = {name: status for name, status in statuses.items() if status not in (200, 202, 204)}
    assert failed == dict.fromkeys(CONFLICTS, 409) | {"POST /hooks/{hook}": 404}  # the project has no hook
