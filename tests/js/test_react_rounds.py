"""`useStream` of @langchain/react shows the answer of every short run (`make rounds` plays 200 of them)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.js.bundle import bundle, origin
from tests.js.rounds import play, without_answer
from tests.site import Site

pytestmark = pytest.mark.timeout(180)

ROUNDS = 20


@pytest.fixture(scope="module")
def home(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served."""
    folder = tmp_path_factory.mktemp("rounds")
    bundle("rounds", folder)
    with origin(folder) as url:
        yield url


async def test_no_answer_is_lost_over_a_websocket(site: Site, page: Page) -> None:
    ended = await play(page, site, "websocket", ROUNDS)
    assert len(ended) == ROUNDS
    assert without_answer(ended) == []
