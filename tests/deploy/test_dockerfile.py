"""Executes the steps of the Dockerfile in a folder, without Docker, and then the commands of the image."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.crash.cluster import ROOT
from tests.deploy.conftest import Checkout, fresh_environment
from tests.deploy.processes import assert_serves, command, first_key, stop
from tests.embedded_valkey import embedded_valkey
from tests.environment import free_port


@dataclass(frozen=True, slots=True)
class Image:
    """The result of a build: the working directory, the variables of ENV, and CMD."""

    checkout: Checkout
    env: dict[str, str]
    cmd: str

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Executes the steps with the Python and the user of the tests in place of the base image and its user."""
        checkout, env, cmd = Checkout(folder), dict[str, str](), ""
        fresh_environment(folder)
        for line in (ROOT / "Dockerfile").read_text().splitlines():
            step, _, arguments = line.partition(" ")
            if step == "COPY":
                *sources, target = shlex.split(arguments)
                for source in sources:
                    copy_source(source, target, folder)
            elif step == "RUN" and not arguments.startswith("useradd "):
                subprocess.run(arguments, shell=True, cwd=folder, env=checkout.environment, check=True, timeout=300)
            elif step == "ENV":
                env |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
            elif step == "CMD":
                cmd = shlex.join(json.loads(arguments))
            else:
                assert step in ("", "FROM", "WORKDIR", "RUN", "USER", "EXPOSE"), f"unknown step: {line}"
        return cls(checkout, env, cmd)


def copy_source(source: str, target: str, folder: Path) -> None:
    """Copies a file, or the content of a folder, as COPY does."""
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(ROOT / source, folder / target)


def health_check() -> str:
    """The health check of the worker in compose.yaml, as a command line."""
    [arguments] = re.findall(r'test: \["CMD", ("arq".*)\]', (ROOT / "compose.yaml").read_text())
    return shlex.join(json.loads(f"[{arguments}]"))


def test_dockerignore_includes_exactly_the_copied_files() -> None:
    included = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    assert {source for line in lines for source in line.split()[1:-1]} == included


@pytest.mark.timeout(400)
async def test_the_image_serves_and_stops(tmp_path: Path) -> None:
    image, port = Image.build(tmp_path), free_port()
    sbom = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert {"slipway", "langgraph", "redis"} <= {
        each["name"] for each in (*sbom["components"], sbom["metadata"]["component"])
    }
    with embedded_valkey() as url:
        assert image.env["PORT"] == "8123"
        env = image.checkout.environment | image.env | {"PORT": str(port), "SLIPWAY_REDIS_URL": url}
        key = await first_key("slipway", tmp_path, env)
        async with command(image.cmd, tmp_path, env) as web, command("slipway worker", tmp_path, env) as worker:
            await assert_serves(f"http://127.0.0.1:{port}", key)
            async with command(health_check(), tmp_path, env) as check:
                assert await check.wait() == 0
            await stop(web, worker)
    assert "Traceback" not in image.checkout.log()
