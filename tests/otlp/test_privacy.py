"""What leaves the deployment: nothing by default, inputs and outputs only if they are asked for, never a secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.redaction.known_secrets import KNOWN
from slipway.settings import Settings
from tests.otlp.receiver import Received
from tests.otlp.test_runs import CREATE, executed

CANARY = "canary-5f1d9c0b7a"
VENDOR_KEY = "key-of-the-vendor-8d2f6e"

_addresses: list[Any] | None = None


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _addresses is not None and event == "socket.connect":
        _addresses.append(arguments[1])


sys.addaudithook(_on_event)


@pytest.fixture
def connected() -> Iterator[list[Any]]:
    """The addresses to which this process connects."""
    global _addresses
    found: list[Any] = []
    _addresses = found
    yield found
    _addresses = None


@pytest.mark.usefixtures("worker")
async def test_without_variables_nothing_is_connected_but_redis(
    connected: list[Any], sdk: LangGraphClient, settings: Settings, served: Any
) -> None:
    await executed(sdk, "work", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    port = int(served.url.rpartition(":")[2])
    others = [each for each in connected if str(each) not in settings.redis and each[:2] != ("127.0.0.1", port)]
    assert connected
    assert others == []


@pytest.fixture
def secret_headers(exported: Received, monkeypatch: pytest.MonkeyPatch) -> Received:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{VENDOR_KEY}")
    return exported


@pytest.mark.usefixtures("secret_headers", "worker")
async def test_inputs_and_outputs_are_not_exported(secret_headers: Received, sdk: LangGraphClient) -> None:
    await executed(sdk, "work", metadata={"note": CANARY})
    thread = (await sdk.threads.create())["thread_id"]
    failing = await sdk.runs.create(thread, "failing", input={"file": CANARY}, context={"note": CANARY})
    await sdk.runs.join(thread, failing["run_id"])
    await secret_headers.until("invoke_agent work", "invoke_agent failing", "execute_tool look_up", CREATE)
    assert all(CANARY.encode() not in body and VENDOR_KEY.encode() not in body for body in secret_headers.raw)
    assert {each["authorization"] for each in secret_headers.requests} == {f"Bearer {VENDOR_KEY}"}


class TestWithContent:
    """With `SLIPWAY_TRACE_CONTENT`."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"trace_content": True})

    @pytest.mark.usefixtures("exported", "worker")
    async def test_content_is_exported_without_secrets(self, exported: Received, sdk: LangGraphClient) -> None:
        KNOWN.remember("CANARY_KEY", CANARY)
        await executed(sdk, "work")
        await exported.until("invoke_agent work", "execute_tool look_up", "node thinks")
        assert all(CANARY.encode() not in body for body in exported.raw)
        tool = exported.named("execute_tool look_up")
        assert "[CANARY_KEY]" in str(tool.attributes)
