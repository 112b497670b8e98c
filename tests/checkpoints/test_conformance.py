"""All capabilities of LangGraph's conformance suite for checkpointers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer
from langgraph.checkpoint.conformance.validate import validate

from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import CheckpointerFactory


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "capability",
    [
        pytest.param(each, marks=pytest.mark.one_shard("it copies threads to ids of other shards"), id=each.value)
        if each is Capability.COPY_THREAD
        else pytest.param(each, id=each.value)
        for each in Capability
    ],
)
async def test_the_checkpointer_conforms(
    make_checkpointer: CheckpointerFactory, capability: Capability, encrypted: bool
) -> None:
    serde = Serde(encryption=Encryption([b"k" * 32]) if encrypted else None)

    async def saver() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        yield make_checkpointer(serde=serde, max_thread_bytes=1 << 30)

    report = await validate(RegisteredCheckpointer("slipway", saver), capabilities={capability.value})
    result = report.results[capability.value]
    assert result.detected
    assert result.failures == []
    assert result.passed
