"""A served project whose route has models of two providers, and its client."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway_workers.process import WorkerProcess
from tests.http.conftest import client, sdk, served, worker
from tests.project_fixtures import settings_of
from tests.providers.conftest import KEY, PROJECT
from tests.providers.provider_server import (
    CACHED_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    WRITTEN_TOKENS,
    ProviderServer,
    Refusal,
    Reply,
)

__all__ = ["client", "sdk", "served", "worker"]

# the first test of a process imports 3,000 modules of Anthropic's package
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

settings = settings_of(PROJECT)


async def test_a_run_continues_with_the_second_provider_while_the_first_is_down(
    server: ProviderServer,
    sdk: LangGraphClient,
    client: httpx.AsyncClient,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openai, anthropic = server.provider(), server.provider()
    openai.plan = [Refusal(503, {"retry-after-ms": "1"})]
    anthropic.plan = [Reply(words=("It ", "works ", "all the same"))]
    for name, provider in (("OPENAI", openai), ("ANTHROPIC", anthropic)):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
        monkeypatch.setenv(f"{name}_BASE_URL", provider.url)
    thread = (await sdk.threads.create())["thread_id"]
    state: Any = {"messages": [{"role": "user", "content": "Hi"}]}
    stream = sdk.runs.stream(thread, "route", input=state, stream_mode=["messages-tuple", "values"])
    events: list[Any] = [(part.event, part.data) async for part in stream]

    words = [data[0]["content"] for name, data in events if name == "messages"]
    assert [word for word in words if word] == ["It ", "works ", "all the same"]
    (notice,) = [data for name, data in events if name == "notice"]
    assert notice["message"] == (
        "openai:gpt-5 did not reply (error of the provider (OpenAIAPIError, status 503)); anthropic:claude-sonnet-5 is "
        "used"
    )
    assert (len(openai.requests), len(anthropic.requests)) == (3, 1), "the package of OpenAI retries twice by itself"
    usage: Any = (await sdk.runs.get(thread, events[0][1]["run_id"]))["usage"]  # type: ignore[typeddict-item]
    plain = INPUT_TOKENS - CACHED_TOKENS - WRITTEN_TOKENS
    cost = (plain * 3 + CACHED_TOKENS * 0.3 + WRITTEN_TOKENS * 3.75 + OUTPUT_TOKENS * 15) / 1e6
    counted = {"input": INPUT_TOKENS, "output": OUTPUT_TOKENS, "cached": CACHED_TOKENS}
    assert usage["models"] == {
        "gpt-5": {"calls": 1, "input": 0, "output": 0, "cached": 0, "cost_usd": 0},
        "claude-sonnet-5": {"calls": 1, **counted, "cost_usd": pytest.approx(cost)},
    }
    assert usage["tokens"] == {**counted, "total": INPUT_TOKENS + OUTPUT_TOKENS}
    assert usage["cost_usd"] == pytest.approx(cost)
    assert (usage["unmetered_calls"], usage["unpriced_models"]) == (0, [])
    breakers = (await client.get("/ops/breakers")).json()
    assert [(each["name"], each["failures"]) for each in breakers["breakers"]] == [("openai:gpt-5", 1)]
