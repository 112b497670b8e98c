"""A Redis server that rejects commands or does not reply: full, a replica, stopped, or still loading its data."""

from __future__ import annotations

import httpx
import pytest

from slipway.redis.server_pipeline import is_temporary
from slipway.runs.record import new_id
from tests.crash.cluster import Cluster
from tests.health.test_readiness import create_run, levels_by_code, set_memory_ratio
from tests.http.conftest import Served
from tests.waiting import Eventually

KEYS_TO_READ = 80_000
"""Loading so many keys takes longer than the test, which then removes the delay of loading."""


async def rejected_run(client: httpx.AsyncClient) -> dict[str, str]:
    """The error of a new run: 503 with `Retry-After` within the timeout of the client. The process stays alive."""
    response = await create_run(client)
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert (await client.get("/ok")).status_code == 200
    body: dict[str, str] = response.json()
    return body


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_a_full_server_rejects_new_runs_until_memory_is_free(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    existing, deleted = new_id(), new_id()
    assert (await create_run(client, existing)).status_code == 200
    assert (await client.post("/threads", json={"thread_id": deleted})).status_code == 200
    await set_memory_ratio(server, 1.5)

    async def is_full() -> bool:
        return (await levels_by_code(client)).get("redis.rejects_writes") == "error"

    await eventually(is_full)
    assert (await rejected_run(client))["code"] == "overloaded"
    assert (await client.post("/threads", json={})).json()["code"] == "overloaded"
    assert (await client.get(f"/threads/{existing}")).status_code == 200
    assert (await client.delete(f"/threads/{deleted}")).status_code == 204, "deletion frees memory"
    await server.pipeline.send("CONFIG", "SET", "maxmemory", 0)
    await eventually(lambda: is_ready(client))
    assert (await create_run(client)).status_code == 200


async def test_a_server_that_became_a_replica_rejects_new_runs_until_it_is_promoted(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread_id = new_id()
    assert (await create_run(client, thread_id)).status_code == 200
    await server.pipeline.send("REPLICAOF", "127.0.0.1", 1)
    assert "READONLY" in (await rejected_run(client))["detail"]

    async def is_reported() -> bool:
        return (await levels_by_code(client)).get("redis.replica") == "error"

    await eventually(is_reported)
    assert "workers.none" not in await levels_by_code(client), "workers cannot send heartbeats to a replica"
    assert (await client.get(f"/threads/{thread_id}")).status_code == 200, "a replica serves reads"
    await server.pipeline.send("REPLICAOF", "NO", "ONE")
    await eventually(lambda: is_ready(client))
    assert (await create_run(client)).status_code == 200


async def test_a_stopped_server_rejects_new_runs_until_it_replies(
    server: Cluster, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    server.valkey.suspend()
    assert (await rejected_run(client))["code"] == "store.unavailable"
    await eventually(lambda: _is_unavailable(client))
    server.valkey.resume()
    await eventually(lambda: is_ready(client))
    assert (await create_run(client)).status_code == 200


async def _is_unavailable(client: httpx.AsyncClient) -> bool:
    return (await levels_by_code(client)).get("redis.unavailable") == "error"


async def test_a_loading_server_rejects_new_runs_until_its_data_is_loaded(
    server: Cluster, served: Served, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread_id = new_id()
    assert (await create_run(client, thread_id)).status_code == 200
    for number in range(KEYS_TO_READ):
        server.pipeline.send("SET", f"{server.keys.prefix}:ballast:{number}", 1)
    await server.pipeline.send("PING")
    await server.valkey.kill()
    server.valkey.start("--key-load-delay", "500")

    async def is_loading() -> bool:
        return "redis.loading" in await levels_by_code(client)

    await eventually(is_loading)
    assert (await rejected_run(client))["code"] == "store.unavailable"
    server.pipeline.send("CONFIG", "SET", "key-load-delay", 0)
    await eventually(lambda: is_ready(client))
    assert (await client.get(f"/threads/{thread_id}")).status_code == 200, "acknowledged writes are loaded"
    assert (await create_run(client)).status_code == 200


@pytest.mark.parametrize("error", ["ERR Error running script (call to f_1): @user_script:4: -OOM command not allowed"])
def test_an_error_wrapped_by_an_older_server_is_recognised(error: str) -> None:
    assert is_temporary(error)
    assert not is_temporary("ERR Error running script (call to f_1): @user_script:4: attempt to index nil")
