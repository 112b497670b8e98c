"""Short runs by `useStream` of `@langchain/react` in Chromium, one after the other: how many end without their answer.

python -m tests.js.rounds --rounds 200 --transport websocket
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
from tests.js.bundle import bundle, origin
from tests.js.driving import visit
from tests.js.lines import SDK
from tests.site import Site, developing

HERE = Path(__file__).parent
ANSWER: Final = "hello to you"
GRAPHS: Final = ("talk", "slowly")
A_ROUND_MS: Final = 11_000

Round = dict[str, Any]


async def play(page: Page, site: Site, transport: str, rounds: int) -> list[Round]:
    """What each round showed when its run had ended."""
    await visit(page, site, ",".join(GRAPHS), transport=transport, rounds=str(rounds), answer=ANSWER)
    shown = await page.locator("#rounds").text_content(timeout=30_000 + rounds * A_ROUND_MS)
    ended: list[Round] = json.loads(shown or "[]")
    return ended


def without_answer(ended: list[Round]) -> list[Round]:
    """The rounds that did not show the answer."""
    return [one for one in ended if not one["whole"]]


async def _play_alone(home: str, site: Site, transport: str, rounds: int) -> list[Round]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await chromium.new_page(base_url=home)
        ended = await play(page, site, transport, rounds)
        await chromium.close()
        return ended


def main() -> int:
    """Play the rounds on a server of their own. The exit status says whether one lost its answer."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--transport", choices=("websocket", "sse"), default="websocket")
    options.add_argument("--client", choices=("bundled", SDK), default="bundled", help="what @langchain/react uses")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page, data = Path(folder, "page"), Path(folder, "data")
        page.mkdir()
        data.mkdir()
        bundle("rounds", page, None if given.client == "bundled" else given.client)
        with origin(page) as home, developing(HERE / "project" / "langgraph.json", data) as site:
            ended = asyncio.run(_play_alone(home, site, given.transport, given.rounds))
    lost = without_answer(ended)
    for one in lost[:5]:
        print(json.dumps(one))
    print(f"{given.transport}: {len(lost)} of {len(ended)} rounds ended without the answer")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
