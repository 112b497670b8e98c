"""The usage of a run is what the provider reported, however its package is called."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langchain.chat_models import init_chat_model
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable

from slipway.graphs.models_section import ModelSpec
from slipway.graphs.registry import Registry
from slipway.metering.model_calls import ModelCall, model_call, reported_usage
from slipway.model_routes.routes import ModelRoutes
from slipway.runs.record import Phase, Run
from tests.environment import free_port
from tests.metering.conftest import execute
from tests.providers.provider_server import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Provider, Refusal, Reply
from tests.runs.conftest import Stores

# the first test of a process imports 3,000 modules of Anthropic's package
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MODELS: Final[dict[str, dict[str, Any]]] = {
    "chat completions": {"model": "openai:gpt-5", "stream_usage": True, "max_tokens": 50},
    "responses": {"model": "openai:gpt-5", "use_responses_api": True, "max_tokens": 50},
    "messages": {"model": "anthropic:claude-sonnet-5", "max_tokens": 50},
}
REPORTED: Final = {
    "input": INPUT_TOKENS,
    "output": OUTPUT_TOKENS,
    "cached": CACHED_TOKENS,
    "total": INPUT_TOKENS + OUTPUT_TOKENS,
}
RESERVED: Final = {"input": 5, "output": 50, "cached": 0, "total": 55}
"""For the prompt `Hi`."""

IN_A_NODE: Final = ("ainvoke", "invoke", "invoke in a thread", "astream", "stream", "batch", "abatch", "structured")
STREAMED: Final = "ainvoke, streamed to clients"


async def asked(stores: Stores, graphs: Registry, model: dict[str, Any], how: str, **options: Any) -> Run:
    """A run whose node calls the model once."""
    return await execute(stores, graphs, "ask", options={"input": {"model": model, "how": how}} | options)


@pytest.mark.parametrize("how", [*IN_A_NODE, STREAMED])
@pytest.mark.parametrize("kind", MODELS)
async def test_a_run_has_used_what_the_provider_reported(
    stores: Stores, graphs: Registry, provider: Provider, kind: str, how: str
) -> None:
    if how == "structured":
        provider.plan = [Reply(words=('{"text": ', '"yes"}'), tool={"text": "yes"})]
    streamed: dict[str, Any] = {"stream_mode": ["messages-tuple"]} if how == STREAMED else {}
    run = await asked(stores, graphs, MODELS[kind], "ainvoke" if streamed else how, **streamed)
    assert run.phase is Phase.COMPLETED, run.error
    assert len(provider.requests) == 1
    assert bool(provider.last.get("stream")) == (how in (STREAMED, "astream", "stream"))
    usage = run.public()["usage"]
    assert (usage["tokens"], usage["unmetered_calls"]) == (REPORTED, 0)


@pytest.mark.parametrize("kind", MODELS)
async def test_each_call_of_an_agent_with_tools_counts(
    stores: Stores, graphs: Registry, provider: Provider, kind: str
) -> None:
    provider.plan = [Reply(tool={"what": "x"}), Reply()]
    run = await execute(stores, graphs, "agent", options={"input": {"model": MODELS[kind]}})
    usage = run.public()["usage"]
    assert run.phase is Phase.COMPLETED, run.error
    assert usage["tokens"] == {name: 2 * count for name, count in REPORTED.items()}
    assert (usage["tool_calls"], usage["unmetered_calls"]) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "how", "model", "reply"),
    [
        ("chat completions", "astream", {"stream_usage": None}, Reply()),
        ("chat completions", "ainvoke", {}, Reply(reports=False)),
        ("responses", "astream", {}, Reply(reports=False)),
        ("messages", "astream", {"stream_usage": False}, Reply()),
        ("chat completions", "first part", {}, Reply()),
        ("responses", "first part", {}, Reply()),
        ("messages", "first part", {}, Reply()),
        ("chat completions", "astream", {}, Reply(breaks_off="connection")),
        ("responses", "stream", {}, Reply(breaks_off="error")),
        ("messages", "astream", {}, Reply(breaks_off="connection")),
    ],
)
async def test_a_call_without_a_report_counts_as_reserved_and_says_so(
    stores: Stores, graphs: Registry, provider: Provider, kind: str, how: str, model: dict[str, Any], reply: Reply
) -> None:
    """At an address of one's own, OpenAI's package asks for no usage of a stream unless it is told to."""
    provider.plan = [reply]
    usage = (await asked(stores, graphs, MODELS[kind] | model, how)).public()["usage"]
    assert (usage["tokens"], usage["unmetered_calls"]) == (RESERVED, 1)


async def test_a_route_asks_for_the_tokens_of_streams_at_every_address(
    stores: Stores, graphs: Registry, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL", "openai:gpt-5")
    options = {"input": {"messages": [("user", "Hi")]}, "stream_mode": ["messages-tuple"]}
    usage = (await execute(stores, graphs, "route", options=options)).public()["usage"]
    assert (usage["tokens"], usage["unmetered_calls"]) == (REPORTED, 0)
    settings = {"stream_usage": False}
    model: Any = ModelRoutes(None).open_sync(ModelSpec("openai:gpt-5", settings=settings))
    assert model.stream_usage is False


async def test_a_stream_that_reports_only_its_output_counts_with_the_estimated_input(
    stores: Stores, graphs: Registry, provider: Provider
) -> None:
    provider.plan = [Reply(reports=False)]
    usage = (await asked(stores, graphs, MODELS["messages"], "astream")).public()["usage"]
    assert usage["tokens"] == {"input": 5, "output": OUTPUT_TOKENS, "cached": 0, "total": 5 + OUTPUT_TOKENS}
    assert usage["unmetered_calls"] == 1


@pytest.mark.parametrize("kind", ["chat completions", "messages"])
@pytest.mark.parametrize(
    ("status", "tokens"), [(429, 0), (401, 0), (503, 0), (529, 0), (None, 0), (500, RESERVED["total"])], ids=str
)
async def test_a_call_that_a_provider_did_not_accept_used_nothing(
    stores: Stores, graphs: Registry, provider: Provider, kind: str, status: int | None, tokens: int
) -> None:
    """None: nobody listens at the address."""
    elsewhere = {"base_url": f"http://127.0.0.1:{free_port()}"} if status is None else {}
    provider.plan = [Refusal(status or 500)]
    run = await asked(stores, graphs, MODELS[kind] | {"max_retries": 0} | elsewhere, "ainvoke")
    usage = run.public()["usage"]
    assert run.phase is Phase.FAILED
    assert (usage["tokens"]["total"], usage["unmetered_calls"]) == (tokens, bool(tokens))
    ((_, of_model),) = usage["models"].items()
    assert of_model["calls"] == 1


@pytest.mark.parametrize(("after", "tokens"), [(0, 0), (1, RESERVED["total"])])
async def test_an_overload_in_a_stream_used_nothing_if_nothing_had_arrived(
    stores: Stores, graphs: Registry, provider: Provider, after: int, tokens: int
) -> None:
    provider.plan = [Reply(breaks_off="error", after=after)]
    usage = (await asked(stores, graphs, MODELS["messages"], "astream")).public()["usage"]
    assert (usage["tokens"]["total"], usage["unmetered_calls"]) == (tokens, bool(tokens))


class Calls(BaseCallbackHandler):
    """What the meter learns of calls, and of their ends."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.responses: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **details: Any) -> None:
        self.calls.append(model_call(messages[0], details["metadata"], details["invocation_params"]))

    def on_llm_end(self, response: Any, **details: Any) -> None:
        self.responses.append(response)


@pytest.mark.parametrize(
    ("created", "bound"),
    [
        ({}, {"max_tokens": 13}),
        ({}, {"max_completion_tokens": 14}),
        ({"max_completion_tokens": 12}, {}),
        ({"max_tokens": 11}, {"max_tokens": 1300}),
        ({"max_tokens": 11}, {"max_completion_tokens": 1400}),
        ({"max_tokens": 17}, {"n": 3}),
        ({"extra_body": {"max_completion_tokens": 16}}, {}),
        ({"max_tokens": 17}, {"extra_body": {"max_completion_tokens": 1800}}),
        ({"use_responses_api": True, "max_tokens": 21}, {}),
        ({"use_responses_api": True}, {"max_output_tokens": 24}),
        ({"model": "anthropic:claude-sonnet-5"}, {}),
        ({"model": "anthropic:unknown"}, {}),
        ({"model": "anthropic:claude-sonnet-5", "max_tokens": 31}, {"max_tokens": 3200}),
        ({"model": "anthropic:claude-sonnet-5", "max_tokens_to_sample": 34}, {}),
        (
            {
                "model": "anthropic:claude-sonnet-5",
                "max_tokens": 3000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
            },
            {},
        ),
    ],
    ids=str,
)
def test_what_a_request_permits_is_reserved(provider: Provider, created: dict[str, Any], bound: dict[str, Any]) -> None:
    calls = Calls()
    model: Runnable[Any, Any] = init_chat_model(**{"model": "openai:gpt-5"} | created)
    model.bind(**bound).invoke("Hi", {"callbacks": [calls]})
    (call,) = calls.calls
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    (limit,) = [provider.last[name] for name in names if name in provider.last]
    assert (call.max_output_tokens, call.choices) == (limit, provider.last.get("n", 1))
    (reported,) = [reported_usage(response) for response in calls.responses]
    assert reported is not None
    assert (reported.input, reported.output, reported.cached) == (INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS)


def test_tokens_that_were_cached_in_another_service_tier_count_as_cached(provider: Provider) -> None:
    calls = Calls()
    provider.plan = [Reply(service_tier="flex")]
    init_chat_model("openai:gpt-5").invoke("Hi", {"callbacks": [calls]})
    (reported,) = [reported_usage(response) for response in calls.responses]
    assert reported is not None
    assert (reported.input, reported.cached) == (INPUT_TOKENS, CACHED_TOKENS)


async def test_a_model_that_reports_nothing_is_logged_once(
    stores: Stores, graphs: Registry, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.plan = [Reply(reports=False)]
    for _ in range(2):
        await asked(stores, graphs, {"model": "openai:gpt-silent", "max_tokens": 50}, "ainvoke")
    assert capsys.readouterr().out.count("model.usage_missing") == 1


@pytest.mark.parametrize(
    ("model", "most", "code"),
    [
        ("anthropic:claude-sonnet-5", 128_000, "ceiling.tokens"),
        ("openai:gpt-5", 128_000, "ceiling.tokens"),
        ("anthropic:unknown", 4_096, "ceiling.tokens"),
        ("openai:unknown", None, "model.unbounded"),
    ],
)
async def test_a_limited_run_makes_no_call_that_may_generate_more(
    stores: Stores, graphs: Registry, provider: Provider, model: str, most: int | None, code: str
) -> None:
    options = {"input": {"model": {"model": model}, "how": "ainvoke"}}
    refused = await execute(stores, graphs, "ask", options=options, limits={"max_tokens": most or 10**9})
    assert (refused.error or {})["code"] == code, refused.error
    assert provider.requests == []
    if most is not None:
        run = await execute(stores, graphs, "ask", options=options, limits={"max_tokens": most + 10})
        assert run.phase is Phase.COMPLETED, run.error
