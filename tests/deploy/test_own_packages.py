"""A project with packages named `app`, `workers`, `library`, `api` and `tests` is served as it is: by Slipway's wheel,
and from a checkout by the lines of the Procfile."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
from langgraph_sdk import get_client

from tests.conftest import free_port, wait_until
from tests.crash.cluster import ROOT
from tests.deploy.conftest import Checkout, copy_tracked, fresh_checkout
from tests.deploy.processes import command, ready, stops
from tests.deploy.test_procfile import procfile

PROJECT: Final = Path(__file__).with_name("own_packages")
GRAPHS: Final = ("by_file", "by_module", "inline")
REPORT: Final = {"class": "app.models.Order", "price": 70, "text": "thanks, Ada", "sample": "a sample"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slipway's wheel, built from the files that are in version control."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    copy_tracked(source)
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source))
    subprocess.run((sys.executable, "-m", "pip", *build), check=True, timeout=120)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project, far from Slipway's own files."""
    return Path(shutil.copytree(PROJECT, tmp_path / "shop"))


async def serves_the_project(url: str) -> None:
    """Each graph is started, stops for a person, and is resumed with the state that was stored."""
    await ready(url)
    async with get_client(url=url) as client:
        for graph in GRAPHS:
            thread_id = (await client.threads.create())["thread_id"]
            asked: Any = await client.runs.wait(thread_id, graph, input={"number": 7})
            assert asked["__interrupt__"][0]["value"] == "order 7?"
            values: Any = await client.runs.wait(thread_id, graph, command={"resume": "Ada"})
            assert values["report"] == REPORT


def test_the_wheel_has_two_packages_and_all_their_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"slipway", "slipway_workers"}
    listed = subprocess.run(("git", "ls-files", "app", "workers"), cwd=ROOT, capture_output=True, check=True, text=True)
    files = {name.partition("/")[2] for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert files - names == set()


@pytest.mark.timeout(400)
async def test_the_installed_wheel_serves_it(wheel: Path, project: Path) -> None:
    with fresh_checkout() as elsewhere:
        python = elsewhere.folder / ".venv" / "bin" / "python"
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
        subprocess.run((str(python), *install), check=True, timeout=120)
        async with command("slipway dev --port 0", project, elsewhere.environment) as dev:
            log = project / "log"
            with contextlib.suppress(TimeoutError):
                await wait_until(lambda: "ready http" in log.read_text() or dev.returncode is not None, 120)
            found = re.search(r"ready (http://\S+)", log.read_text())
            assert found is not None, log.read_text()
            await serves_the_project(found[1])
            await stops(dev)


@pytest.mark.timeout(400)
async def test_the_lines_of_the_procfile_serve_it(checkout: Checkout, platform_redis: str, project: Path) -> None:
    """Also where the checkout has a package `tests` of its own, as a platform's copy of the repository has."""
    own_tests = checkout.folder / "tests"
    own_tests.mkdir()
    (own_tests / "__init__.py").touch()
    port, lines = free_port(), procfile(checkout.folder)
    two_workers = f"{lines['worker']} --processes 2"
    env = checkout.environment | {"PORT": str(port), "REDIS_URL": platform_redis}
    env |= {"SLIPWAY_CONFIG": str(project / "langgraph.json")}
    try:
        async with (
            command(lines["web"], checkout.folder, env) as web,
            command(two_workers, checkout.folder, env) as worker,
        ):
            await serves_the_project(f"http://127.0.0.1:{port}")
            await stops(web, worker)
    finally:
        shutil.rmtree(own_tests)
