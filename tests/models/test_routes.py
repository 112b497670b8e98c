"""Calls through a model route: when the next model is tried, and when not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import ContextOverflowError, ModelRateLimitError
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel

from slipway.circuit_breakers.breakers import BreakerLimits, Breakers, provide_breakers
from slipway.errors import CeilingHit, ConfigError, ModelUnavailable
from slipway.graphs.models_section import ModelRoute, ModelsConfig, ModelSpec
from slipway.metering.model_calls import was_rejected
from slipway.model_routes.current_routes import provide_routes
from slipway.model_routes.model_failures import model_failure
from slipway.model_routes.routes import ModelRoutes
from slipway.models import chat_model, model_names
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.models.project.fakes import ProviderError, Scripted

INPUT: Any = {"messages": [("user", "Hi")]}
LIMITS = BreakerLimits(failures=2, window_s=60, open_s=60)


class Desk:
    """Two models, `./a` and `./b`, and the route of both."""

    def __init__(self) -> None:
        self.a, self.b = Scripted(model="a", script=["from a"]), Scripted(model="b", script=["from ", "b"])

    def load(self, source: str) -> object:
        return {"./a": self.a, "./b": self.b}[source]


@pytest.fixture
async def desk(pipeline: Pipeline, keys: Keys) -> AsyncIterator[Desk]:
    desk = Desk()
    fast = [ModelSpec("./a", 0.5), ModelSpec("./b", 5)]
    config = ModelsConfig({"fast": ModelRoute("fast", fast)})
    routes = ModelRoutes("./a, ./b", config=config, load_object=desk.load)
    with provide_routes(routes), provide_breakers(Breakers(pipeline, keys, LIMITS)):
        yield desk


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ProviderError(429), r"rate limit \(ProviderError, status 429\)"),
        (ProviderError(500), r"error of the provider \(ProviderError, status 500\)"),
        (ProviderError(401), "key not accepted"),
        (ProviderError(404), "unknown model"),
        (ProviderError(400, "API key not valid. Please pass a valid API key."), "key not accepted"),
        (ModelRateLimitError("slow down"), r"rate limit \(ModelRateLimitError\)"),
        (ContextOverflowError("too long"), "too long for the model"),
        (TimeoutError(), "time-out"),
        (httpx.ConnectError("no route to sk-secret"), "not reachable"),
        (ConnectionResetError(), "not reachable"),
        (RuntimeError("sk-secret"), r"error \(RuntimeError\)"),
        (ValueError("no chunks"), r"error \(ValueError\)"),
    ],
    ids=repr,
)
async def test_the_next_model_replies_when_one_fails(desk: Desk, error: Exception, reason: str) -> None:
    desk.a.script = [error]
    assert (await chat_model().ainvoke("Hi")).text == "from b"
    assert (await asyncio.to_thread(chat_model().invoke, "Hi")).text == "from b"
    desk.b.script = [error]
    with pytest.raises(ModelUnavailable, match=reason) as raised:
        await chat_model().ainvoke("Hi")
    assert set(raised.value.failures) == {"./a", "./b"}
    assert "sk-secret" not in str(raised.value)
    assert raised.value.__cause__ is error or "circuit breaker" in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [ProviderError(400), ProviderError(422), CeilingHit("cost", 1, 2), GraphInterrupt()],
    ids=lambda error: f"{type(error).__name__} {getattr(error, 'status_code', '')}",
)
async def test_an_error_that_is_none_of_the_model_is_raised_as_it_is(desk: Desk, error: Exception) -> None:
    desk.a.script = [error]
    for _ in range(LIMITS.failures + 1):  # and the circuit breaker does not count it
        with pytest.raises(type(error)) as raised:
            await chat_model().ainvoke("Hi")
        assert raised.value is error
    assert desk.b.calls == []


async def test_a_model_that_sends_nothing_in_time_is_replaced(desk: Desk) -> None:
    desk.a.pause_s, desk.a.script = 60, ["late"]
    assert (await chat_model("fast").ainvoke("Hi")).text == "from b"
    assert [part.text async for part in chat_model("fast").astream("Hi") if part.text] == ["from ", "b"]


async def test_a_model_that_goes_on_sending_has_as_long_as_it_needs(desk: Desk) -> None:
    desk.a.pause_s, desk.a.script = 0.15, list("slow")
    assert "".join([part.text async for part in chat_model("fast").astream("Hi")]) == "slow"
    graph = StateGraph(MessagesState)

    async def ask(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [await chat_model("fast").ainvoke(state["messages"], config)]}

    graph.add_node("ask", ask)
    graph.set_entry_point("ask")
    parts: list[Any] = [part async for part in graph.compile().astream(INPUT, stream_mode="messages")]
    assert "".join(part[0].text for part in parts) == "slow"


@pytest.mark.parametrize("sync", [False, True])
async def test_no_model_continues_the_reply_of_another(desk: Desk, sync: bool) -> None:
    desk.a.script = ["from ", ProviderError(500)]
    received: list[str] = []

    async def receive() -> None:
        async for part in chat_model().astream("Hi"):
            received.append(part.text)

    def receive_in_thread() -> None:
        for part in chat_model().stream("Hi"):
            received.append(part.text)

    with pytest.raises(ModelUnavailable, match=r"\./a failed after it had sent a part of its reply"):
        await (asyncio.to_thread(receive_in_thread) if sync else receive())
    assert received == ["from "]
    assert desk.b.calls == []


async def test_parts_that_callbacks_have_sent_count_as_sent(desk: Desk) -> None:
    """LangGraph streams the tokens of a model that a node awaits."""
    desk.a.script = ["from ", ProviderError(500)]
    graph = StateGraph(MessagesState)

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat_model().ainvoke(state["messages"])]}

    graph.add_node("ask", ask)
    graph.set_entry_point("ask")
    compiled = graph.compile()
    with pytest.raises(ModelUnavailable, match="cannot continue"):
        [part async for part in compiled.astream(INPUT, stream_mode="messages")]
    result = await compiled.ainvoke(INPUT)  # nobody receives tokens
    assert result["messages"][-1].text == "from b"


async def test_a_beginning_without_content_does_not_count_as_sent(desk: Desk) -> None:
    desk.a.script = [AIMessageChunk(content=""), ProviderError(500)]
    for parts in (
        [part.text async for part in chat_model().astream("Hi")],
        await asyncio.to_thread(lambda: [part.text for part in chat_model().stream("Hi")]),
    ):
        assert [part for part in parts if part] == ["from ", "b"]


async def test_an_open_circuit_breaker_costs_no_call(desk: Desk) -> None:
    desk.a.script = [ProviderError(500)]
    for _ in range(5):
        assert (await chat_model().ainvoke("Hi")).text == "from b"
    assert len(desk.a.calls) == LIMITS.failures
    desk.b.script = [ProviderError(429)]
    with pytest.raises(ModelUnavailable) as raised:
        await chat_model().ainvoke("Hi")
    assert raised.value.failures["./a"].startswith("circuit breaker open (after 2 failures, the last with Provider")
    assert "see GET /ops/breakers" in str(raised.value)
    assert "./b: rate limit (ProviderError, status 429): wait, or raise the limit" in str(raised.value)


async def test_tools_and_settings_are_bound_to_each_model(desk: Desk) -> None:
    desk.a.script = [ProviderError(500)]
    tool = {"name": "look_up", "parameters": {}}
    bound = chat_model().bind_tools([tool], tool_choice="any").bind(temperature=0)
    assert (await bound.ainvoke("Hi", stop=["."])).text == "from b"
    assert [part.text async for part in bound.astream("Hi") if part.text] == ["from ", "b"]
    for call in desk.b.calls:
        assert (call["tools"], call["tool_choice"], call["temperature"]) == ([tool], "any", 0)
    assert desk.b.calls[0]["stop"] == ["."]


async def test_structured_output_comes_from_the_model_that_replies(desk: Desk) -> None:
    class Answer(BaseModel):
        text: str

    call: Any = {"name": "Answer", "args": '{"text": "yes"}', "id": "1", "index": 0, "type": "tool_call_chunk"}
    desk.a.script = ["no call of the tool"]
    desk.b.script = [AIMessageChunk(content="", tool_call_chunks=[call])]
    structured = chat_model().with_structured_output(Answer)
    assert await structured.ainvoke("Hi") in (Answer(text="yes"), None)
    desk.a.script = [ProviderError(500)]
    assert await structured.ainvoke("Hi") == Answer(text="yes")
    assert await asyncio.to_thread(structured.invoke, "Hi") == Answer(text="yes")


async def test_generate_replies_to_each_prompt(desk: Desk) -> None:
    prompts: Any = [[HumanMessage("1")], [HumanMessage("2")]]
    result = await chat_model().agenerate(prompts, tags=["a"])
    assert [each[0].text for each in result.generations] == ["from a"] * 2
    assert [each.text for each in await asyncio.to_thread(chat_model().batch, ["1", "2"])] == ["from a"] * 2


async def test_threads_for_which_the_event_loop_waits_do_not_wait_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.circuit_breakers.breakers.LOOP_REPLIES_WITHIN_S", 0.05)
    assert [each.text for each in chat_model().batch(["1", "2"])] == ["from a"] * 2


async def test_a_route_is_found_by_its_name(desk: Desk) -> None:
    assert model_names() == ["./a", "./b"]
    assert model_names("fast") == ["./a", "./b"]
    assert model_names("openai:gpt-5,x:y") == ["openai:gpt-5", "x:y"]
    with pytest.raises(ConfigError, match="unknown model route 'fats'; did you mean 'fast'"):
        await chat_model("fats").ainvoke("Hi")


async def test_a_call_without_any_model_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_MODEL", raising=False)
    assert not model_names()
    with pytest.raises(ConfigError, match="no chat model is configured: set SLIPWAY_MODEL"):
        await chat_model().ainvoke("Hi")


async def test_a_model_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL", "groq:llama,nonsense:model")
    with pytest.raises(ModelUnavailable, match=r"groq:llama: not installed .*langchain-groq") as raised:
        await chat_model().ainvoke("Hi")
    assert raised.value.failures["nonsense:model"] == "cannot be created (ValueError)"


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 429},
        {"response": httpx.Response(429)},
        {"response": {"ResponseMetadata": {"HTTPStatusCode": 429}}},
        {"code": HTTPStatus.TOO_MANY_REQUESTS, "response": None},
    ],
    ids=["OpenAI, Anthropic, Ollama", "an HTTP client", "AWS", "Google"],
)
def test_the_status_of_an_error_is_found_where_packages_keep_it(attributes: dict[str, Any]) -> None:
    error = type("RefusedError", (Exception,), attributes)()
    assert str(model_failure(error)) == "rate limit (RefusedError, status 429)"
    assert was_rejected(error)
