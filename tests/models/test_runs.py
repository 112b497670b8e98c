"""Runs whose nodes call models by their routes: what clients and operators see."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.graphs.registry import Registry
from slipway.redis.layout import LAYOUT
from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")

INPUT: Any = {"messages": [{"role": "user", "content": "Hi"}]}
FALLBACK = {
    "route": "safe",
    "failed": "./fakes.py:overloaded",
    "used": "./fakes.py:works",
    "reason": "error of the provider (ProviderError, status 529)",
}


async def events_of(sdk: LangGraphClient, graph: str, *modes: Any) -> tuple[str, list[tuple[str, Any]]]:
    """Streams a run. Returns its id and its events."""
    thread = (await sdk.threads.create())["thread_id"]
    stream = sdk.runs.stream(thread, graph, input=INPUT, stream_mode=[*modes])
    events = [(part.event, part.data) async for part in stream]
    return str(events[0][1]["run_id"]), events


@pytest.mark.parametrize(
    ("graph", "node"), [("falls_back", "ask"), ("falls_back_in_thread", "ask"), ("agent", "model")]
)
async def test_a_fallback_is_in_the_stream_and_in_the_audit_trail(
    sdk: LangGraphClient, client: httpx.AsyncClient, graph: str, node: str
) -> None:
    run_id, events = await events_of(sdk, graph, "messages-tuple", "values")
    details = FALLBACK | {"node": node}
    notices = [data for name, data in events if name == "notice" and data["code"] == "model.fallback"]
    assert notices == [
        {
            "code": "model.fallback",
            "message": f"{details['failed']} did not reply ({details['reason']}); {details['used']} is used",
            **details,
        }
    ]
    tokens = [data[0]["content"] for name, data in events if name == "messages"]
    assert [each for each in tokens if each] == ["It ", "works"]
    assert events[-1][1]["messages"][-1]["content"] == "It works"
    trail = (await client.get(f"/ops/runs/{run_id}/audit")).json()["entries"]
    assert [(each["action"], each["actor"], each["details"]) for each in trail] == [
        ("model.fallback", "slipway", details)
    ]


async def test_a_run_without_a_model_that_replies_says_what_to_do(sdk: LangGraphClient) -> None:
    _, events = await events_of(sdk, "fails", "values")
    error = events[-1][1]
    assert error["error"] == "ModelUnavailable"
    assert error["message"] == (
        "no model of the route 'doomed' replied: ./fakes.py:overloaded: error of the provider (ProviderError, status "
        "529): wait, or check the provider's status page; ./fakes.py:wrong_settings: cannot be created (ValueError): "
        "check the name and the settings of the model, and the provider's API key; see the log (model.failed). Then "
        "retry the run"
    )


async def test_a_reply_that_breaks_off_is_not_continued_by_another_model(sdk: LangGraphClient) -> None:
    _, events = await events_of(sdk, "breaks_off", "messages-tuple")
    assert [data[0]["content"] for name, data in events if name == "messages" and data[0]["content"]] == ["It "]
    assert events[-1][1]["error"] == "ModelUnavailable"
    assert "another model cannot continue" in events[-1][1]["message"]


async def test_each_node_has_its_route(sdk: LangGraphClient) -> None:
    _, events = await events_of(sdk, "by_node", "values")
    names = [message["content"] for message in events[-1][1]["messages"] if message["type"] == "ai"]
    assert names == ["./fakes.py:rejects", "./fakes.py:overloaded,./fakes.py:works"]


async def test_the_build_of_a_graph_has_its_routes_and_the_formats_that_are_stored(
    sdk: LangGraphClient, served: Served, graphs: Registry
) -> None:
    await events_of(sdk, "falls_back", "values")
    [thread] = await sdk.threads.search()
    build, latest = graphs.build("by_node"), await served.services.checkpointer.latest(thread["thread_id"])
    assert latest is not None
    assert build.routes == {"*": ["./fakes.py:rejects"], "second": ["./fakes.py:overloaded", "./fakes.py:works"]}
    assert build.formats == {"layout": LAYOUT, "checkpoint": latest.checkpoint["v"]}
