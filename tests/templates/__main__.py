"""`python -m tests.templates FOLDER`: starts the templates in that folder on Slipway, and talks to each.

FOLDER has a checkout of each template, under its repository's name; those that are missing are passed over, and none
at all is an error. They are copied, never changed. Their dependencies are installed beside Slipway's in an
environment of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Final

import httpx

from tests.conftest import free_port
from tests.templates.fake_models import serving
from tests.templates.talks import TALKS, talk

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
START_WITHIN_S: Final = 60.0
STAND_INS: Final = frozenset({"langchain-tavily"})
"""Packages of providers that cannot be led to this machine; `stand_ins` has them."""


def main() -> int:
    """Every template's talk; the exit code says whether all went well."""
    options = _options()
    templates = [options.folder / name for name in TALKS if (options.folder / name / "langgraph.json").exists()]
    if not templates:
        print(f"none of {', '.join(TALKS)} is in {options.folder}", file=sys.stderr)
        return 2
    _install(options.environment, templates)
    failed = [template.name for template in templates if not asyncio.run(_good(template, options.environment))]
    print(f"{len(templates) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _install(environment: Path, templates: list[Path]) -> None:
    """Slipway and what the templates want, as one choice of versions."""
    wanted = {
        requirement
        for template in templates
        for requirement in tomllib.loads((template / "pyproject.toml").read_text())["project"]["dependencies"]
        if not requirement.startswith(tuple(STAND_INS))
    }
    stamp = environment / "installed.txt"
    if stamp.exists() and stamp.read_text().splitlines() == sorted(wanted):
        return
    print(f"installing Slipway and what the templates need into {environment} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--editable", str(ROOT), *sorted(wanted)], check=True)
    stamp.write_text("\n".join(sorted(wanted)))


async def _good(template: Path, environment: Path) -> bool:
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="template-"))
    project = work / template.name
    shutil.copytree(template, project)
    shutil.copy(project / ".env.example", project / ".env")  # as its README says
    port, models = free_port(), free_port()
    async with serving(models) as variables:
        with (work / "slipway.log").open("wb") as log:
            process = subprocess.Popen(
                [environment / "bin" / "slipway", "dev", "--port", str(port), "--data-dir", work / "data"],
                cwd=project,
                env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables, "PYTHONPATH": _path(project)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            await _answers(f"http://127.0.0.1:{port}", process)
            await talk(template.name, f"http://127.0.0.1:{port}")
        except Exception as error:
            print(f"{template.name}: {type(error).__name__}: {error}\n{(work / 'slipway.log').read_text()[-6000:]}")
            return False
        finally:
            process.terminate()
            process.wait(40)
    print(f"{template.name}: talked to in {time.monotonic() - began:.1f} s")
    return True


def _path(project: Path) -> str:
    """What `pip install -e .` makes importable, and the stand-ins."""
    return os.pathsep.join([str(HERE / "stand_ins"), str(project / "src")])


async def _answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    async with httpx.AsyncClient() as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if (await client.get(f"{url}/ok")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise RuntimeError(f"Slipway does not answer (exit code {process.poll()})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.templates", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the checkouts of the templates are")
    parser.add_argument("--environment", type=Path, default=ROOT / ".templates", help="where packages are installed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
