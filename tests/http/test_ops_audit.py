"""The audit trail of a run."""

from __future__ import annotations

import httpx

from slipway.runs.audit import AuditEntry, AuditTrail
from slipway.runs.record import new_id
from tests.http.conftest import Served
from tests.http.test_ops_runs import DELAYED, create_run


async def test_the_trail_of_a_run_is_read_in_pages(client: httpx.AsyncClient, served: Served) -> None:
    run = await create_run(client, **DELAYED)
    path = f"/ops/runs/{run['run_id']}/audit"
    assert (await client.get(path)).json() == {"entries": [], "next": None}
    for number in range(3):
        await served.services.audit.append(run["run_id"], AuditEntry("test.done", "ann", {"number": number}))
    first = (await client.get(path, params={"limit": 2})).json()
    assert [entry["details"] for entry in first["entries"]] == [{"number": 0}, {"number": 1}]
    assert {entry["actor"] for entry in first["entries"]} == {"ann"}
    last = (await client.get(path, params={"after": first["next"]})).json()
    assert [entry["details"] for entry in last["entries"]] == [{"number": 2}]
    assert last["next"] is None
    assert (await client.get(path, params={"after": "yesterday"})).status_code == 422


async def test_the_trail_of_an_unknown_run_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/ops/runs/{new_id()}/audit")).status_code == 404


async def test_the_trail_is_deleted_with_its_run(client: httpx.AsyncClient, served: Served) -> None:
    run = await create_run(client, **DELAYED)
    trail: AuditTrail = served.services.audit
    await trail.append(run["run_id"], AuditEntry("test.done", "ann", {}))
    assert (await client.delete(f"/threads/{run['thread_id']}")).status_code == 204
    assert await trail.read(run["run_id"]) == []
