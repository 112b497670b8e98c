"""The Dockerfile's steps in a folder, and then what the image would start, without Docker."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import embedded_valkey, free_port
from tests.crash.cluster import ROOT
from tests.deploy.conftest import Checkout, fresh_environment
from tests.deploy.processes import command, serves, stops


@dataclass(frozen=True, slots=True)
class Image:
    """What building left: the folder of WORKDIR with everything that was copied, ENV, and CMD."""

    folder: Checkout
    env: dict[str, str]
    cmd: str

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Perform the steps. The base image is this machine's Python; the user stays the one that runs the tests."""
        inside, env, cmd = Checkout(folder), dict[str, str](), ""
        fresh_environment(folder)
        for line in (ROOT / "Dockerfile").read_text().splitlines():
            step, _, rest = line.partition(" ")
            if step == "COPY":
                *sources, target = shlex.split(rest)
                for source in sources:
                    copied(source, target, folder)
            elif step == "RUN" and not rest.startswith("useradd "):
                subprocess.run(rest, shell=True, cwd=folder, env=inside.environment, check=True, timeout=300)
            elif step == "ENV":
                env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            elif step == "CMD":
                cmd = shlex.join(json.loads(rest))
            else:
                assert step in ("", "FROM", "WORKDIR", "RUN", "USER", "EXPOSE"), f"a new step: {line}"
        return cls(inside, env, cmd)


def copied(source: str, target: str, folder: Path) -> None:
    """COPY of one source; of a folder its content."""
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(ROOT / source, folder / target)


def test_what_is_copied_is_not_kept_from_docker() -> None:
    kept = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    assert {source for line in lines for source in line.split()[1:-1]} == kept


@pytest.mark.timeout(400)
async def test_it_serves_and_stops(tmp_path: Path) -> None:
    image, port = Image.build(tmp_path), free_port()
    with embedded_valkey() as url:
        assert image.env["PORT"] == "8123"
        env = image.folder.environment | image.env | {"PORT": str(port), "SLIPWAY_REDIS_URL": url}
        async with command(image.cmd, tmp_path, env) as web, command("slipway worker", tmp_path, env) as worker:
            await serves(f"http://127.0.0.1:{port}")
            await stops(web, worker)
    assert "Traceback" not in image.folder.log()
