"""Executes short runs with `useStream` of `@langchain/react` in Chromium, one after another, and counts the runs whose
reply the page did not show.

python -m tests.js.short_runs --runs 200 --transport websocket
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, async_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.js.bundle import bundle, serve_folder
from tests.js.client_versions import SDK
from tests.js.page_actions import open_page
from tests.site import Site, running_site

HERE = Path(__file__).parent
REPLY: Final = "hello to you"
GRAPHS: Final = ("talk", "slow_talk")
RUN_TIMEOUT_MS: Final = 11_000

RunReport = dict[str, Any]
"""What the page showed of one run, as JSON of the page."""


async def execute_runs(page: Page, site: Site, transport: str, runs: int) -> list[RunReport]:
    """Opens the page, and returns its reports when all runs ended."""
    await open_page(page, site, ",".join(GRAPHS), transport=transport, runs=str(runs), reply=REPLY)
    text = await page.locator("#reports").text_content(timeout=30_000 + runs * RUN_TIMEOUT_MS)
    reports: list[RunReport] = json.loads(text or "[]")
    return reports


def without_reply(reports: list[RunReport]) -> list[RunReport]:
    """The reports of the runs whose complete reply the page did not show."""
    return [report for report in reports if not report["complete"]]


async def _execute_in_chromium(home: str, site: Site, transport: str, runs: int) -> list[RunReport]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await chromium.new_page(base_url=home)
        reports = await execute_runs(page, site, transport, runs)
        await chromium.close()
        return reports


def main() -> int:
    """Executes the runs on a server of its own. The exit code is 1 if a reply was not shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--transport", choices=("websocket", "sse"), default="websocket")
    parser.add_argument("--client", choices=("bundled", SDK), default="bundled", help="client of @langchain/react")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page, data = Path(folder, "page"), Path(folder, "data")
        page.mkdir()
        data.mkdir()
        bundle("short_runs", page, None if options.client == "bundled" else options.client)
        with serve_folder(page) as home, running_site(HERE / "project" / "langgraph.json", data) as site:
            reports = asyncio.run(_execute_in_chromium(home, site, options.transport, options.runs))
    lost = without_reply(reports)
    for report in lost[:5]:
        print(json.dumps(report))
    print(f"{options.transport}: {len(lost)} of {len(reports)} runs ended without the reply on the page")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
