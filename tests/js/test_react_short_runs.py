"""`useStream` of @langchain/react shows the reply of each short run (`make short-runs` executes 200 of them)."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.js.conftest import home_of
from tests.js.short_runs import execute_runs, without_reply
from tests.site import Site

pytestmark = pytest.mark.timeout(180)

RUNS = 20


home = home_of("short_runs", {"bundled": None})


async def test_no_reply_is_lost_over_a_websocket(site: Site, page: Page) -> None:
    reports = await execute_runs(page, site, "websocket", RUNS)
    assert len(reports) == RUNS
    assert without_reply(reports) == []
