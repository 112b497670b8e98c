"""Endpoints are validated, changed by one operator at a time, and subscribed exactly while they are enabled."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.runs.record import Phase
from slipway.webhook_endpoints import scripts
from slipway.webhook_endpoints.event_types import EVENT_TYPES, SUBSCRIBABLE, checked_types
from slipway.webhook_endpoints.record import Format, State
from slipway.webhook_endpoints.signing_keys import KeyKind, valid_keys
from slipway.webhook_endpoints.store import EndpointChange
from tests.runs.conftest import Stores, new_run
from tests.webhook_endpoints.conftest import URL, add, endpoint_store
from tests.webhook_endpoints.phase_changes import created_events, deliveries_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def types_sent(stores: Stores, endpoint_id: str) -> list[str]:
    return [fields["type"].decode() for fields in await deliveries_of(stores.pipeline, stores.keys, endpoint_id)]


async def one_run(stores: Stores, phase: Phase = Phase.COMPLETED, **differs: Any) -> str:
    """Executes a run to its end and returns its id."""
    run = await stores.create_run(None, **differs)
    await stores.settle(await stores.claim_one(), phase)
    return run.run_id


def test_types_are_checked_and_those_that_others_include_are_left_out() -> None:
    assert checked_types(["run.failed", "run.completed", "run.failed"]) == ("run.completed", "run.failed")
    assert checked_types(["run.failed", "run.*", "review.due"]) == ("review.due", "run.*")
    assert checked_types(["run.failed", "*"]) == ("*",)
    with pytest.raises(
        InvalidRequest, match=r"types: unknown type 'run\.complete'; did you mean 'run\.completed'"
    ) as bad:
        checked_types(["run.complete"])
    assert bad.value.known == sorted(SUBSCRIBABLE)
    with pytest.raises(InvalidRequest, match="types: name at least one"):
        checked_types([])


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"graphs": ["step"]}, "graphs: there is no graph 'step'; did you mean 'steps'"),
        ({"concurrency": 0}, "concurrency: must be between 1 and 64"),
        ({"concurrency": 65}, "concurrency: must be between 1 and 64"),
        ({"description": "x" * 501}, "description: is longer than 500 characters"),
        ({"description": "a\nb"}, "description: has control characters"),
        ({"owner": "x" * 129}, "owner: must have 1 to 128 characters"),
        ({"owner": ""}, "owner: is empty: name an owner"),
        ({"owner": "run.*"}, "owner: must be printable, without spaces at its ends, dots and asterisks"),
        ({"graphs": ["steps"] * 101}, "graphs: names more than 100 graphs"),
    ],
)
async def test_a_member_that_is_not_allowed_is_an_error(stores: Stores, members: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        await add(stores, "run.*", **members)
    assert await endpoint_store(stores).all() == []
    assert await stores.pipeline.send("EXISTS", stores.shards.home.webhook_endpoints) == 0


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("secret", "secret: must be whsec_ and 24 to 64 bytes in base64"),
        ("whsec_%", "is not base64"),
        ("whsec_é", "is not base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "has 23 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "has 65 bytes"),
    ],
)
async def test_a_secret_must_be_one(stores: Stores, secret: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        await endpoint_store(stores).add(EndpointChange(url=URL, types=["*"]), by="ann", secret=secret)


async def test_a_new_endpoint_has_a_key_pair_and_shows_only_the_public_key(stores: Stores) -> None:
    store = endpoint_store(stores)
    made = await store.add(EndpointChange(url=URL, types=["run.*"]), by="ann")
    assert made.secret is None
    (key,) = made.endpoint.keys
    assert key.kind is KeyKind.V1A
    shown = made.endpoint.public(store.now_us())
    (public,) = shown["keys"]
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public["public_key"].removeprefix("whpk_")))
    assert key.secret not in str(shown)
    assert key.secret not in repr(made)
    assert await store.get(made.endpoint.endpoint_id) == made.endpoint


async def test_a_secret_of_v1_is_shown_once(stores: Stores) -> None:
    store = endpoint_store(stores)
    made = await store.add(EndpointChange(url=URL, types=["run.*"]), by="ann", kind=KeyKind.V1)
    assert made.secret is not None
    assert 24 <= len(base64.b64decode(made.secret.removeprefix("whsec_"))) <= 64
    stored = await store.get(made.endpoint.endpoint_id)
    assert made.secret not in str(stored.public(store.now_us())) + repr(stored) + repr(made)
    given = await store.add(EndpointChange(url=URL, types=["run.*"]), by="ann", secret=SECRET)
    assert given.secret is None, "who gave it has it"
    assert given.endpoint.keys[0].secret == SECRET
    with pytest.raises(InvalidRequest, match="secret: is a secret of v1"):
        await store.add(EndpointChange(url=URL, types=["*"]), by="ann", secret=SECRET, kind=KeyKind.V1A)


async def test_a_rotation_has_two_valid_keys_until_its_end(stores: Stores) -> None:
    store = endpoint_store(stores)
    endpoint = await add(stores, "run.*")
    first = endpoint.keys[0]
    rotated = (await store.rotate(endpoint.endpoint_id, by="ann", overlap_s=60)).endpoint
    now_us = store.now_us()
    assert [key.secret for key in valid_keys(rotated.keys, now_us)][1:] == [first.secret]
    assert [key.secret for key in valid_keys(rotated.keys, now_us + 61_000_000)] == [rotated.keys[0].secret]
    made = await store.rotate(endpoint.endpoint_id, by="ann", kind=KeyKind.V1, overlap_s=0)
    assert made.secret == made.endpoint.keys[0].secret
    assert len(made.endpoint.keys) == 2, "the first key is forgotten"
    assert len(valid_keys(made.endpoint.keys, store.now_us() + 1)) == 1
    for seconds in (-1, 31 * 24 * 3600, float("nan")):
        with pytest.raises(InvalidRequest, match="overlap_s: must be between 0 and"):
            await store.rotate(endpoint.endpoint_id, by="ann", overlap_s=seconds)


async def test_changes_at_the_same_time_lose_nothing(stores: Stores) -> None:
    store, endpoint = endpoint_store(stores), await add(stores, "run.*")
    await asyncio.gather(
        store.update(endpoint.endpoint_id, EndpointChange(description="d"), by="ann"),
        store.update(endpoint.endpoint_id, EndpointChange(types=["review.*"]), by="bob"),
        store.update(endpoint.endpoint_id, EndpointChange(format=Format.FULL, graphs=["other"]), by="eve"),
        store.rotate(endpoint.endpoint_id, by="ann"),
    )
    stored = await store.get(endpoint.endpoint_id)
    assert (stored.description, stored.types, stored.format, stored.graphs) == (
        "d",
        ("review.*",),
        Format.FULL,
        ("other",),
    )
    assert len(stored.keys) == 2


async def test_a_disabled_endpoint_gets_nothing_also_not_later(stores: Stores) -> None:
    store, endpoint = endpoint_store(stores), await add(stores, "run.completed")
    await one_run(stores)
    disabled = await store.disable(endpoint.endpoint_id, by="ann", reason="noise")
    assert (disabled.state, disabled.disabled_reason) == (State.DISABLED, "disabled by ann: noise")
    for keys in stores.shards.threads:
        assert await stores.pipeline.send("EXISTS", f"{keys.prefix}:webhook_subscriptions") == 0
    await one_run(stores)
    with pytest.raises(Conflict, match=r"is disabled \(disabled by ann: noise\): enable it first"):
        await store.test(endpoint.endpoint_id, by="ann")
    await store.enable(endpoint.endpoint_id, by="ann")
    last = await one_run(stores)
    assert len(await types_sent(stores, endpoint.endpoint_id)) == 2
    assert ((await deliveries_of(stores.pipeline, stores.keys))[-1]["run_id"].decode()) == last


async def test_a_changed_subscription_counts_from_now_on(stores: Stores) -> None:
    store, endpoint = endpoint_store(stores), await add(stores, "run.completed")
    await store.update(endpoint.endpoint_id, EndpointChange(types=["run.failed"], graphs=["other"]), by="ann")
    await one_run(stores)
    await one_run(stores, Phase.FAILED)
    failed = await one_run(stores, Phase.FAILED, graph_id="other")
    assert await created_events(stores.pipeline, stores.keys, endpoint.endpoint_id) == {(failed, "run.failed"): 1}
    await store.update(endpoint.endpoint_id, EndpointChange(graphs=[]), by="ann")
    await one_run(stores, Phase.FAILED)
    assert await types_sent(stores, endpoint.endpoint_id) == ["run.failed", "run.failed"]


async def test_a_removed_endpoint_leaves_nothing_behind(stores: Stores) -> None:
    store = endpoint_store(stores)
    kept = await add(stores, "run.*")
    removed = await add(stores, *EVENT_TYPES, graphs=["steps", "other"], owner="acme")
    await store.remove(removed.endpoint_id, by="ann")
    with pytest.raises(NotFound, match=f"webhook endpoint '{removed.endpoint_id}' not found"):
        await store.remove(removed.endpoint_id, by="ann")
    assert [each.endpoint_id for each in await store.all()] == [kept.endpoint_id]
    for keys in stores.shards.threads:
        names = await stores.pipeline.send("KEYS", f"{keys.prefix}:webhook*")
        expected = 3 if keys is stores.shards.home else 2
        assert len(names) == expected, "the endpoint, the subscriptions, and in the first shard the list"
        assert await stores.pipeline.send("HLEN", f"{keys.prefix}:webhook_subscriptions") == 1
    for operation in (
        store.get(removed.endpoint_id),
        store.update(removed.endpoint_id, EndpointChange(description="d"), by="ann"),
        store.enable(removed.endpoint_id, by="ann"),
        store.disable(removed.endpoint_id, by="ann"),
        store.rotate(removed.endpoint_id, by="ann"),
        store.test(removed.endpoint_id, by="ann"),
    ):
        with pytest.raises(NotFound):
            await operation


async def test_their_number_is_limited(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    store = endpoint_store(stores)
    monkeypatch.setattr(scripts, "MOST_OF_AN_OWNER", 2)
    monkeypatch.setattr(scripts, "MOST_ENDPOINTS", 4)
    for owner in ("acme", "acme", None):
        await add(stores, "run.*", owner=owner)
    with pytest.raises(Conflict, match="there are 2 webhook endpoints already"):
        await add(stores, "run.*", owner="acme")
    last = await add(stores, "run.*", owner="zeta")
    with pytest.raises(Conflict, match="there are 2 webhook endpoints already"):
        await store.update(last.endpoint_id, EndpointChange(owner="acme"), by="ann")
    with pytest.raises(Conflict, match="there are 4 webhook endpoints already"):
        await add(stores, "run.*")
    await store.update(last.endpoint_id, EndpointChange(all_owners=True), by="ann")
    assert (await store.get(last.endpoint_id)).for_owner is None


async def test_a_test_event_goes_to_one_endpoint(stores: Stores) -> None:
    store = endpoint_store(stores)
    one, _ = await add(stores, "run.failed", owner="acme"), await add(stores, "*")
    name = await store.test(one.endpoint_id, by="ann")
    assert name.startswith("msg_")
    (delivery,) = await deliveries_of(stores.pipeline, stores.keys)
    assert (delivery["type"], delivery["endpoint_id"].decode()) == (b"endpoint.test", one.endpoint_id)
    assert delivery["owner"] == b"acme"


async def test_owners_are_distinct(stores: Stores) -> None:
    """Also those whose names differ in quotes and line feeds only, and a run without an owner is nobody's."""
    owners = ("acme", "Acme", "ac me", '"acme"', "acm\u00e9", "acme\\")
    endpoints = {owner: await add(stores, "run.completed", owner=owner) for owner in owners}
    runs = {owner: await one_run(stores, metadata={"owner": owner}) for owner in owners}
    await one_run(stores)
    for other in ("acme ", "*", "run.*", "", [], None, 1, {"owner": "acme"}, ["acme"]):
        await one_run(stores, metadata={"owner": other})
    for owner, endpoint in endpoints.items():
        assert await created_events(stores.pipeline, stores.keys, endpoint.endpoint_id) == {
            (runs[owner], "run.completed"): 1
        }
        (delivery,) = await deliveries_of(stores.pipeline, stores.keys, endpoint.endpoint_id)
        assert delivery["owner"].decode() == owner


async def test_no_two_deliveries_have_the_same_id(stores: Stores) -> None:
    for _ in range(3):
        await add(stores, "*")
    threads = [await stores.create_thread() for _ in range(30)]
    await asyncio.gather(*(stores.create(new_run(thread)) for thread in threads))
    names = [fields["name"] for fields in await deliveries_of(stores.pipeline, stores.keys)]
    assert len(names) == len(set(names)) == 90
