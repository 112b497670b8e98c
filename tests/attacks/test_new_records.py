"""What is made fits the filters of those who make it, is never made in somebody else's name, and is read by nobody who
may only make it; and a client that leaves cancels no more than it may."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.attacks.rules_server import NEVER, RUN, admin, ann, graphs, made, rules, served, settings
from tests.conftest import Eventually

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

MINE = {"owner": "ann"}
LATER = RUN | {"after_seconds": 3600}
CREATE = LATER | {"if_not_exists": "create"}


async def threads(admin: httpx.AsyncClient) -> list[Any]:
    """All there are."""
    return list(await made(admin, "/threads/search", {"limit": 100}))


@pytest.mark.parametrize("metadata", [{}, {"owner": "bob"}])
@pytest.mark.parametrize("operation", ["threads:create", "threads:create_run"])
async def test_a_thread_created_for_a_run_must_match_the_filters(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str, metadata: dict[str, Any]
) -> None:
    rules.filters = {operation: MINE}
    thread = str(uuid4())
    command = {"id": 1, "method": "run.start", "params": RUN | {"metadata": metadata}}
    answers = [
        (await ann.post(f"/threads/{thread}/runs", json=CREATE | {"metadata": metadata})).status_code,
        (await ann.post("/runs", json=LATER | {"metadata": metadata, "on_completion": "keep"})).status_code,
        (await ann.post(f"/threads/{thread}/commands", json=command)).status_code,
    ]
    assert answers == [403, 403, 403]
    assert await threads(admin) == []
    rules.written = {operation: MINE}
    await made(ann, f"/threads/{thread}/runs", CREATE | {"metadata": metadata})
    (found,) = await threads(admin)
    assert found["metadata"]["owner"] == "ann"


async def test_the_thread_of_a_run_has_the_metadata_that_the_create_handler_wrote(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    rules.written = {"threads:create": MINE | {"about": "tax"}}
    rules.filters = dict.fromkeys(("threads:create", "threads:create_run", "threads:read"), MINE)
    run = await made(ann, f"/threads/{uuid4()}/runs", CREATE | {"metadata": {"owner": "bob", "note": 1}})
    (found,) = await threads(admin)
    given = {name: found["metadata"][name] for name in ("owner", "about", "note")}
    assert given == {"owner": "ann", "about": "tax", "note": 1}
    assert (await ann.get(f"/threads/{run['thread_id']}")).status_code == 200


async def test_creating_a_thread_is_authorized_only_if_it_does_not_exist(ann: httpx.AsyncClient, rules: Any) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    rules.refused = {"threads:create"}
    await made(ann, f"/threads/{thread}/runs", CREATE)
    assert "threads:create" not in rules.operations()[1:]
    assert (await ann.post(f"/threads/{uuid4()}/runs", json=CREATE)).status_code == 403


async def test_a_temporary_thread_has_no_owner_and_accepts_no_other_run(ann: httpx.AsyncClient, rules: Any) -> None:
    rules.refused = {"threads:create"}
    run = await made(ann, "/runs", LATER)
    for body in (RUN, CREATE):
        assert (await ann.post(f"/threads/{run['thread_id']}/runs", json=body)).status_code == 404
    rules.filters = {"threads:create_run": MINE}
    assert (await ann.post("/runs", json=LATER)).status_code == 200
    assert (await ann.post("/runs", json=LATER | {"metadata": {"owner": "bob"}})).status_code == 403
    assert (await ann.post("/runs", json=LATER | {"metadata": MINE})).status_code == 200
    rules.filters = {"threads:create_run": MINE | {"team": "blue"}}
    for metadata in ({"owner": "bob"}, {"team": "red"}, MINE | {"team": "red"}):
        assert (await ann.post("/runs", json=LATER | {"metadata": metadata})).status_code == 403
    assert (await ann.post("/runs", json=LATER | {"metadata": MINE | {"team": "blue"}})).status_code == 200


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        ("threads:create", "/threads", {}),
        ("threads:update", "/threads", {"metadata": {"graph_id": "greet"}, "supersteps": [{"updates": [{}]}]}),
        ("assistants:create", "/assistants", {"graph_id": "greet"}),
        ("crons:create", "/runs/crons", RUN | {"schedule": NEVER}),
    ],
)
async def test_a_record_that_does_not_match_the_filter_is_not_created(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, operation: str, path: str, body: dict[str, Any]
) -> None:
    rules.filters = {operation: {"$or": [MINE, {"members": {"$contains": "ann"}}]}}
    for metadata in ({}, {"owner": "bob"}, {"members": ["bob"]}):
        answer = await ann.post(path, json=body | {"metadata": body.get("metadata", {}) | metadata})
        assert answer.status_code == 403, answer.text
        assert "bob" not in answer.text
    assert await threads(admin) == []
    assert await made(admin, "/runs/crons/count", {}) == 0
    found = await made(admin, "/assistants/search", {})
    assert all(each["metadata"] == {"created_by": "system"} for each in found)


async def test_a_copy_must_match_the_filter(ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any) -> None:
    source = (await made(admin, "/threads", {"metadata": {"owner": "bob"}}))["thread_id"]
    rules.filters = {"threads:create": MINE}
    assert (await ann.post(f"/threads/{source}/copy")).status_code == 403
    assert len(await threads(admin)) == 1
    rules.written = {"threads:create": MINE}
    assert (await ann.post(f"/threads/{source}/copy")).json()["metadata"]["owner"] == "ann"


@pytest.mark.parametrize("kind", ["threads", "assistants"])
async def test_creating_an_existing_record_returns_it_only_to_a_user_who_may_read_it(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, kind: str
) -> None:
    ident = str(uuid4())
    name = f"{kind[:-1]}_id"
    body = {name: ident, "graph_id": "greet", "metadata": {"owner": "bob"}, "if_exists": "do_nothing"}
    if kind == "threads":
        del body["graph_id"]
    await made(admin, f"/{kind}", body)
    rules.filters = {f"{kind}:read": MINE}
    assert (await ann.post(f"/{kind}", json=body)).status_code == 409
    rules.filters = {}
    assert (await made(ann, f"/{kind}", body))[name] == ident


@pytest.mark.parametrize("may", [True, False])
async def test_a_disconnect_cancels_a_run_only_if_the_user_may_cancel_it(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any, eventually: Eventually, may: bool
) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    run = await made(ann, f"/threads/{thread}/runs", LATER)
    rules.refused = set() if may else {"threads:update"}
    path = f"/threads/{thread}/runs/{run['run_id']}"
    streams = [
        ("GET", f"{path}/stream?cancel_on_disconnect=true", None),
        ("POST", f"/threads/{thread}/runs/stream", LATER | {"on_disconnect": "cancel"}),
    ]
    for count, (method, url, body) in enumerate(streams, 1):
        async with ann.stream(method, url, json=body) as answer:
            assert answer.status_code == 200

        async def asked(count: int = count) -> bool:
            return bool(rules.operations().count("threads:update") == count)

        await eventually(asked)

    async def statuses() -> set[str]:
        return {each["status"] for each in (await admin.get(f"/threads/{thread}/runs")).json()}

    async def all_are(status: str = "interrupted" if may else "pending") -> bool:
        return await statuses() == {status}

    await eventually(all_are)
