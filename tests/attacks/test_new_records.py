"""A new record must match the filters of the user who creates it, and a user who may only create records cannot read
them. A client that disconnects cancels only runs that it may cancel."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.attacks.rules_server import DELAYED_RUN, RUN, YEARLY, admin, ann, graphs, post_json, rules, served, settings
from tests.waiting import Eventually

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

OWNED_BY_ANN = {"owner": "ann"}
RUN_ON_NEW_THREAD = DELAYED_RUN | {"if_not_exists": "create"}


async def all_threads(admin: httpx.AsyncClient) -> list[Any]:
    return list(await post_json(admin, "/threads/search", {"limit": 100}))


@pytest.mark.parametrize("metadata", [{}, {"owner": "bob"}])
@pytest.mark.parametrize("operation", ["threads:create", "threads:create_run"])
async def test_a_thread_created_for_a_run_must_match_the_filters(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str, metadata: dict[str, Any]
) -> None:
    rules.filters = {operation: OWNED_BY_ANN}
    thread = str(uuid4())
    command = {"id": 1, "method": "run.start", "params": RUN | {"metadata": metadata}}
    statuses = [
        (await ann.post(f"/threads/{thread}/runs", json=RUN_ON_NEW_THREAD | {"metadata": metadata})).status_code,
        (await ann.post("/runs", json=DELAYED_RUN | {"metadata": metadata, "on_completion": "keep"})).status_code,
        (await ann.post(f"/threads/{thread}/commands", json=command)).status_code,
    ]
    assert statuses == [403, 403, 403]
    assert await all_threads(admin) == []
    rules.metadata = {operation: OWNED_BY_ANN}
    await post_json(ann, f"/threads/{thread}/runs", RUN_ON_NEW_THREAD | {"metadata": metadata})
    (found,) = await all_threads(admin)
    assert found["metadata"]["owner"] == "ann"


async def test_the_thread_of_a_run_has_the_metadata_that_the_create_handler_wrote(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    rules.metadata = {"threads:create": OWNED_BY_ANN | {"about": "tax"}}
    rules.filters = dict.fromkeys(("threads:create", "threads:create_run", "threads:read"), OWNED_BY_ANN)
    run = await post_json(
        ann, f"/threads/{uuid4()}/runs", RUN_ON_NEW_THREAD | {"metadata": {"owner": "bob", "note": 1}}
    )
    (found,) = await all_threads(admin)
    metadata = {name: found["metadata"][name] for name in ("owner", "about", "note")}
    assert metadata == {"owner": "ann", "about": "tax", "note": 1}
    assert (await ann.get(f"/threads/{run['thread_id']}")).status_code == 200


async def test_creating_a_thread_is_authorized_only_if_it_does_not_exist(ann: httpx.AsyncClient, rules: Any) -> None:
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    rules.denied = {"threads:create"}
    await post_json(ann, f"/threads/{thread}/runs", RUN_ON_NEW_THREAD)
    assert "threads:create" not in rules.operations()[1:]
    assert (await ann.post(f"/threads/{uuid4()}/runs", json=RUN_ON_NEW_THREAD)).status_code == 403


async def test_a_temporary_thread_has_no_owner_and_accepts_no_other_run(ann: httpx.AsyncClient, rules: Any) -> None:
    rules.denied = {"threads:create"}
    run = await post_json(ann, "/runs", DELAYED_RUN)
    for body in (RUN, RUN_ON_NEW_THREAD):
        assert (await ann.post(f"/threads/{run['thread_id']}/runs", json=body)).status_code == 404
    rules.filters = {"threads:create_run": OWNED_BY_ANN}
    assert (await ann.post("/runs", json=DELAYED_RUN)).status_code == 200
    assert (await ann.post("/runs", json=DELAYED_RUN | {"metadata": {"owner": "bob"}})).status_code == 403
    assert (await ann.post("/runs", json=DELAYED_RUN | {"metadata": OWNED_BY_ANN})).status_code == 200
    rules.filters = {"threads:create_run": OWNED_BY_ANN | {"team": "blue"}}
    for metadata in ({"owner": "bob"}, {"team": "red"}, OWNED_BY_ANN | {"team": "red"}):
        assert (await ann.post("/runs", json=DELAYED_RUN | {"metadata": metadata})).status_code == 403
    assert (
        await ann.post("/runs", json=DELAYED_RUN | {"metadata": OWNED_BY_ANN | {"team": "blue"}})
    ).status_code == 200


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        ("threads:create", "/threads", {}),
        ("threads:update", "/threads", {"metadata": {"graph_id": "greet"}, "supersteps": [{"updates": [{}]}]}),
        ("assistants:create", "/assistants", {"graph_id": "greet"}),
        ("crons:create", "/runs/crons", RUN | {"schedule": YEARLY}),
    ],
)
async def test_a_record_that_does_not_match_the_filter_is_not_created(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str, path: str, body: dict[str, Any]
) -> None:
    rules.filters = {operation: {"$or": [OWNED_BY_ANN, {"members": {"$contains": "ann"}}]}}
    for metadata in ({}, {"owner": "bob"}, {"members": ["bob"]}):
        response = await ann.post(path, json=body | {"metadata": body.get("metadata", {}) | metadata})
        assert response.status_code == 403, response.text
        assert "bob" not in response.text
    assert await all_threads(admin) == []
    assert await post_json(admin, "/runs/crons/count", {}) == 0
    found = await post_json(admin, "/assistants/search", {})
    assert all(each["metadata"] == {"created_by": "system"} for each in found)


async def test_a_copy_must_match_the_filter(ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any) -> None:
    source = (await post_json(admin, "/threads", {"metadata": {"owner": "bob"}}))["thread_id"]
    rules.filters = {"threads:create": OWNED_BY_ANN}
    assert (await ann.post(f"/threads/{source}/copy")).status_code == 403
    assert len(await all_threads(admin)) == 1
    rules.metadata = {"threads:create": OWNED_BY_ANN}
    assert (await ann.post(f"/threads/{source}/copy")).json()["metadata"]["owner"] == "ann"


@pytest.mark.parametrize("kind", ["threads", "assistants"])
async def test_creating_an_existing_record_returns_it_only_to_a_user_who_may_read_it(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, kind: str
) -> None:
    record_id = str(uuid4())
    name = f"{kind[:-1]}_id"
    body = {name: record_id, "graph_id": "greet", "metadata": {"owner": "bob"}, "if_exists": "do_nothing"}
    if kind == "threads":
        del body["graph_id"]
    await post_json(admin, f"/{kind}", body)
    rules.filters = {f"{kind}:read": OWNED_BY_ANN}
    assert (await ann.post(f"/{kind}", json=body)).status_code == 409
    rules.filters = {}
    assert (await post_json(ann, f"/{kind}", body))[name] == record_id


@pytest.mark.parametrize("may_cancel", [True, False])
async def test_a_disconnect_cancels_a_run_only_if_the_user_may_cancel_it(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, eventually: Eventually, may_cancel: bool
) -> None:
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    run = await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN)
    rules.denied = set() if may_cancel else {"threads:update"}
    path = f"/threads/{thread}/runs/{run['run_id']}"
    streams = [
        ("GET", f"{path}/stream?cancel_on_disconnect=true", None),
        ("POST", f"/threads/{thread}/runs/stream", DELAYED_RUN | {"on_disconnect": "cancel"}),
    ]
    for count, (method, url, body) in enumerate(streams, 1):
        async with ann.stream(method, url, json=body) as response:
            assert response.status_code == 200

        async def was_authorized(count: int = count) -> bool:
            return bool(rules.operations().count("threads:update") == count)

        await eventually(was_authorized)

    async def statuses() -> set[str]:
        return {each["status"] for each in (await admin.get(f"/threads/{thread}/runs")).json()}

    async def all_are(status: str = "interrupted" if may_cancel else "pending") -> bool:
        return await statuses() == {status}

    await eventually(all_are)
