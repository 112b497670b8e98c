"""The npm packages of this folder, and `slipway dev` on its project; both once a session. A page of Chromium."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.conftest import WAIT_MS, Watch, browser, in_chromium
from tests.site import Site, developing

__all__ = ["browser"]

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
OLDEST_NODE = 20
INSTALL_WITHIN_S = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need node, those of React need Chromium as well."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("node")
            if item.path.name.startswith("test_react"):
                in_chromium(item)


@pytest.fixture(scope="session")
def packages() -> Path:
    """`node_modules`, as package-lock.json says. Without node, npm or a registry the tests are skipped with the
    reason; never in CI."""
    if missing := _missing() or _not_installed():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return MODULES


def _missing() -> str:
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            return f"{command} is not installed (Debian: apt install nodejs npm)"
    version = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
    old = int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE
    return f"node {version.strip()} is older than {OLDEST_NODE}" if old else ""


def _not_installed() -> str:
    lock, stamp = (HERE / "package-lock.json").read_bytes(), MODULES / ".installed"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    try:
        done = subprocess.run(
            ("npm", "ci"), cwd=HERE, check=False, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
        )
    except subprocess.TimeoutExpired:
        return f"npm ci took longer than {INSTALL_WITHIN_S} s"
    if done.returncode:
        return f"npm ci failed: {done.stderr[-2000:]}"
    stamp.write_text(wanted)
    return ""


@pytest.fixture(scope="session")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The project's graphs, served with a quick beat."""
    config = HERE / "project" / "langgraph.json"
    with developing(config, tmp_path_factory.mktemp("js"), SLIPWAY_SSE_PING_S="0.2") as site:
        yield site


@pytest.fixture
def watch(home: str) -> Watch:
    """What the page complains about."""
    return Watch(home)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, home: str, watch: Watch) -> AsyncIterator[Page]:
    """A fresh profile; a complaint of the page fails the test."""
    async with await browser.new_context(base_url=home, viewport={"width": 900, "height": 700}) as context:
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("console", watch.console)
        page.on("pageerror", lambda error: watch.complaints.append(f"error: {error}"))
        yield page
    assert watch.unexpected() == []
