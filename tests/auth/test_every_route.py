"""Calls every route without a token, as `dan`, who has no permission, and as `bob`, while every record belongs to
`ann`. The routes are those of the server, so a new route is tested without a change here."""

from __future__ import annotations

import httpx
import pytest

from slipway.api.auth.access_check import PUBLIC, requires
from slipway.api.endpoints import Endpoint
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui.site import ENDPOINTS as PAGES
from tests.attacks.rows import PUBLIC_ROUTES, ROUTES, create_one_of_each, sample_of, send
from tests.auth.conftest import Client
from tests.auth.samples import Sample
from tests.http.conftest import Served

PROTECTED_ROUTES = [name for name in ROUTES if name not in PUBLIC_ROUTES]


@pytest.mark.parametrize(("user", "status"), [("", 401), ("dan", 403)])
async def test_every_route_denies_a_client_without_permission(
    served: Served, client: httpx.AsyncClient, ann: Client, user: str, status: int
) -> None:
    ids = await create_one_of_each(ann)
    statuses = {name: (await send(client, name, ids, user)).status_code for name in PROTECTED_ROUTES}
    to_sign_in = {name for name in statuses if user == "" and ROUTES[name] in PAGES}
    assert statuses == {name: 303 if name in to_sign_in else status for name in statuses}


async def test_every_route_hides_the_records_of_another_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    ids = await create_one_of_each(ann)
    wrong = {}
    for name in PROTECTED_ROUTES:
        sample = sample_of(name, ids)
        if "graph" in name.rsplit("/", maxsplit=1)[-1] and ROUTES[name].path.startswith("/assistants"):
            sample = Sample()
        response = await send(client, name, ids, "bob", sample)
        content = response.content if response.is_stream_consumed else b""
        is_hidden = response.status_code == sample.hidden_status
        if sample.hidden_json is not None:
            is_hidden = is_hidden and response.json() == sample.hidden_json
        if not is_hidden or b"hers" in content:
            wrong[name] = (response.status_code, content[:200])
        if name in ("PUT /store/items", "DELETE /store/items"):
            assert (await ann.store.get_item(["n"], "k"))["value"] == {"text": "cat"}
        if name == "PUT /store/items":
            await send(client, "DELETE /store/items", ids, "bob")
    assert wrong == {}
    assert (await ann.threads.get(ids["thread_id"]))["metadata"]["owner"] == "ann"
    assert (await ann.runs.get(ids["thread_id"], ids["run_id"]))["status"] == "pending"
    assert (await ann.crons.search())[0]["enabled"]


async def test_public_routes_need_no_user(client: httpx.AsyncClient) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.access.public and endpoint.path != "/hooks/{hook}":  # its deliveries need a signature
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
