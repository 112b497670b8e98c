"""Failures of providers, as their own packages raise them: why a model failed, which one replies, what is counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from slipway.circuit_breakers.breakers import BreakerLimits, Breakers, provide_breakers
from slipway.errors import ModelUnavailable
from slipway.graphs.models_section import ModelRoute, ModelsConfig, ModelSpec
from slipway.graphs.registry import Registry
from slipway.model_routes.current_routes import provide_routes
from slipway.model_routes.routes import ModelRoutes
from slipway.models import RoutedChatModel, chat_model
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.environment import free_port
from tests.metering.conftest import execute
from tests.providers.conftest import KEY
from tests.providers.provider_server import Behaviour, Provider, ProviderServer, Refusal, Reply, Silence
from tests.runs.conftest import Stores

# the first test of a process imports 3,000 modules of Anthropic's package
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OPENAI: Final = "openai:gpt-5"
ANTHROPIC: Final = "anthropic:claude-sonnet-5"
RESPONSES: Final = {"use_responses_api": True}


@dataclass
class Desk:
    """A route of two models with a provider each: the first does what a test wants, the second replies."""

    first: Provider
    second: Provider
    breakers: Breakers
    routes: dict[str, ModelRoute] = field(default_factory=dict)

    def model(self, first: str, timeout_s: float = 30, **settings: Any) -> RoutedChatModel:
        """The model of the route, whose first one does not retry by itself."""
        options = {"base_url": self.first.url, "api_key": KEY, "max_retries": 0} | settings
        second = ModelSpec("openai:gpt-5-mini", settings={"base_url": self.second.url, "api_key": KEY})
        self.routes["desk"] = ModelRoute("desk", [ModelSpec(first, timeout_s, options), second])
        return chat_model("desk")

    async def failures(self) -> dict[str, int]:
        """How many failures of each model are on record."""
        return {each.name: each.failures for each in (await self.breakers.list_all()).breakers}


@pytest.fixture
async def desk(pipeline: Pipeline, keys: Keys, server: ProviderServer) -> AsyncIterator[Desk]:
    desk = Desk(server.provider(), server.provider(), Breakers(pipeline, keys, BreakerLimits()))
    desk.second.plan = [Reply(words=("from ", "the second"))]
    with provide_routes(ModelRoutes(None, config=ModelsConfig(desk.routes))), provide_breakers(desk.breakers):
        yield desk


@pytest.mark.parametrize(
    ("model", "behaviour", "reason"),
    [
        (OPENAI, Refusal(429), r"rate limit \(OpenAIRateLimitError, status 429\): wait, or raise the limit"),
        (ANTHROPIC, Refusal(429), r"rate limit \(AnthropicRateLimitError, status 429\)"),
        (OPENAI, Refusal(429, code="insufficient_quota"), r"nothing left to pay with \(OpenAIRateLimitError, .*credit"),
        (ANTHROPIC, Refusal(402), r"nothing left to pay with \(PaymentRequiredError, status 402\)"),
        (ANTHROPIC, Refusal(400, message="Your credit balance is too low"), "nothing left to pay with"),
        (OPENAI, Refusal(500), r"error of the provider \(OpenAIAPIError, status 500\)"),
        (ANTHROPIC, Refusal(529), r"error of the provider \(AnthropicOverloadedError, status 529\): wait, or check"),
        (OPENAI, Refusal(401), r"key not accepted \(OpenAIAuthenticationError, status 401\): check the provider's API"),
        (ANTHROPIC, Refusal(401), r"key not accepted \(AnthropicAuthenticationError, status 401\)"),
        (OPENAI, Refusal(404), r"unknown model \(OpenAIModelNotFoundError, status 404\): check the name"),
        (OPENAI, Silence(), r"time-out \(OpenAITimeoutError\): raise SLIPWAY_MODEL_TIMEOUT_S"),
        (ANTHROPIC, Silence(), r"time-out \(AnthropicTimeoutError\)"),
    ],
    ids=repr,
)
async def test_another_model_replies_when_a_provider_fails(
    desk: Desk, model: str, behaviour: Behaviour, reason: str
) -> None:
    desk.first.plan = [behaviour]
    routed = desk.model(model, timeout=0.05 if isinstance(behaviour, Silence) else 30)
    assert (await routed.ainvoke("Hi")).text == "from the second"
    assert len(desk.first.requests) == 1
    assert await desk.failures() == {model: 1}
    desk.second.plan = [Refusal(401)]
    with pytest.raises(ModelUnavailable, match=f"{model}: {reason}") as raised:
        await routed.ainvoke("Hi")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(("model", "key"), [(OPENAI, f"{KEY}\n"), (ANTHROPIC, f"{KEY}\n"), (ANTHROPIC, "")])
async def test_a_key_that_cannot_be_sent_is_no_network_problem(desk: Desk, model: str, key: str) -> None:
    desk.second.plan = [Refusal(401)]
    with pytest.raises(ModelUnavailable, match=r"key not usable .*: the provider's API key is empty") as raised:
        await desk.model(model, api_key=key).ainvoke("Hi")
    assert desk.first.requests == []
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_provider_that_is_not_reachable(desk: Desk, model: str) -> None:
    assert (await desk.model(model, base_url=f"http://127.0.0.1:{free_port()}").ainvoke("Hi")).text == "from the second"
    assert await desk.failures() == {model: 1}


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_no_other_model_is_asked_what_a_provider_rejects_as_wrong(desk: Desk, model: str) -> None:
    desk.first.plan = [Refusal(400)]
    with pytest.raises(Exception, match="Error code: 400"):
        await desk.model(model).ainvoke("Hi")
    assert desk.second.requests == []
    assert await desk.failures() == {}


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_the_retries_of_a_package_are_one_failure(desk: Desk, model: str) -> None:
    desk.first.plan = [Refusal(429, {"retry-after-ms": "1"})]
    assert (await desk.model(model, max_retries=2).ainvoke("Hi")).text == "from the second"
    assert len(desk.first.requests) == 3
    assert await desk.failures() == {model: 1}


STREAMS: Final = [
    (OPENAI, {}, "connection", "not reachable (OpenAIConnectionError)"),
    (OPENAI, RESPONSES, "connection", "not reachable (OpenAIConnectionError)"),
    (ANTHROPIC, {}, "connection", "not reachable (RemoteProtocolError)"),
    (OPENAI, {}, "error", "error of the provider (APIError, status 500)"),
    (OPENAI, RESPONSES, "error", "error (ValueError)"),
    (ANTHROPIC, {}, "error", "error of the provider (APIStatusError, status 529)"),
]


@pytest.mark.parametrize(("model", "settings", "how", "reason"), STREAMS)
async def test_a_stream_that_breaks_off(desk: Desk, model: str, settings: Any, how: Any, reason: str) -> None:
    """Before its first word another model replies. After it none does: a client would get two beginnings."""
    routed = desk.model(model, **settings)
    desk.first.plan = [Reply(breaks_off=how, after=0), Reply(breaks_off=how)]
    assert "".join([part.text async for part in routed.astream("Hi")]) == "from the second"
    received = []

    async def receive() -> None:
        async for part in routed.astream("Hi"):
            received.append(part.text)

    with pytest.raises(ModelUnavailable, match="another model cannot continue") as raised:
        await receive()
    assert "".join(received) == "It "
    assert raised.value.failures == {model: reason}
    assert len(desk.second.requests) == 1


@pytest.mark.parametrize(
    ("model", "key", "logged"),
    [
        (OPENAI, KEY, r"Error code: 401 - .*\[OPENAI_API_KEY\]"),
        (OPENAI, f"{KEY}\n", r"Illegal header value b'Bearer \[\w+_API_KEY\]\\n'"),
        (ANTHROPIC, f"{KEY}\n", r"Illegal header value b'Bearer \[\w+_API_KEY\]\\n'"),
    ],
)
async def test_no_key_is_in_logs_events_and_errors(
    stores: Stores,
    graphs: Registry,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
    key: str,
    logged: str,
) -> None:
    """The model of a node that has no route, so that the exception of its package fails the run."""
    provider.plan = [Refusal(401)]
    name = "OPENAI_API_KEY" if model == OPENAI else "ANTHROPIC_API_KEY"
    monkeypatch.setenv(name, key)
    state = {"model": {"model": model, "max_retries": 0}, "how": "ainvoke"}
    run = await execute(stores, graphs, "ask", options={"input": state, "stream_mode": ["values", "tasks"]})
    log = capsys.readouterr().out
    assert re.search(logged, log)
    texts = [log, str(run), *(str(event) for event in await stores.log_of(run))]
    assert not [text for text in texts if KEY in text]


async def test_a_provider_that_never_replies_is_given_up_after_the_time_of_the_route(desk: Desk) -> None:
    desk.first.plan = [Silence()]
    for model in (OPENAI, ANTHROPIC):
        assert (await desk.model(model, timeout_s=0.1).ainvoke("Hi")).text == "from the second"
    assert await desk.failures() == {OPENAI: 1, ANTHROPIC: 1}
