"""A project with packages named `app`, `workers`, `library`, `api` and `tests` is served without renaming: by the
installed wheel, and by the commands of the Procfile in a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
from langgraph_sdk import get_client

from tests.crash.cluster import ROOT
from tests.deploy.conftest import Checkout, copy_tracked, fresh_checkout
from tests.deploy.processes import command, dev_url, stop, wait_ready
from tests.deploy.test_procfile import procfile
from tests.environment import free_port

PROJECT: Final = Path(__file__).with_name("own_packages")
GRAPHS: Final = ("by_file", "by_module", "inline")
REPORT: Final = {"class": "app.models.Order", "price": 70, "text": "thanks, Ada", "sample": "a sample"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of Slipway, built from the files in version control."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    copy_tracked(source)
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source))
    subprocess.run((sys.executable, "-m", "pip", *build), check=True, timeout=120)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project outside the repository."""
    return Path(shutil.copytree(PROJECT, tmp_path / "shop"))


async def assert_serves_project(url: str) -> None:
    """Asserts that each graph interrupts, and continues with its stored state after the answer."""
    await wait_ready(url)
    async with get_client(url=url) as client:
        for graph in GRAPHS:
            thread_id = (await client.threads.create())["thread_id"]
            interrupted: Any = await client.runs.wait(thread_id, graph, input={"number": 7})
            assert interrupted["__interrupt__"][0]["value"] == "order 7?"
            values: Any = await client.runs.wait(thread_id, graph, command={"resume": "Ada"})
            assert values["report"] == REPORT


def test_the_wheel_has_two_packages_with_all_their_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"slipway", "slipway_workers"}
    listed = subprocess.run(("git", "ls-files", "app", "workers"), cwd=ROOT, capture_output=True, check=True, text=True)
    files = {name.partition("/")[2] for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert files - names == set()


@pytest.mark.timeout(400)
async def test_the_installed_wheel_serves_the_project(wheel: Path, project: Path) -> None:
    with fresh_checkout() as checkout:
        python = checkout.folder / ".venv" / "bin" / "python"
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
        subprocess.run((str(python), *install), check=True, timeout=120)
        async with command("slipway dev --port 0", project, checkout.environment) as dev:
            await assert_serves_project(await dev_url(dev, project / "log"))
            await stop(dev)


@pytest.mark.timeout(400)
async def test_the_commands_of_the_procfile_serve_the_project(
    checkout: Checkout, platform_redis: str, project: Path
) -> None:
    """Also if the checkout has a package `tests`, as a platform's copy of the repository does."""
    own_tests = checkout.folder / "tests"
    own_tests.mkdir()
    (own_tests / "__init__.py").touch()
    port, lines = free_port(), procfile(checkout.folder)
    two_workers = f"{lines['worker']} --processes 2"
    env = checkout.environment | {"PORT": str(port), "REDIS_URL": platform_redis}
    env |= {"SLIPWAY_CONFIG": str(project / "langgraph.json"), "SLIPWAY_REQUIRE_KEYS": "0"}
    try:
        async with (
            command(lines["web"], checkout.folder, env) as web,
            command(two_workers, checkout.folder, env) as worker,
        ):
            await assert_serves_project(f"http://127.0.0.1:{port}")
            await stop(web, worker)
    finally:
        shutil.rmtree(own_tests)
