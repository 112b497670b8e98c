"""Random requests generated from /openapi.json: each response has a declared status code, none is a 5xx except 503, and
each error has a text."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.compat.conftest import Client
from tests.http.conftest import Served
from tests.random_requests import ExistingIds, request_all


# Hypothesis runs in a thread, and takes the `random` of the server in the test's thread for that of a strategy.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("worker")
async def test_responses_match_the_openapi_document(served: Served, sdk: Client, client: httpx.AsyncClient) -> None:
    thread = (await sdk.threads.create(graph_id="steps"))["thread_id"]
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    assistant = await sdk.assistants.create("steps")
    ids = ExistingIds(thread, (await sdk.runs.list(thread))[0]["run_id"], assistant["assistant_id"])
    document = (await client.get("/openapi.json")).json()
    responses = await asyncio.to_thread(request_all, document, served.url, ids)
    assert not responses.problems, "\n".join(responses.problems[:20])
    assert responses.statuses[200] > 50
    assert responses.statuses[422] + responses.statuses[404] > 50
    assert responses.statuses.total() > 300
