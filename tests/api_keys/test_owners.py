"""A key with an owner reaches the records of that owner and nothing else, on every route and command.

Bob's key asks every route of `tests/attacks/rows.py` for the records of the owner `n`, and gets what he would get for
records that do not exist. Nothing of them changes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from slipway_workers.duties.scheduler import Scheduler
from tests.api_keys.conftest import Client, KeyHolder, new_holder
from tests.attacks.rows import (
    ANY_IDS,
    COMMANDS,
    OPERATOR_ROUTES,
    PUBLIC_ROUTES,
    ROUTES,
    create_one_of_each,
    sample_of,
    send,
)
from tests.attacks.test_hidden_records import HIDDEN, MAY_BE_NEW, send_as_bob, unknown
from tests.auth.samples import CRON, NEW, RUN, Sample
from tests.http.conftest import Served
from tests.waiting import wait_until
from tests.worker import running_worker

FOREIGN_NAMESPACE = {
    "PUT /store/items": 403,
    "GET /store/items": 404,
    "DELETE /store/items": 403,
}
"""The status for a namespace of another owner."""
GRAPH = {"graph_id": "greet"}


@pytest.fixture
async def bob_client(bob_key: KeyHolder) -> AsyncIterator[httpx.AsyncClient]:
    async with bob_key.http() as client:
        yield client


RECORDS = (":thread", ":run:", ":events:", ":assistant", ":cron", ":store_", ":store:", ":review", ":checkpoint")
"""The beginnings of the names of keys that hold what belongs to owners."""


async def stored(pipeline: Pipeline, keys: Keys) -> dict[bytes, bytes]:
    """All records that belong to owners."""
    names = await pipeline.send("KEYS", f"{keys.prefix}:*")
    owned = [name for name in names if name.decode().removeprefix(keys.prefix).startswith(RECORDS)]
    owned = [name for name in owned if name.decode() != keys.system_assistants]  # those of langgraph.json
    assert len(owned) > 5, "records have other names now"
    return {name: await pipeline.send("DUMP", name) for name in owned}


async def test_every_route_treats_records_of_another_owner_as_not_existing(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder, pipeline: Pipeline, keys: Keys
) -> None:
    """The table of all routes: the status that each has for hidden records, no byte of them, and no change."""
    ids = await create_one_of_each(ann)
    await ann.threads.update(ids["thread_id"], metadata={"note": "a secret of n"})
    before = await stored(pipeline, keys)
    wrong: dict[str, str] = {}
    for name in ROUTES:
        if name in PUBLIC_ROUTES or name in MAY_BE_NEW or name == "GET /ui/graphs/{graph_id}":
            continue
        sample = sample_of(name, ids)
        expected = FOREIGN_NAMESPACE.get(name, sample.hidden_status)
        response = await send(client, name, ids, headers=bob_key.headers)
        if response.status_code != expected:
            wrong[name] = f"{response.status_code} instead of {expected}: {response.text[:200]}"
        elif "a secret of n" in response.text or ids["thread_id"] in response.text.replace(
            f"thread {ids['thread_id']}", ""
        ):
            if expected not in (404, 409):
                wrong[name] = response.text[:300]
        elif expected == 200 and sample.hidden_json is not None and response.json() != sample.hidden_json:
            wrong[name] = response.text[:300]
    assert wrong == {}
    after = await stored(pipeline, keys)
    assert {name for name in before if before[name] != after.get(name)} == set(), "something of another owner changed"


async def test_a_hidden_id_gets_the_response_of_an_unknown_id(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder
) -> None:
    ids = await create_one_of_each(ann)
    headers = {"authorization": f"Bearer {bob_key.key.text}"}
    different = {}
    for name in HIDDEN:
        hidden = await send_as_bob(client, name, ids, headers=headers)
        none = await send_as_bob(client, name, unknown(ids), headers=headers)
        if hidden != none or hidden.status == 401:
            different[name] = (hidden, none)
    assert different == {}


async def test_no_route_of_operators_accepts_a_key_with_an_owner(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder
) -> None:
    """But those for owners, such as those of reviews, where the records of another owner do not exist."""
    ids = await create_one_of_each(ann)
    for name, route in OPERATOR_ROUTES.items():
        response = await send(client, name, ids, headers=bob_key.headers)
        if not route.access.owners:
            assert response.status_code == 403, f"{name}: {response.text[:200]}"
        elif "{" in name:
            assert response.status_code == 404, f"{name}: {response.text[:200]}"
        else:
            assert response.status_code in (200, 422), name
            assert name.endswith("/events") or ids["run_id"] not in response.text, name


async def test_event_commands_find_nothing_of_another_owner(
    served: Served, client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder
) -> None:
    """Over HTTP and over a socket, on the thread of ann and on a thread of bob with a run of ann."""
    ids = await create_one_of_each(ann)
    async with bob_key.http() as bob:
        for command in COMMANDS.values():
            if command.posted:
                response = await bob.post(f"/threads/{ids['thread_id']}/commands", json=command.frame(ids))
                assert response.status_code == 404 or response.json()["type"] == "error", command.method
        stream = await bob.post(f"/threads/{ids['thread_id']}/stream/events", json={"channels": ["values"]})
        assert stream.status_code == 404
    url = f"{served.url.replace('http', 'ws')}/threads/{ids['thread_id']}/stream/events"
    async with connect(url, additional_headers=dict(bob_key.headers)) as socket:
        await socket.wait_closed()
    assert socket.close_code == 4404
    assert [run["run_id"] for run in await ann.runs.list(ids["thread_id"])] == [ids["run_id"]]


TREE = {"id": 1, "method": "agent.getTree", "params": {}}


async def test_a_key_that_only_reads_cannot_tell_a_hidden_thread_from_an_unused_id_by_the_event_protocol(
    served: Served, ann: Client, bob: Client
) -> None:
    """The event protocol works before the thread exists, for those who may create it."""
    hidden, unused = (await ann.threads.create())["thread_id"], new_id()
    own = (await bob.threads.create())["thread_id"]
    reader = await new_holder(served, "runs:read", owner="bob")
    everybodys = await new_holder(served, "runs:read")

    async def answers(holder: KeyHolder, thread_id: str) -> list[object]:
        found: list[object] = []
        path = f"/threads/{thread_id}"
        async with holder.http() as client:
            for command in (TREE, {"id": 1, "method": "run.start", "params": {"assistant_id": "greet"}}, {}):
                response = await client.post(f"{path}/commands", json=command)
                found.append((response.status_code, response.text.replace(thread_id, "")))
            ticket = await client.post(f"{path}/stream/events/ticket")
            found.append((ticket.status_code, "" if ticket.is_success else ticket.text.replace(thread_id, "")))
            body = {"channels": ["values"]}
            async with client.stream("POST", f"{path}/stream/events", json=body) as stream:
                text = "" if stream.status_code == 200 else (await stream.aread()).decode().replace(thread_id, "")
                found.append((stream.status_code, text))
        url = f"{served.url.replace('http', 'ws')}{path}/stream/events"
        async with connect(url, additional_headers=dict(holder.headers)) as socket:
            try:
                await socket.send(json.dumps(TREE))
                found.append(json.loads(await socket.recv())["type"])
            except ConnectionClosed:
                found.append((socket.close_code, (socket.close_reason or "").replace(thread_id, "")))
        return found

    refused: Any = await answers(reader, hidden)
    assert [each[0] for each in refused] == [404, 404, 404, 404, 404, 4404]
    assert await answers(reader, unused) == refused
    assert [each[0] for each in await answers(everybodys, unused)] == [404, 404, 404, 404, 404, 4404]  # type: ignore[index]
    existing: Any = await answers(reader, own)
    assert [each[0] for each in existing[:-1]] == [200, 403, 400, 200, 200]
    writer = await new_holder(served, "runs:write", owner="bob")
    async with writer.http() as client:
        assert (await client.post(f"/threads/{unused}/commands", json=TREE)).status_code == 200


@pytest.mark.parametrize(
    "extra", [{}, {"if_not_exists": "create"}, {"if_not_exists": "create", "multitask_strategy": "rollback"}]
)
@pytest.mark.parametrize("end", ["", "/wait", "/stream"])
async def test_GHSA_747p_c922_m55f_if_not_exists_does_not_skip_the_owner(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder, extra: dict[str, str], end: str
) -> None:
    """A run with `if_not_exists` on the thread of another owner is refused as on a thread that does not exist. With
    `create` the id is in use, which the creation of a record with a chosen id cannot hide; nothing else is shown."""
    ids = await create_one_of_each(ann)
    path = f"/threads/{ids['thread_id']}/runs{end}"
    refused = await client.post(path, json=RUN | extra, headers=bob_key.headers)
    assert refused.status_code == 404, refused.text
    assert [run["run_id"] for run in await ann.runs.list(ids["thread_id"])] == [ids["run_id"]]
    thread: Any = await ann.threads.get(ids["thread_id"])
    assert thread["metadata"]["owner"] == "n"


async def test_supersteps_copies_and_batches_reach_nothing_of_another_owner(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder
) -> None:
    ids = await create_one_of_each(ann)
    steps = [{"updates": [{"values": {"text": "x"}, "as_node": "__start__"}]}]
    requests: dict[str, tuple[Any, int]] = {
        "/threads": ({"thread_id": ids["thread_id"], "supersteps": steps, "metadata": {"graph_id": "greet"}}, 409),
        f"/threads/{ids['thread_id']}/copy": ({}, 409),
        "/runs/batch": ([RUN, RUN | {"assistant_id": ids["assistant_id"]}], 404),
        "/runs/cancel": ({"thread_id": ids["thread_id"], "run_ids": [ids["run_id"]]}, 404),
    }
    for path, (body, status) in requests.items():
        response = await client.post(path, json=body, headers=bob_key.headers)
        assert response.status_code == status, f"{path}: {response.text}"
    unused = await client.post(f"/threads/{new_id()}/copy", json={}, headers=bob_key.headers)
    assert unused.status_code == 409, "as for the thread of another owner"
    again: dict[str, Any] = {"thread_id": ids["thread_id"], "supersteps": steps, "if_exists": "do_nothing"}
    again["metadata"] = {"graph_id": "greet"}
    assert (await client.post("/threads", json=again, headers=bob_key.headers)).status_code == 409
    everything = await client.post("/runs/cancel", json={"status": "all"}, headers=bob_key.headers)
    assert everything.status_code in (204, 404)
    assert (await ann.runs.get(ids["thread_id"], ids["run_id"]))["status"] == "pending"
    assert (await ann.threads.get_history(ids["thread_id"])) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads", {}),
        ("/assistants", GRAPH),
        ("/runs", RUN),
        ("/runs/crons", CRON),
        ("/threads/{thread_id}/runs", RUN),
        ("/threads/{thread_id}/runs/crons", CRON),
        ("/threads/{thread_id}/runs/stream", RUN),
        ("/runs/batch", [RUN]),
    ],
)
async def test_metadata_cannot_name_another_owner(
    client: httpx.AsyncClient, bob: Client, bob_key: KeyHolder, path: str, body: Any
) -> None:
    """Neither in a new record nor with a null, and not in the metadata of the config of a run."""
    ids = {"thread_id": (await bob.threads.create())["thread_id"]}
    path = path.format(**ids)

    def named(owner: object) -> Any:
        return (
            [each | {"metadata": {"owner": owner}} for each in body]
            if isinstance(body, list)
            else body | {"metadata": {"owner": owner}}
        )

    for owner in ("n", "", None, ["bob"], {"$eq": "bob"}, 7):
        response = await client.post(path, json=named(owner), headers=bob_key.headers)
        assert response.status_code == 403, f"{owner!r}: {response.text}"
        assert "metadata.owner" in response.json()["detail"]
    if not path.endswith("/stream"):
        assert (await client.post(path, json=named("bob"), headers=bob_key.headers)).status_code == 200


async def test_no_change_replaces_the_owner(client: httpx.AsyncClient, bob: Client, bob_key: KeyHolder) -> None:
    thread_id = (await bob.threads.create())["thread_id"]
    assistant_id = (await bob.assistants.create("greet"))["assistant_id"]
    cron_id = (await bob.crons.create("greet", schedule="0 0 1 1 *", input={}))["cron_id"]
    for path in (f"/threads/{thread_id}", f"/assistants/{assistant_id}", f"/runs/crons/{cron_id}"):
        for owner in ("n", None, "", ["bob"]):
            changed = await client.patch(path, json={"metadata": {"owner": owner}}, headers=bob_key.headers)
            assert changed.status_code == 403, f"{path} {owner!r}: {changed.text}"
        kept = await client.patch(path, json={"metadata": {"note": "x"}}, headers=bob_key.headers)
        assert kept.status_code == 200, kept.text
        assert (await client.get(path, headers=bob_key.headers)).status_code == 200


async def test_metadata_of_a_config_cannot_name_another_owner(
    client: httpx.AsyncClient, bob: Client, bob_key: KeyHolder
) -> None:
    """Runs inherit it, so neither a run nor an assistant nor a cron can have it. The error names the member."""
    thread_id = (await bob.threads.create())["thread_id"]
    assistant_id = (await bob.assistants.create("greet"))["assistant_id"]
    cron_id = (await bob.crons.create("greet", schedule="0 0 1 1 *", input={}))["cron_id"]
    requests: list[tuple[str, str, Any]] = [
        ("POST", f"/threads/{thread_id}/runs", RUN),
        ("POST", f"/threads/{thread_id}/runs", RUN | {"metadata": {"owner": "bob"}}),
        ("POST", "/runs", RUN),
        ("POST", "/runs/crons", CRON),
        ("POST", f"/threads/{thread_id}/runs/crons", CRON),
        ("PATCH", f"/runs/crons/{cron_id}", {}),
        ("PATCH", f"/runs/crons/{cron_id}", {"enabled": False}),
        ("POST", "/assistants", GRAPH),
        ("PATCH", f"/assistants/{assistant_id}", {}),
        ("PATCH", f"/assistants/{assistant_id}", {"metadata": {"owner": "bob"}}),
    ]
    for method, path, body in requests:
        for owner, status in (("n", 403), (None, 403), ("bob", 200)):
            configured = body | {"config": {"metadata": {"owner": owner}}}
            response = await client.request(method, path, json=configured, headers=bob_key.headers)
            assert response.status_code == status, f"{method} {path} {owner!r}: {response.text}"
            if status == 403:
                assert response.json()["detail"].startswith(f"config.metadata.owner: {owner!r}"), response.text
    command = {"id": 1, "method": "run.start", "params": {"assistant_id": "greet", "input": {}}}
    command["params"] |= {"config": {"metadata": {"owner": "n"}}}  # type: ignore[operator]
    started = await client.post(f"/threads/{thread_id}/commands", json=command, headers=bob_key.headers)
    assert started.status_code == 403, started.text


async def test_the_runs_of_a_cron_belong_to_its_owner_and_a_stored_user_is_restricted(
    served: Served, settings: Any, graphs: Any, bob: Client, ann: Client
) -> None:
    """A worker creates and starts runs for the stored user, without the key: it was revoked meanwhile."""
    cron = await bob.crons.create("greet", schedule="0 0 1 1 *", input={}, on_run_completed="keep")
    services = served.services
    for key in (await services.api_keys.page(10)).keys:
        await services.api_keys.revoke(key.key_id, "the test")
    stored_cron = await services.crons.get(cron["cron_id"])
    assert stored_cron.request.user is not None
    assert stored_cron.request.user["slipway_access"]["owner"] == "bob"
    async with running_worker(settings, graphs) as (_, worker):
        await services.pipeline.send("ZADD", services.keys.crons_due, "1", cron["cron_id"])
        await services.pipeline.send("HSET", services.keys.cron(cron["cron_id"]), "next_ms", "1")
        await Scheduler(worker).run_once()

        async def runs() -> list[Any]:
            found = await client_runs(served)
            return [run for run in found if run["status"] == "success"]

        await wait_until(runs)
        (run,) = await runs()
    assert run["metadata"]["owner"] == "bob"
    assert run["owner"] == "bob"


async def client_runs(served: Served) -> list[Any]:
    """All runs, as an administrator sees them."""
    holder = await new_holder(served, "administer")
    async with holder.http() as client:
        found: list[Any] = (await client.get("/ops/runs")).json()["runs"]
    return found


async def test_owners_share_the_assistants_of_langgraph_json_only(
    served: Served, bob: Client, ann: Client, client: httpx.AsyncClient, bob_key: KeyHolder
) -> None:
    """Nobody can create an assistant that looks like one of them."""
    admin = await new_holder(served, "administer")
    for metadata in (
        {"created_by": "system"},
        {"slipway_system": True},
        {"created_by": "system", "slipway_system": True},
    ):
        async with admin.sdk() as sdk:
            await sdk.assistants.create("greet", metadata=metadata, name="forged")
        await ann.assistants.create("greet", metadata=metadata, name="forged")
    own = await bob.assistants.create("greet", name="own")
    found: Any = await bob.assistants.search(limit=100)
    assert {each["name"] for each in found} == {"greet", "asking", "waiting", "own"}
    assert await bob.assistants.count() == 4
    system = next(each for each in found if each["name"] == "greet")
    assert (await bob.assistants.get("greet"))["assistant_id"] == system["assistant_id"]
    assert (await bob.assistants.get_schemas("greet"))["graph_id"] == "greet"
    for body in ({"name": "x"}, {"metadata": {"created_by": "me"}}):
        path = f"/assistants/{system['assistant_id']}"
        assert (await client.patch(path, json=body, headers=bob_key.headers)).status_code >= 400
    assert (await client.delete(path, headers=bob_key.headers)).status_code >= 400
    hidden = next(each for each in await ann.assistants.search(limit=100) if each["name"] == "forged")
    run = await client.post("/runs", json=RUN | {"assistant_id": hidden["assistant_id"]}, headers=bob_key.headers)
    assert run.status_code == 404
    assert own["metadata"]["owner"] == "bob"


async def test_the_store_is_divided_by_owners(ann: Client, bob: Client, served: Served, bob_key: KeyHolder) -> None:
    """Also from an owner whose name begins with that of another."""
    longer = await new_holder(served, "runs:write", owner="bobby")
    async with longer.sdk() as bobby:
        for sdk, owner in ((ann, "n"), (bob, "bob"), (bobby, "bobby")):
            await sdk.store.put_item([owner, "notes"], "k", {"text": f"a cat of {owner}"})
    for prefix in ([], ["bob"], ["bob", "notes"]):
        found = (await bob.store.search_items(prefix, query="cat"))["items"]
        assert [each["namespace"][0] for each in found] == ["bob"], prefix
        assert [each["namespace"][0] for each in (await bob.store.search_items(prefix))["items"]] == ["bob"]
        assert (await bob.store.list_namespaces(prefix=prefix))["namespaces"] == [["bob", "notes"]]
    for prefix in (["n"], ["bobby"], ["bo"], ["n", "notes"], ["notes"]):
        assert (await bob.store.search_items(prefix))["items"] == [], prefix
        assert (await bob.store.list_namespaces(prefix=prefix))["namespaces"] == [], prefix
    assert (await bob.store.list_namespaces(prefix=["*", "notes"]))["namespaces"] == [["bob", "notes"]]
    assert (await bob.store.list_namespaces(suffix=["notes"]))["namespaces"] == [["bob", "notes"]]
    assert (await bob.store.list_namespaces(max_depth=1))["namespaces"] == [["bob"]]
    async with bob_key.http() as client:
        for namespace in (["n"], ["bobby", "notes"], ["BOB"], ["bob "], ["*"]):
            item = {"namespace": namespace, "key": "k"}
            assert (await client.put("/store/items", json=item | {"value": {}})).status_code == 403
            assert (await client.request("DELETE", "/store/items", json=item)).status_code == 403
            dotted = {"namespace": ".".join(namespace), "key": "k"}
            assert (await client.get("/store/items", params=dotted)).status_code == 404
        assert (await client.put("/store/items", json={"namespace": [], "key": "k", "value": {}})).status_code >= 400
    assert (await ann.store.get_item(["n", "notes"], "k"))["value"] == {"text": "a cat of n"}


async def test_an_idempotency_key_belongs_to_the_owner(
    client: httpx.AsyncClient, served: Served, ann_key: KeyHolder, bob_key: KeyHolder
) -> None:
    """Two keys of one owner share it, and two owners do not."""
    second = await new_holder(served, "runs:write", owner="bob")
    used = {"idempotency-key": "order-17"}

    async def create(holder: KeyHolder) -> str:
        response = await client.post("/threads", json={}, headers={**holder.headers, **used})
        assert response.status_code == 200, response.text
        return str(response.json()["thread_id"])

    first = await create(bob_key)
    assert await create(second) == first
    assert await create(ann_key) != first


@pytest.mark.parametrize(
    ("scopes", "status"), [(("operate",), 403), (("operate", "runs:read"), 200), (("administer",), 200)]
)
async def test_listing_runs_needs_a_scope_that_reads(served: Served, scopes: tuple[str, ...], status: int) -> None:
    holder = await new_holder(served, *scopes)
    async with holder.http() as client:
        response = await client.get("/ops/runs")
    assert response.status_code == status, response.text
    assert status == 200 or "runs:read" in response.json()["detail"]


@pytest.mark.parametrize(
    ("scopes", "reads", "writes", "reviews", "operates", "administers"),
    [
        (("runs:read",), True, False, False, False, False),
        (("runs:write",), True, True, False, False, False),
        (("reviews:decide",), False, False, True, False, False),
        (("operate",), False, False, False, True, False),
        (("administer",), True, True, True, True, True),
        (("runs:read", "operate"), True, False, False, True, False),
    ],
)
async def test_each_scope_permits_its_operations_only(
    client: httpx.AsyncClient,
    served: Served,
    scopes: tuple[str, ...],
    reads: bool,
    writes: bool,
    reviews: bool,
    operates: bool,
    administers: bool,
) -> None:
    """Every route of the API, with ids that do not exist: 403 if the scope is missing, and nothing else."""
    holder = await new_holder(served, *scopes)
    ids = {name: str(uuid4()) for name in ANY_IDS} | {"namespace": "x", "graph_id": "greet", "node": "say", "tool": "t"}
    ids |= {"version": "1", "review_id": f"{new_id()}:{'0' * 32}"}
    permitted = {"slipway:review": reviews, "slipway:operate": operates, "slipway:administer": administers}
    wrong = {}
    for name, route in (ROUTES | OPERATOR_ROUTES).items():
        if route.access.public:
            continue
        changes = {each.partition(":")[2] for each in route.access.required} - {
            *("read", "search", "get", "list_namespaces")
        }
        allowed = permitted[route.access.operator] if route.access.operator else writes if changes else reads
        sample = sample_of(name, ids)
        if name in ("PUT /ops/pause", "DELETE /ops/pause") and allowed:
            continue  # it would switch the server off
        if name == "POST /threads/{thread_id}/copy" and reads and not writes:
            continue  # the thread is looked for before its copy is authorized, and does not exist
        if name in ("POST /runs", "POST /runs/wait", "POST /runs/stream", "POST /runs/batch", "POST /runs/crons"):
            body = (CRON if name.endswith("crons") else RUN) | {"assistant_id": "greet" if not allowed else NEW}
            sample = Sample([body] if name.endswith("batch") else body)  # the assistant is authorized before the run
        if name == "POST /threads/prune":
            sample = Sample({"thread_ids": [ids["thread_id"]]})
        response = await send(client, name, ids, sample=sample, headers=holder.headers)
        if (response.status_code == 403) is allowed:
            wrong[name] = f"{response.status_code}: {response.text[:200]}"
    assert wrong == {}


async def test_reviews_belong_to_the_owner_of_their_run(
    served: Served,
    worker: object,
    ann: Client,
    bob: Client,
    ann_key: KeyHolder,
    bob_key: KeyHolder,
    admin_key: KeyHolder,
) -> None:
    """Bob sees and decides his own, and finds nothing of another owner: not in the list, not by its id, not by the
    cursor, and not in the stream of changes."""
    threads = {}
    for sdk, owner in ((ann, "n"), (bob, "bob")):
        threads[owner] = (await sdk.threads.create())["thread_id"]
        await sdk.runs.wait(threads[owner], "asking", input={"text": "hi"})
    async with bob_key.http() as bobs, ann_key.http() as anns, admin_key.http() as admin:
        everything = (await admin.get("/ops/reviews")).json()["reviews"]
        assert {each["owner"] for each in everything} == {"n", "bob"}
        (hers,) = (await anns.get("/ops/reviews")).json()["reviews"]
        listed = (await bobs.get("/ops/reviews", params={"limit": "1"})).json()
        (his,) = listed["reviews"]
        assert (his["thread_id"], listed["next"]) == (threads["bob"], None)
        assert (await bobs.get("/ops/reviews", params={"graph_id": "asking", "order": "due"})).json()["reviews"] == [
            his
        ]
        pages = [(await bobs.get(path)).text for path in ("/ui/reviews", "/ui/reviews/list?state=all")]
        assert all(his["review_id"] in page and hers["review_id"] not in page for page in pages)
        operations = {
            "claim": {},
            "release": {},
            "reassign": {"assignee": "me"},
            "comment": {"text": "mine"},
            "request-information": {"text": "why?"},
            "remind": {},
            "decide": {"kind": "answer", "value": "yes"},
        }
        for name, body in operations.items():
            response = await bobs.post(f"/ops/reviews/{hers['review_id']}/{name}", json=body)
            assert response.status_code == 404, f"{name}: {response.text}"
        for path in ("/ops/reviews/{}", "/ui/reviews/{}", "/ui/reviews/{}/now"):
            assert (await bobs.get(path.format(hers["review_id"]))).status_code == 404
            assert (await bobs.get(path.format(his["review_id"]))).status_code == 200
        async with bobs.stream("GET", "/ui/reviews/events") as response:
            parts = response.aiter_text()
            while "null" not in await anext(parts):
                pass
            await anns.post(f"/ops/reviews/{hers['review_id']}/comment", json={"text": "hers"})
            await bobs.post(f"/ops/reviews/{his['review_id']}/comment", json={"text": "his"})
            text = ""
            while his["review_id"] not in text:
                text += await anext(parts)
        assert hers["review_id"] not in text
        unchanged = (await anns.get(f"/ops/reviews/{hers['review_id']}")).json()
        assert [entry["action"] for entry in unchanged["history"]] == ["review.opened", "review.commented"]
        decided = await bobs.post(f"/ops/reviews/{his['review_id']}/decide", json=operations["decide"])
        assert decided.status_code == 200, decided.text
        assert decided.json()["decision"]["by"] == [f"key:{bob_key.key.key.key_id}"]


async def test_a_key_with_an_owner_names_no_other_on_pages(
    client: httpx.AsyncClient, ann: Client, bob_key: KeyHolder, ann_key: KeyHolder
) -> None:
    ids = await create_one_of_each(ann)
    for path in ("/", "/ui/recent", "/ui/reviews", "/ui/reviews/list"):
        page = await client.get(path, headers={**bob_key.headers, "accept": "text/html"})
        assert page.status_code == 200, path
        assert ids["thread_id"] not in page.text, path
        assert ids["run_id"] not in page.text, path
    own = await client.get("/ui/recent", headers={**ann_key.headers, "accept": "text/html"})
    assert ids["run_id"] in own.text


async def test_a_webhook_of_this_deployment_acts_for_the_owner_of_its_run() -> None:
    """An internal webhook is authorized for the user of the run: see `tests/webhooks`. The user keeps the owner."""
    from slipway.access.owner_rule import apply
    from slipway.access.scoped_users import scoped_user
    from slipway.access.scopes import Scope
    from slipway.access.users import User

    user = User(json.loads(json.dumps(scoped_user("key:x", [Scope.RUNS_WRITE], "bob").stored())))
    value: dict[str, Any] = {"metadata": {}}
    access_filter = apply(user, "threads", "create", value)
    assert value["metadata"] == {"owner": "bob"}
    assert not access_filter.matches({"owner": "n"})
    assert not access_filter.matches({})
