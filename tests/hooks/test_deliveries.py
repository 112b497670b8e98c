"""Deliveries to hooks of a running web process."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.hooks.payload import FORM
from slipway.hooks.reads import HookReads
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from slipway_workers.process import WorkerProcess
from tests.hooks import senders
from tests.hooks.conftest import Served, deliver, stored_bytes
from tests.hooks.senders import PUSH, encoded, github
from tests.waiting import Eventually

Sdk = Any


async def test_a_signed_push_starts_a_run_with_the_mapped_input(
    client: httpx.AsyncClient, sdk: Sdk, worker: WorkerProcess
) -> None:
    response = await deliver(client, "github", PUSH)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert answer["status_url"] == f"/threads/{answer['thread_id']}/runs/{answer['run_id']}"
    assert await sdk.runs.join(answer["thread_id"], answer["run_id"]) == {
        "repo": "acme/web",
        "messages": ["Repair the door", "Paint it", "seen acme/web"],
        "who": "ann",
    }
    run = (await client.get(answer["status_url"])).json()
    assert run["metadata"] | {"repo": "acme/web", "event": "push", "hook": "github"} == run["metadata"]
    assert run["metadata"]["hook_delivery"] == answer["delivery"] == response.headers["slipway-delivery"]


async def test_the_same_text_names_the_same_thread(client: httpx.AsyncClient) -> None:
    threads = []
    for after, name in (("a", "acme/web"), ("b", "acme/web"), ("c", "acme/api")):
        response = await deliver(client, "github", PUSH | {"after": after, "repository": {"full_name": name}})
        threads.append(response.json()["thread_id"])
    assert threads[0] == threads[1] != threads[2]
    assert UUID(threads[0]).version == 5


async def test_thread_ids_differ_between_deployments(pipeline: Pipeline) -> None:
    """Whoever could compute one could create the thread first, and read what the hook sends there."""
    namespaces = {await HookReads(pipeline, Keys(f"test-{new_id()}")).namespace() for _ in range(3)}
    assert len(namespaces) == 3
    reads = HookReads(pipeline, Keys(f"test-{new_id()}"))
    assert len({*await asyncio.gather(*(reads.namespace() for _ in range(8)))}) == 1


async def test_a_repetition_gets_the_first_answer(client: httpx.AsyncClient, sdk: Sdk) -> None:
    first = await deliver(client, "github", PUSH)
    again = await deliver(client, "github", PUSH)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["slipway-repeated"] == "true"
    assert "slipway-repeated" not in first.headers
    assert len(await sdk.runs.list(first.json()["thread_id"])) == 1


async def test_the_first_answer_stays_when_the_run_is_deleted(client: httpx.AsyncClient) -> None:
    first = await deliver(client, "github", PUSH)
    path = f"/threads/{first.json()['thread_id']}"
    assert (await client.delete(path)).status_code == 204
    again = await deliver(client, "github", PUSH)
    assert (again.status_code, again.content) == (202, first.content)
    assert (await client.get(path)).status_code == 404


async def test_what_is_not_signed_makes_no_new_delivery(client: httpx.AsyncClient) -> None:
    """GitHub signs neither the delivery id nor the event type: whoever has seen a delivery could change both."""
    first = await deliver(client, "github", PUSH)
    again = await deliver(client, "github", PUSH, delivery="another", event="pull_request.opened")
    assert again.content == first.content


@pytest.mark.parametrize("hook", ["github", "standard"])
async def test_64_simultaneous_repetitions_create_one_run(client: httpx.AsyncClient, sdk: Sdk, hook: str) -> None:
    body = encoded(PUSH | {"type": "push"})
    headers = github(body) if hook == "github" else senders.standard(body)
    responses = await asyncio.gather(*(deliver(client, hook, body, headers) for _ in range(64)))
    assert {(each.status_code, each.content) for each in responses} == {(202, responses[0].content)}
    runs = await sdk.runs.list(responses[0].json()["thread_id"], limit=100)
    assert [run["run_id"] for run in runs] == [responses[0].json()["run_id"]]


async def test_the_answer_comes_in_milliseconds(client: httpx.AsyncClient) -> None:
    """The fastest of several, because the tests share the machine."""
    times = []
    for number in range(20):
        started = time.perf_counter()
        response = await deliver(client, "github", PUSH | {"after": str(number)})
        times.append(time.perf_counter() - started)
        assert response.status_code == 202
    assert min(times) < 0.1


@pytest.mark.parametrize(
    ("event", "change", "reason"),
    [
        ("star", {}, "the event type is 'star'"),
        ("pull_request", {"action": "closed"}, "the event type is 'pull_request.closed'"),
        ("push", {"ref": "refs/heads/ignored"}, "slipway.hooks.github.when is not true"),
    ],
)
async def test_a_filtered_delivery_says_that_it_is_ignored_and_why(
    client: httpx.AsyncClient, event: str, change: dict[str, Any], reason: str
) -> None:
    response = await deliver(client, "github", PUSH | change, event=event)
    assert response.status_code == 200
    assert response.json()["ignored"] is True
    assert reason in response.json()["reason"]
    again = await deliver(client, "github", PUSH | change, event=event)
    assert again.content == response.content


async def test_a_ping_of_github_starts_nothing(client: httpx.AsyncClient) -> None:
    response = await deliver(client, "acme", {"zen": "Keep it simple."}, event="ping")
    assert (response.status_code, response.json()["ignored"]) == (200, True)


async def test_an_event_type_stands_for_its_actions(client: httpx.AsyncClient) -> None:
    body = PUSH | {"action": "opened"}
    assert (await deliver(client, "github", body, event="pull_request")).status_code == 202
    stripe = encoded({"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}})
    assert (await deliver(client, "stripe", stripe, senders.stripe(stripe))).status_code == 202
    other = encoded({"id": "evt_2", "type": "invoiceitem.created", "data": {"object": {"id": "in_1"}}})
    assert (await deliver(client, "stripe", other, senders.stripe(other))).status_code == 200


async def test_a_retry_of_stripe_with_a_new_time_is_a_repetition(client: httpx.AsyncClient) -> None:
    body = encoded({"id": "evt_9", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}})
    first = await deliver(client, "stripe", body, senders.stripe(body, at=time.time() - 60))
    again = await deliver(client, "stripe", body, senders.stripe(body))
    assert (first.status_code, again.content) == (202, first.content)


async def test_the_forms_of_github_and_slack(client: httpx.AsyncClient, sdk: Sdk) -> None:
    body = urlencode({"payload": encoded(PUSH).decode()}).encode()
    response = await deliver(client, "github", body, github(body) | {"content-type": FORM})
    assert response.status_code == 202, response.text
    command = urlencode({"command": "/deploy", "text": "web & api"}).encode()
    response = await deliver(client, "slack", command, senders.slack(command, content_type=FORM))
    assert response.status_code == 202, response.text
    run = (await client.get(response.json()["status_url"])).json()
    assert run["kwargs"]["input"] == {"repo": "web & api"}
    action = urlencode({"payload": encoded({"type": "block_actions", "actions": [{"value": "go"}]}).decode()}).encode()
    response = await deliver(client, "slack", action, senders.slack(action, content_type=FORM))
    assert response.status_code == 202, response.text


async def test_the_challenge_of_slack_is_answered_after_its_signature_is_verified(client: httpx.AsyncClient) -> None:
    body = encoded({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"})
    response = await deliver(client, "slack", body, senders.slack(body))
    assert (response.status_code, response.text) == (200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    assert response.headers["content-type"].startswith("text/plain")
    assert (await deliver(client, "slack", body, senders.slack(body, secret="another one"))).status_code == 401


async def test_a_sender_with_a_configured_hmac(client: httpx.AsyncClient) -> None:
    body = encoded({"order": "o-1"})
    first = await deliver(client, "shop", body, senders.shop(body))
    assert first.status_code == 202, first.text
    again = encoded({"order": "o-2"})
    assert (await deliver(client, "shop", again, senders.shop(again))).content == first.content  # the same id
    other = await deliver(client, "shop", body, senders.shop(body, message_id="o-3", topic="customers.created"))
    assert other.json()["ignored"] is True


async def test_standard_webhooks_with_an_asymmetric_key(client: httpx.AsyncClient) -> None:
    body = encoded({"type": "contact.created"})
    first = await deliver(client, "standard", body, senders.standard_asymmetric(body))
    assert first.status_code == 202, first.text
    assert (await deliver(client, "standard", body, senders.standard(body))).content == first.content
    svix = {name.replace("webhook-", "svix-"): value for name, value in senders.standard(body, "msg_2").items()}
    assert (await deliver(client, "standard", body, svix)).status_code == 202


async def test_the_secret_of_before_is_valid_during_a_rotation(client: httpx.AsyncClient) -> None:
    assert (await deliver(client, "github", PUSH, secret=senders.OLD_GITHUB)).status_code == 202
    assert (await deliver(client, "github", PUSH, secret="neither of them")).status_code == 401


async def test_replays_outside_of_the_window_are_refused(client: httpx.AsyncClient) -> None:
    invoice = {"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}
    body, now = encoded(invoice | {"text": "for Slack"}), time.time()
    for sign, hook in ((senders.stripe, "stripe"), (senders.slack, "slack"), (senders.standard, "standard")):
        for at, words in ((now - 310, "old"), (now + 310, "in the future")):
            response = await deliver(client, hook, body, sign(body, at=at))
            assert (response.status_code, response.json()["code"]) == (401, "hook.signature")
            assert words in response.json()["detail"]
        assert (await deliver(client, hook, body, sign(body, at=now - 290))).status_code == 202


async def test_a_refused_request_is_counted_and_nothing_of_it_is_stored(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    body = encoded({"canary": "nobody-may-store-this"})
    response = await deliver(client, "github", body, github(body, secret="wrong"))
    assert (response.status_code, response.json()["code"]) == (401, "hook.signature")
    listed = (await client.get("/ops/hooks")).json()["hooks"]
    github_hook = next(each for each in listed if each["hook"] == "github")
    assert github_hook["counts"]["refused"] == 1
    assert "no signature matches" in github_hook["last_refused_why"]
    assert (await client.get("/ops/hooks/github/deliveries")).json() == {"deliveries": [], "next": None}
    assert await pipeline.send("KEYS", f"{keys.prefix}:hook_delivery:*") == []


@pytest.mark.parametrize(
    ("value", "headers", "status", "words"),
    [
        (b"{", {}, 422, "the body is not valid JSON"),
        (b"", {}, 422, "the body is not valid JSON"),
        (b"[" * 300 + b"]" * 300, {}, 422, "nested deeper than 200"),
        (b"<push/>", {"content-type": "text/xml"}, 415, "'text/xml' is not accepted"),
        (b"payload=%7B", {"content-type": FORM}, 422, "the field 'payload' is not valid"),
        (b"a=1&a=2", {"content-type": FORM}, 422, "has a field twice"),
        (b"{}", {}, 422, "slipway.hooks.github.thread: the expression 'body.repository.full_name' names nothing"),
        (b'{"repository": {"full_name": []}}', {}, 422, "must be a text or a whole number, found a list"),
        (b'{"repository": {"full_name": "a/b"}}', {}, 422, "slipway.hooks.github.input.messages: the expression"),
    ],
)
async def test_a_signed_delivery_that_cannot_be_mapped_gets_a_clear_error_and_is_kept(
    client: httpx.AsyncClient, value: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    response = await deliver(client, "github", value, github(value) | headers)
    assert response.status_code == status, response.text
    assert words in response.json()["detail"]
    (kept,) = (await client.get("/ops/hooks/github/deliveries?state=rejected")).json()["deliveries"]
    assert (kept["status"], kept["answer"]) == (status, response.json())
    one = (await client.get(f"/ops/hooks/github/deliveries/{kept['delivery']}")).json()
    assert one["body"].encode() == value
    assert "x-hub-signature-256" not in one["headers"]


async def test_an_error_is_no_first_answer(client: httpx.AsyncClient) -> None:
    """When the cause is removed, the sender may repeat the delivery."""
    thread_id = new_id()
    body = {"thread": thread_id, "repo": "r"}
    missing = await deliver(client, "existing", body)
    assert (missing.status_code, missing.json()["kind"]) == (404, "thread")
    (kept,) = (await client.get("/ops/hooks/existing/deliveries")).json()["deliveries"]
    assert (kept["state"], kept["status"]) == ("rejected", 404)
    await client.post("/threads", json={"thread_id": thread_id})
    created = await deliver(client, "existing", body)
    assert (created.status_code, created.json()["thread_id"]) == (202, thread_id)
    (kept,) = (await client.get("/ops/hooks/existing/deliveries")).json()["deliveries"]
    assert (kept["state"], kept["repetitions"]) == ("accepted", 1)
    assert (await client.get("/ops/hooks/existing/deliveries?state=rejected")).json()["deliveries"] == []


async def test_a_repetition_of_an_error_with_another_body_is_stored(client: httpx.AsyncClient) -> None:
    """A sender may correct what it has sent with this delivery id. A replay handles what created the run."""
    wrong, right = b"{", encoded({"type": "right"})
    assert (await deliver(client, "standard", wrong, senders.standard(wrong, "msg_7"))).status_code == 422
    answer = await deliver(client, "standard", right, senders.standard(right, "msg_7"))
    assert answer.status_code == 202
    path = f"/ops/hooks/standard/deliveries/{answer.json()['delivery']}"
    assert (await client.get(path)).json()["body"].encode() == right


async def test_a_hook_with_an_owner_uses_only_its_threads(client: httpx.AsyncClient) -> None:
    mine, other = new_id(), new_id()
    await client.post("/threads", json={"thread_id": other, "metadata": {"owner": "globex"}})
    response = await deliver(client, "acme", {"thread": other, "repo": "r"})
    assert (response.status_code, response.json()["id"]) == (404, other)
    response = await deliver(client, "acme", {"thread": mine, "repo": "r"})
    assert response.status_code == 202
    assert (await client.get(f"/threads/{mine}")).json()["metadata"]["owner"] == "acme"
    busy = await deliver(client, "acme", {"thread": mine, "repo": "another"})
    assert busy.status_code == 409
    wrong = await deliver(client, "acme", {"thread": "x" * 40, "repo": "r"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "slipway.hooks.acme.thread_id")


async def test_too_large_bodies_are_rejected_before_they_are_read(client: httpx.AsyncClient) -> None:
    body = encoded({"order": "o" * 3000})
    response = await deliver(client, "shop", body, senders.shop(body))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")

    async def chunks() -> Any:
        for _ in range(10):
            yield b"x" * 1000

    response = await client.post("/hooks/shop", content=chunks(), headers=senders.shop(body))
    assert response.status_code == 413


async def test_an_unknown_hook_is_404(client: httpx.AsyncClient) -> None:
    response = await deliver(client, "nobody", PUSH)
    assert (response.status_code, response.json()["kind"]) == (404, "hook")
    assert (await client.get("/hooks/github")).status_code == 405


async def _waiting_run(client: httpx.AsyncClient, eventually: Eventually) -> dict[str, Any]:
    thread_id = (await client.post("/threads", json={})).json()["thread_id"]
    run = (await client.post(f"/threads/{thread_id}/runs", json={"assistant_id": "asks", "input": {}})).json()

    async def is_waiting() -> bool:
        return bool((await client.get(f"/threads/{thread_id}")).json()["status"] == "interrupted")

    await eventually(is_waiting)
    return dict(run)


async def test_a_delivery_resumes_a_waiting_run(
    client: httpx.AsyncClient, sdk: Sdk, worker: WorkerProcess, eventually: Eventually
) -> None:
    run = await _waiting_run(client, eventually)
    body = {"run": run["run_id"], "answer": 42}
    responses = await asyncio.gather(*(deliver(client, "answers", body) for _ in range(8)))
    assert {(each.status_code, each.content) for each in responses} == {(202, responses[0].content)}
    answer = responses[0].json()
    assert (await sdk.runs.join(answer["thread_id"], answer["run_id"]))["answer"] == 42
    late = await deliver(client, "answers", {"run": run["run_id"], "answer": 43})
    assert (late.status_code, late.json()["phase"]) == (409, "completed")
    missing = await deliver(client, "answers", {"run": new_id(), "answer": 43})
    assert (missing.status_code, missing.json()["kind"]) == (404, "run")
    kept = (await client.get("/ops/hooks/answers/deliveries?state=rejected")).json()["deliveries"]
    assert [each["status"] for each in kept] == [404, 409]


async def test_a_delivery_resumes_the_waiting_run_of_a_thread(
    client: httpx.AsyncClient, sdk: Sdk, worker: WorkerProcess, eventually: Eventually
) -> None:
    run = await _waiting_run(client, eventually)
    body = {"thread": run["thread_id"], "answer": "yes"}
    answer = (await deliver(client, "thread-answers", body)).json()
    assert (await sdk.runs.join(answer["thread_id"], answer["run_id"]))["answer"] == {"value": "yes"}
    idle = await deliver(client, "thread-answers", body | {"answer": "no"})
    assert (idle.status_code, idle.json()["status"]) == (409, "idle")


async def test_a_delivery_decides_a_review(
    client: httpx.AsyncClient, sdk: Sdk, worker: WorkerProcess, eventually: Eventually
) -> None:
    run = await _waiting_run(client, eventually)
    (review,) = (await client.get("/ops/reviews")).json()["reviews"]
    body = {"review": review["review_id"], "kind": "answer", "value": "ok"}
    wrong = await deliver(client, "decisions", body | {"kind": "explode"})
    assert wrong.status_code == 422, wrong.text
    decided = await deliver(client, "decisions", body)
    assert decided.status_code == 202, decided.text
    assert (decided.json()["review_id"], decided.json()["run_id"]) == (review["review_id"], run["run_id"])
    resumed_by = decided.json()["resumed_by"]
    assert (await sdk.runs.join(run["thread_id"], resumed_by))["answer"] == "ok"
    assert (await client.get(f"/ops/reviews/{review['review_id']}")).json()["decision"]["by"] == ["hook:decisions"]
    assert (await deliver(client, "decisions", body)).content == decided.content
    late = await deliver(client, "decisions", body | {"value": "no"})
    assert (late.status_code, late.json()["code"]) == (409, "review.closed")
    missing = await deliver(client, "decisions", body | {"review": "x"})
    assert missing.status_code == 404


async def test_operators_list_show_and_replay_deliveries(client: httpx.AsyncClient, sdk: Sdk) -> None:
    answers = [(await deliver(client, "github", PUSH | {"after": str(n)})).json() for n in range(5)]
    listed: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await client.get("/ops/hooks/github/deliveries", params={"limit": 2, "cursor": cursor})).json()
        listed, cursor = listed + [each["delivery"] for each in page["deliveries"]], page["next"]
    assert listed == [each["delivery"] for each in reversed(answers)]
    path = f"/ops/hooks/github/deliveries/{listed[0]}"
    assert (await client.get(path)).json()["headers"]["x-github-event"] == "push"
    replayed = await client.post(f"{path}/replay", headers={"idempotency-key": "k"})
    assert replayed.status_code == 202, replayed.text
    assert replayed.json()["run_id"] not in {each["run_id"] for each in answers}
    assert replayed.json()["thread_id"] == answers[0]["thread_id"]
    again = await client.post(f"{path}/replay", headers={"idempotency-key": "k"})
    assert again.content == replayed.content
    assert (await client.post(f"{path}/replay")).json()["run_id"] != replayed.json()["run_id"]
    (newest, *_) = (await client.get("/ops/hooks/github/deliveries")).json()["deliveries"]
    assert (newest["replay_of"], newest["by"]) == (listed[0], "anonymous")
    assert (await client.get(f"/ops/hooks/acme/deliveries/{listed[0]}")).status_code == 404
    assert (await client.post(f"/ops/hooks/github/deliveries/{'0' * 32}/replay")).status_code == 404
    assert (await client.get("/ops/hooks/github/deliveries?state=lost")).status_code == 422
    assert (await client.get("/ops/hooks/github/deliveries?cursor=1")).status_code == 422


async def test_external_senders_may_use_any_host_name(client: httpx.AsyncClient) -> None:
    """The signature authenticates them; a server without an auth file rejects other requests for unknown names."""
    body = encoded(PUSH)
    foreign = {"host": "hooks.example.com", "origin": "https://github.example"}
    assert (await client.post("/hooks/github", content=body, headers=github(body) | foreign)).status_code == 202
    assert (await client.post("/hooks/nobody", content=body, headers=github(body) | foreign)).status_code == 421
    assert (await client.get("/hooks/github", headers=foreign)).status_code == 421
    assert (await client.get("/ops/hooks", headers=foreign)).status_code == 421


async def test_no_secret_or_signature_is_shown(
    client: httpx.AsyncClient, served: Served, capsys: pytest.CaptureFixture[str], pipeline: Pipeline, keys: Keys
) -> None:
    body = encoded(PUSH)
    headers = github(body)
    await deliver(client, "github", body, headers)
    await deliver(client, "github", body, github(body, secret="wrong"))
    shown = "".join(capsys.readouterr()) + (await client.get("/ops/hooks")).text
    shown += (await client.get("/ops/hooks/github/deliveries")).text
    shown += repr(served.app.state) + repr(served.services)
    stored = await stored_bytes(pipeline, keys)
    assert b"x-github-event" in stored
    for secret in (*senders.VARIABLES.values(), senders.SHOP, headers["x-hub-signature-256"].removeprefix("sha256=")):
        assert secret not in shown
        assert secret.encode() not in stored


async def test_the_sdk_finds_the_runs_of_a_hook(client: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    await deliver(client, "github", PUSH)
    found = (await client.get("/ops/runs", params={"owner": "hook:github"})).json()["runs"]
    assert len(found) == 1
