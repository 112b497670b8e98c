"""Installs the npm packages, starts `slipway dev`, bundles pages and opens them in Chromium."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.conftest import WAIT_MS, PageObserver, browser, mark_chromium
from tests.js.bundle import bundle, serve_folder
from tests.site import Site, running_site

__all__ = ["browser"]

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
OLDEST_NODE = 20
INSTALL_WITHIN_S = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests here with `node`, and those of React with `chromium` too."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("node")
            if item.path.name.startswith("test_react"):
                mark_chromium(item)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Installs the packages of package-lock.json. If node or npm is missing or npm fails, the tests are skipped; in CI
    they fail."""
    if problem := _tool_problem() or _install():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(problem)
    return MODULES


def _tool_problem() -> str:
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            return f"{command} is not installed (Debian: apt install nodejs npm)"
    version = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
    is_too_old = int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE
    return f"node {version.strip()} is older than {OLDEST_NODE}" if is_too_old else ""


def _install() -> str:
    """Installs the packages unless they are installed. Returns the problem, or an empty text."""
    lock, stamp = (HERE / "package-lock.json").read_bytes(), MODULES / ".installed"
    lock_hash = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text() == lock_hash:
        return ""
    try:
        npm = subprocess.run(
            ("npm", "ci"), cwd=HERE, check=False, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
        )
    except subprocess.TimeoutExpired:
        return f"npm ci took longer than {INSTALL_WITHIN_S} s"
    if npm.returncode:
        return f"npm ci failed: {npm.stderr[-2000:]}"
    stamp.write_text(lock_hash)
    return ""


@pytest.fixture(scope="session")
def site(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`slipway dev` with the graphs of the project, and a ping every 0.2 s in streams."""
    config = HERE / "project" / "langgraph.json"
    with running_site(config, tmp_path_factory.mktemp("js"), SLIPWAY_SSE_PING_S="0.2") as site:
        yield site


def home_of(page: str, packages: Mapping[str, str | None]) -> Any:  # pytest has no public type for a fixture
    """The fixture `home`: the URL of the bundled page, for each package (id -> package) that it imports as the client.

    With `None`, it uses the client that @langchain/react depends on.
    """

    @pytest.fixture(scope="module", name="home", params=[*packages.values()], ids=[*packages])
    def serve_page(
        request: pytest.FixtureRequest, node_modules: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[str]:
        folder = tmp_path_factory.mktemp(page)
        bundle(page, folder, request.param)
        with serve_folder(folder) as url:
            yield url

    return serve_page


@pytest.fixture
def observer(home: str) -> PageObserver:
    return PageObserver(home)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, home: str, observer: PageObserver) -> AsyncIterator[Page]:
    """An empty page of a new browser profile. An unexpected message in its console fails the test."""
    async with await browser.new_context(base_url=home, viewport={"width": 900, "height": 700}) as context:
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("console", observer.console)
        page.on("pageerror", lambda error: observer.problems.append(f"error: {error}"))
        yield page
    assert observer.unexpected() == []
