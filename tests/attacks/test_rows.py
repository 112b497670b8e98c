"""Everything that the program offers has a row in the table of attacks."""

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
from slipway.execution.inline import InlineExecutor
from slipway_workers.process import DUTIES, WorkerProcess
from tests.attacks.rows import ANY_IDS, BACKGROUND, COMMANDS, HELD_OPEN, ROUTES, WITH_BODY, one_of_everything, send
from tests.auth.conftest import Client
from tests.auth.samples import samples
from tests.http.conftest import Served

METHOD = re.compile(r'"((?:agent|input|run|subscription|thread|store)\.\w+)"')
"""A command, as the modules that carry commands out spell it."""

BUSY = {"DELETE /threads/{thread_id}/runs/{run_id}", "POST /threads/{thread_id}/state"}
"""They are refused with 409 while the run waits."""


def test_every_route_has_a_row() -> None:
    assert list(ROUTES.values()) == [*ENDPOINTS, *site.ENDPOINTS]


def test_every_sample_is_of_an_existing_route() -> None:
    assert samples(dict(ANY_IDS)).keys() <= ROUTES.keys()


def test_every_route_with_a_body_has_a_sample() -> None:
    assert {name for name, route in ROUTES.items() if route.body is not None} <= WITH_BODY


def test_every_command_has_a_row() -> None:
    posted = set(METHOD.findall(inspect.getsource(event_commands)))
    assert {name for name, command in COMMANDS.items() if command.posted} == posted
    assert COMMANDS.keys() == posted | set(METHOD.findall(inspect.getsource(event_socket)))


async def test_every_duty_has_a_row(worker: WorkerProcess) -> None:
    duties = {duty.__name__ for duty in DUTIES}
    others = {each.__name__ for each in (InternalWebhooks, InlineExecutor, type(worker.claims))} | {"event_socket"}
    assert {work.by for work in BACKGROUND.values()} == duties | others | set(HELD_OPEN)


def test_every_event_stream_is_a_long_response() -> None:
    streams = {name for name, route in ROUTES.items() if route.media_type == "text/event-stream"}
    assert streams <= set(HELD_OPEN)


@pytest.mark.parametrize("name", [name for name, work in BACKGROUND.items() if work.look is not None])
async def test_every_duty_can_run_one_round(name: str, served: Served, ann: Client) -> None:
    look = BACKGROUND[name].look
    assert look is not None
    await one_of_everything(ann)
    await look(served.services)


async def test_every_sample_succeeds_for_the_owner(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    """Or an attack would be refused for another reason than the one that its test is about."""
    answers = {}
    for name in ROUTES:
        if name.endswith(("/wait", "/join")):
            continue  # its run is not over for an hour
        answers[name] = (await send(client, name, await one_of_everything(ann), "ann")).status_code
    refused = {name: status for name, status in answers.items() if status not in (200, 202, 204)}
    assert refused == dict.fromkeys(BUSY, 409)
