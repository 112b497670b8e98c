"""Every route treats a thread with the id of a deleted thread as a new thread."""

from __future__ import annotations

import re

import httpx

from slipway.graphs.registry import Registry
from slipway.health.doctor import Doctor
from slipway.settings import Settings
from slipway.threads.scripts import ThreadScripts
from tests.attacks.rows import LONG_RESPONSES, ROUTES, create_one_of_each, send
from tests.auth.conftest import Client
from tests.auth.samples import RUN
from tests.http.conftest import Served
from tests.worker import running_worker

RUN_ROUTES = {name for name in ROUTES if "{run_id}" in name}
"""They are called with the run of the deleted thread, which does not exist, so that none waits for it."""

SHORT_ROUTES = sorted(
    (name for name in ROUTES if "{thread_id}" in name and (name not in LONG_RESPONSES or name in RUN_ROUTES)),
    key=lambda name: (name == "DELETE /threads/{thread_id}", not name.startswith("GET"), name),
)
"""Every route of a thread whose response ends. Routes that change nothing come first, the one that deletes it last."""

TICKETS = re.compile(r'(?<="ticket":")[\w-]{43}|(?<=ticket=)[\w-]{43}')
IDS_AND_TIMES = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ][\d:.]+")


async def test_a_thread_with_the_id_of_a_deleted_thread_is_like_any_new_thread(
    client: httpx.AsyncClient, ann: Client, bob: Client, served: Served, settings: Settings, graphs: Registry
) -> None:
    ids = await create_one_of_each(ann)
    used = (await ann.threads.create())["thread_id"]
    async with running_worker(settings, graphs):
        await ann.runs.wait(used, "greet", input=RUN["input"])
    state = await ann.threads.get_state(used)
    assert state["values"]
    run = await ann.runs.create(used, "greet", input=RUN["input"], after_seconds=3600)
    cron = await ann.crons.create_for_thread(used, "greet", schedule="0 0 1 1 *", input=RUN["input"])
    ids |= {"run_id": run["run_id"], "checkpoint_id": str(state["checkpoint"]["checkpoint_id"])}
    # the process that deletes it is killed before the checkpoints are deleted, and no worker is alive
    assert await ThreadScripts(served.services.pipeline, served.services.shards).delete(used) is not None

    fresh = (await bob.threads.create())["thread_id"]
    assert (await bob.threads.create(thread_id=used))["thread_id"] == used
    different = {}
    for name in SHORT_ROUTES:
        responses = []
        for thread_id in (used, fresh):
            response = await send(client, name, ids | {"thread_id": thread_id}, "bob")
            text = TICKETS.sub("", IDS_AND_TIMES.sub("", response.text)) if response.is_closed else ""
            responses.append((response.status_code, text))
        if responses[0] != responses[1]:
            different[name] = responses
    assert different == {}
    await Doctor(served.services.pipeline, served.services.shards, lease_ms=1000, repair=True).check_all()
    assert cron["cron_id"] not in {each["cron_id"] for each in await ann.crons.search()}
