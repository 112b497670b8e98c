"""Calls every route as an unauthenticated client, as `dan`, who has no permission, and as `bob`, while every record
belongs to `ann`. The routes are those that the server serves, so a new route is tested without a change here."""

from __future__ import annotations

import httpx
import pytest

from slipway.api.auth.access_check import PUBLIC, requires
from slipway.api.endpoints import Endpoint
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from tests.attacks.rows import Ids, send
from tests.attacks.rows import one_of_everything as anns
from tests.auth.conftest import Client
from tests.auth.samples import Sample, samples
from tests.http.conftest import Served

GUARDED = [endpoint for endpoint in (*ENDPOINTS, *site.ENDPOINTS) if not endpoint.access.public]
__all__ = ["anns", "ask"]


async def ask(client: httpx.AsyncClient, endpoint: Endpoint, ids: Ids, sample: Sample, who: str) -> httpx.Response:
    """A sample, sent by somebody; nobody has no name."""
    return await send(client, f"{endpoint.method} {plain_path(endpoint.path)}", ids, who, sample)


def endpoint_of(method: str, path: str) -> Endpoint:
    """By what it is asked with."""
    return next(each for each in ENDPOINTS if (each.method, each.path) == (method, path))


@pytest.mark.parametrize(("who", "status"), [("", 401), ("dan", 403)])
async def test_every_route_denies_a_client_without_permission(
    served: Served, client: httpx.AsyncClient, ann: Client, who: str, status: int
) -> None:
    ids = await anns(ann)
    known = samples(ids)
    answers = {}
    for endpoint in GUARDED:
        name = f"{endpoint.method} {plain_path(endpoint.path)}"
        answers[name] = (await ask(client, endpoint, ids, known.get(name, Sample()), who)).status_code
    assert answers == dict.fromkeys(answers, status)


async def test_every_route_hides_the_records_of_another_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    ids = await anns(ann)
    known = samples(ids)
    wrong = {}
    for endpoint in GUARDED:
        name = f"{endpoint.method} {plain_path(endpoint.path)}"
        sample = known.get(name, Sample())
        if "graph" in name.rsplit("/", maxsplit=1)[-1] and endpoint.path.startswith("/assistants"):
            sample = Sample()
        found = await ask(client, endpoint, ids, sample, "bob")
        fine = found.status_code == sample.hidden and (sample.says is None or found.json() == sample.says)
        if not fine or b"hers" in getattr(found, "_content", b""):
            wrong[name] = (found.status_code, getattr(found, "_content", b"")[:200])
        if name in ("PUT /store/items", "DELETE /store/items"):
            assert (await ann.store.get_item(["n"], "k"))["value"] == {"text": "cat"}
        if name == "PUT /store/items":
            await ask(client, endpoint_of("DELETE", "/store/items"), ids, known["DELETE /store/items"], "bob")
    assert wrong == {}
    assert (await ann.threads.get(ids["thread_id"]))["metadata"]["owner"] == "ann"
    assert (await ann.runs.get(ids["thread_id"], ids["run_id"]))["status"] == "pending"
    assert (await ann.crons.search())[0]["enabled"]


async def test_public_routes_need_no_user(client: httpx.AsyncClient) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.access.public:
            assert (await client.get(endpoint.path)).status_code == 200, endpoint.path
    assert (await client.get("/")).json()["ok"] is True
    assert (await client.get("/ui/static/page.css")).status_code == 200
    preflight = {"origin": "https://desk.example", "access-control-request-method": "POST"}
    assert (await client.options("/threads", headers=preflight)).status_code == 200


def test_an_endpoint_must_declare_its_access() -> None:
    with pytest.raises(TypeError, match="access"):
        Endpoint("GET", "/x", None, "No access")  # type: ignore[arg-type,call-arg]
    assert PUBLIC.public
    assert not requires("threads:read").public
