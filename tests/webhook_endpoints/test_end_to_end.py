"""Events reach receivers that verify them with the library of Standard Webhooks, while runs are executed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from langgraph_sdk.client import LangGraphClient
from standardwebhooks import Webhook, WebhookVerificationError

from slipway.services import Services
from slipway.webhook_endpoints.record import Format
from slipway.webhook_endpoints.signing_keys import KeyKind
from slipway.webhook_endpoints.store import EndpointChange
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served
from tests.waiting import Eventually
from tests.webhooks.conftest import SECRET, Receiver, graphs, project, receiver, sdk, served, settings, worker

__all__ = ["graphs", "project", "receiver", "sdk", "served", "settings", "worker"]


def at(receiver: Receiver, path: str) -> list[tuple[bytes, dict[str, str]]]:
    """The requests to one path."""
    return [
        (body, headers)
        for body, headers in zip(receiver.raw_bodies, receiver.headers, strict=True)
        if headers[""].split()[1] == path
    ]


def verify_v1a(public_key: str, body: bytes, headers: dict[str, str]) -> None:
    """As a receiver does that knows only the public key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signatures = [each.partition(",") for each in headers["webhook-signature"].split()]
    key.verify(next(base64.b64decode(text) for version, _, text in signatures if version == "v1a"), signed)


async def test_receivers_verify_every_event_of_a_run(
    worker: WorkerProcess, served: Served, sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    services: Services = served.services
    store, base = services.webhook_endpoints, receiver.url.removesuffix("/hook")
    shared = await store.add(EndpointChange(url=f"{base}/v1", types=["run.*"]), by="ann", secret=SECRET)
    pair = await store.add(EndpointChange(url=f"{base}/v1a", types=["run.completed"]), by="ann")
    await store.add(
        EndpointChange(url=f"{base}/full", types=["run.completed"], format=Format.FULL), by="ann", kind=KeyKind.V1
    )
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await eventually(lambda: len(receiver.bodies) == 5)

    told = {body["type"]: body["data"] for body in map(json.loads, (body for body, _ in at(receiver, "/v1")))}
    assert set(told) == {"run.queued", "run.running", "run.completed"}
    for body, headers in at(receiver, "/v1"):
        assert Webhook(SECRET).verify(body, headers)["data"]["thread_id"] == thread
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body.replace(b"run.", b"ran."), headers)
    ((body, headers),) = at(receiver, "/v1a")
    public_key = pair.endpoint.keys[0].public_key
    assert public_key is not None
    verify_v1a(public_key, body, headers)
    with pytest.raises(InvalidSignature):
        verify_v1a(public_key, body + b" ", headers)
    ((full, _),) = at(receiver, "/full")
    data: dict[str, Any] = json.loads(full)["data"]
    assert data["run"]["run_id"] == data["run_id"]
    assert data["run"]["values"] == (await sdk.threads.get(thread))["values"]
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 5
    linked = await sdk.http.get(data["link"])
    assert linked["run_id"] == data["run_id"]

    for requests in (receiver.headers, receiver.bodies, receiver.raw_bodies):
        requests.clear()
    made = await store.rotate(shared.endpoint.endpoint_id, by="ann", overlap_s=60)
    assert made.secret is not None
    await store.test(shared.endpoint.endpoint_id, by="ann")
    await eventually(lambda: len(receiver.bodies) == 1)
    ((body, headers),) = at(receiver, "/v1")
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (SECRET, made.secret):
        assert Webhook(secret).verify(body, headers)["type"] == "endpoint.test"


async def test_an_endpoint_that_is_gone_is_disabled_and_the_others_are_told(
    worker: WorkerProcess, served: Served, sdk: LangGraphClient, receiver: Receiver, eventually: Eventually
) -> None:
    store = served.services.webhook_endpoints
    base = receiver.url.removesuffix("/hook")
    receiver.statuses = ["410 Gone", "200 OK"]
    gone = await store.add(EndpointChange(url=f"{base}/gone", types=["run.completed"]), by="ann")
    other = await store.add(EndpointChange(url=f"{base}/other", types=["endpoint.disabled"]), by="ann", secret=SECRET)
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await eventually(lambda: len(at(receiver, "/other")) == 1)
    ((body, headers),) = at(receiver, "/other")
    told = Webhook(SECRET).verify(body, headers)["data"]
    assert (told["disabled_endpoint_id"], "410" in told["reason"]) == (gone.endpoint.endpoint_id, True)
    assert (await store.get(gone.endpoint.endpoint_id)).state == "disabled"
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    assert len(at(receiver, "/gone")) == 1, "a disabled endpoint gets nothing"
    assert (await store.get(other.endpoint.endpoint_id)).state == "enabled"
