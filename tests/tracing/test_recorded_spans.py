"""What an attempt records: which spans a run has, under which parents, with which attributes."""

from __future__ import annotations

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.http.conftest import Served
from tests.tracing.spans import run_and_read

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_run_of_one_node(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "one")
    assert tree.names == [("attempt 1", [("superstep 1", [("node step", [])])])]
