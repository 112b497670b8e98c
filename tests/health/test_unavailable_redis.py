"""A server that answers, but does not do what it is asked: full, demoted, paused, or still reading its data back."""

from __future__ import annotations

import httpx
import pytest

from slipway.runs.record import new_id
from tests.conftest import Eventually
from tests.crash.cluster import Cluster
from tests.health.test_readiness import codes, create, fill
from tests.http.conftest import Served

KEYS_TO_READ = 80_000
"""So many that they are being read for as long as the test looks; then it lets the server hurry."""


async def refused_in_time(client: httpx.AsyncClient) -> dict[str, str]:
    """A new run gets 503 with `Retry-After` before the client's own patience ends; the process stays alive."""
    answer = await create(client)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert (await client.get("/ok")).status_code == 200
    body: dict[str, str] = answer.json()
    return body


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_a_full_server_rejects_new_runs_until_memory_is_free(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    kept, doomed = new_id(), new_id()
    assert (await create(client, kept)).status_code == 200
    assert (await client.post("/threads", json={"thread_id": doomed})).status_code == 200
    await fill(server, 1.5)

    async def refuses() -> bool:
        return (await codes(client)).get("store.refuses") == "error"

    await eventually(refuses)
    assert (await refused_in_time(client))["code"] == "overloaded"
    assert (await client.post("/threads", json={})).json()["code"] == "store.unavailable"
    assert (await client.get(f"/threads/{kept}")).status_code == 200
    assert (await client.delete(f"/threads/{doomed}")).status_code == 204, "deleting is how memory becomes free"
    await server.pipeline.send("CONFIG", "SET", "maxmemory", 0)
    await eventually(lambda: is_ready(client))
    assert (await create(client)).status_code == 200


async def test_a_server_that_became_a_replica_rejects_new_runs_until_it_is_promoted(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread_id = new_id()
    assert (await create(client, thread_id)).status_code == 200
    await server.pipeline.send("REPLICAOF", "127.0.0.1", 1)
    assert "READONLY" in (await refused_in_time(client))["detail"]

    async def told() -> bool:
        return (await codes(client)).get("store.replica") == "error"

    await eventually(told)
    assert "workers.none" not in await codes(client), "they cannot report"
    assert (await client.get(f"/threads/{thread_id}")).status_code == 200, "reading goes on"
    await server.pipeline.send("REPLICAOF", "NO", "ONE")
    await eventually(lambda: is_ready(client))
    assert (await create(client)).status_code == 200


async def test_a_stopped_server_rejects_new_runs_until_it_replies(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    server.valkey.suspend()
    assert (await refused_in_time(client))["code"] == "store.unavailable"
    await eventually(lambda: _told_away(client))
    server.valkey.resume()
    await eventually(lambda: is_ready(client))
    assert (await create(client)).status_code == 200


async def _told_away(client: httpx.AsyncClient) -> bool:
    return (await codes(client)).get("store.away") == "error"


async def test_a_loading_server_rejects_new_runs_until_its_data_is_loaded(
    server: Cluster, served: Served, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread_id = new_id()
    assert (await create(client, thread_id)).status_code == 200
    for number in range(KEYS_TO_READ):
        server.pipeline.send("SET", f"{server.keys.prefix}:ballast:{number}", 1)
    await server.pipeline.send("PING")
    await server.valkey.kill()
    server.valkey.start("--key-load-delay", "500")

    async def reads_back() -> bool:
        return "store.loading" in await codes(client)

    await eventually(reads_back)
    assert (await refused_in_time(client))["code"] == "store.unavailable"
    server.pipeline.send("CONFIG", "SET", "key-load-delay", 0)
    await eventually(lambda: is_ready(client))
    assert (await client.get(f"/threads/{thread_id}")).status_code == 200, "nothing acknowledged is lost"
    assert (await create(client)).status_code == 200


@pytest.mark.parametrize("said", ["ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed"])
def test_an_error_wrapped_by_an_older_server_is_recognised(said: str) -> None:
    from slipway.redis.pipeline import is_temporary

    assert is_temporary(said)
    assert not is_temporary("ERR Error running script (call to f_1): @user_script:4: attempt to index nil")
