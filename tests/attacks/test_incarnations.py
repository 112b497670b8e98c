"""A thread id that was somebody else's: whoever makes a thread with it gets a new thread, by every route."""

from __future__ import annotations

import re

import httpx

from slipway.graphs.registry import Registry
from slipway.health.doctor import Doctor
from slipway.settings import Settings
from slipway.threads.scripts import ThreadScripts
from tests.attacks.rows import HELD_OPEN, ROUTES, one_of_everything, send
from tests.auth.conftest import Client
from tests.auth.samples import RUN
from tests.http.conftest import Served
from tests.working import working

OF_RUNS = {name for name in ROUTES if "{run_id}" in name}
"""They are asked about the run of the removed thread, also where they would be held open by one that exists."""

ASKED = sorted(
    (name for name in ROUTES if "{thread_id}" in name and (name not in HELD_OPEN or name in OF_RUNS)),
    key=lambda name: (name == "DELETE /threads/{thread_id}", not name.startswith("GET"), name),
)
"""Every route of a thread whose answer ends: first those that change nothing, at last the one that removes it."""

CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ][\d:.]+")
"""Ids and times."""


async def test_a_thread_with_the_id_of_a_deleted_thread_is_like_any_new_thread(
    client: httpx.AsyncClient, ann: Client, bob: Client, served: Served, settings: Settings, graphs: Registry
) -> None:
    ids = await one_of_everything(ann)
    used = (await ann.threads.create())["thread_id"]
    async with working(settings, graphs):
        await ann.runs.wait(used, "greet", input=RUN["input"])
    state = await ann.threads.get_state(used)
    assert state["values"]
    run = await ann.runs.create(used, "greet", input=RUN["input"], after_seconds=3600)
    cron = await ann.crons.create_for_thread(used, "greet", schedule="0 0 1 1 *", input=RUN["input"])
    ids |= {"run_id": run["run_id"], "checkpoint_id": str(state["checkpoint"]["checkpoint_id"])}
    # whoever removed it was killed before its checkpoints were gone, and no worker lives
    assert await ThreadScripts(served.services.pipeline, served.services.keys).delete(used) is not None

    fresh = (await bob.threads.create())["thread_id"]
    assert (await bob.threads.create(thread_id=used))["thread_id"] == used
    different = {}
    for name in ASKED:
        found = []
        for thread_id in (used, fresh):
            answer = await send(client, name, ids | {"thread_id": thread_id}, "bob")
            found.append((answer.status_code, CHANGING.sub("", answer.text) if answer.is_closed else ""))
        if found[0] != found[1]:
            different[name] = found
    assert different == {}
    await Doctor(served.services.pipeline, served.services.keys, lease_ms=1000, repair=True).check_all()
    assert cron["cron_id"] not in {each["cron_id"] for each in await ann.crons.search()}
