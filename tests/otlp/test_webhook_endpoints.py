"""Webhook endpoints: each request continues the trace of the run of which it tells, and each try is a span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.webhook_endpoints.store import EndpointChange
from tests.http.conftest import Served
from tests.otlp.receiver import Received
from tests.otlp.test_runs import CALLER, TRACE, executed
from tests.waiting import wait_until
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.usefixtures("exported", "worker")


@pytest.fixture
async def webhook() -> AsyncIterator[Receiver]:
    """A receiver that fails once."""
    receiver = Receiver(statuses=["503 Service Unavailable", "200 OK"])
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()


async def test_an_endpoint_continues_the_trace_of_the_run(
    sdk: LangGraphClient, served: Served, exported: Received, webhook: Receiver
) -> None:
    store = served.services.webhook_endpoints
    await store.add(EndpointChange(url=webhook.url, types=["run.completed"]), by="ann")
    await executed(sdk, "one", f"00-{TRACE}-{CALLER}-01")
    await wait_until(lambda: len(webhook.headers) == 2, within_s=10)
    await wait_until(lambda: len(exported.all_named("POST webhook")) == 2)
    await exported.until("invoke_agent one")
    tries = exported.all_named("POST webhook")
    assert [headers["traceparent"] for headers in webhook.headers] == [
        f"00-{TRACE}-{each.span_id}-01" for each in tries
    ]
    assert {each.parent_id for each in tries} == {exported.named("invoke_agent one").span_id}
    assert [each.attributes["http.response.status_code"] for each in tries] == [503, 200]
    assert [each.attributes["http.request.resend_count"] for each in tries] == [0, 1]
    assert [each.is_error for each in tries] == [True, False]
    for each in tries:
        assert each.attributes["slipway.webhook.event"] == "run.completed"
        assert each.attributes["slipway.delivery.id"] == webhook.headers[0]["webhook-id"]
        assert each.attributes["server.address"] == "127.0.0.1"
        assert each.attributes["slipway.run.id"] == webhook.bodies[0]["data"]["run_id"]


async def test_events_of_no_run_have_no_trace(
    sdk: LangGraphClient, served: Served, exported: Received, webhook: Receiver
) -> None:
    webhook.statuses = ["200 OK"]
    store = served.services.webhook_endpoints
    made = await store.add(EndpointChange(url=webhook.url, types=["run.completed"]), by="ann")
    await store.test(made.endpoint.endpoint_id, by="ann")
    await wait_until(lambda: len(webhook.headers) == 1)
    await executed(sdk, "one", f"00-{TRACE}-{CALLER}-00")
    await wait_until(lambda: len(webhook.headers) == 2)
    await executed(sdk, "two")
    await exported.until("POST webhook")
    assert "traceparent" not in webhook.headers[0]
    assert webhook.headers[1]["traceparent"].startswith(f"00-{TRACE}-")
    assert webhook.headers[1]["traceparent"].endswith("-00")
    (only,) = exported.all_named("POST webhook")
    assert only.attributes["slipway.run.id"] == webhook.bodies[2]["data"]["run_id"]
