"""Random requests with the key of one owner and the ids of another: no response has anything of the other, none is an
internal error, and nothing of the other is changed."""

from __future__ import annotations

import asyncio

import pytest

from tests.api_keys.conftest import Client, KeyHolder
from tests.http.conftest import Served
from tests.random_requests import ExistingIds, request_all

SECRET = "only-ann-may-read-this"


# Hypothesis runs in a thread, and takes the `random` of the server in the test's thread for that of a strategy.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("worker")
async def test_random_requests_of_another_owner_reveal_and_change_nothing(
    served: Served, ann: Client, bob_key: KeyHolder
) -> None:
    metadata = {"note": SECRET}
    graph_id = served.services.graphs.names()[0]
    thread = (await ann.threads.create(graph_id=graph_id, metadata=metadata))["thread_id"]
    await ann.runs.wait(thread, graph_id, input={"text": SECRET}, metadata=metadata, raise_error=False)
    assistant = (await ann.assistants.create(graph_id, name=SECRET, metadata=metadata))["assistant_id"]
    cron = await ann.crons.create_for_thread(thread, graph_id, schedule="0 0 1 1 *", metadata=metadata)
    await ann.store.put_item(["n", "notes"], "first", {"text": SECRET})
    before = [await ann.threads.get(thread), await ann.runs.list(thread), await ann.assistants.get(assistant)]
    ids = ExistingIds(thread, before[1][0]["run_id"], assistant, graph_id=graph_id)
    async with bob_key.http() as client:
        document = (await client.get("/openapi.json")).json()
    responses = await asyncio.to_thread(
        request_all, document, served.url, ids, bob_key.headers, forbidden=SECRET, examples=4
    )
    assert not responses.problems, "\n".join(responses.problems[:20])
    assert responses.statuses[404] > 40
    assert responses.statuses[403] > 20
    assert [await ann.threads.get(thread), await ann.runs.list(thread), await ann.assistants.get(assistant)] == before
    assert [each["cron_id"] for each in await ann.crons.search(thread_id=thread)] == [cron["cron_id"]]
    assert (await ann.store.get_item(["n", "notes"], "first"))["value"] == {"text": SECRET}
