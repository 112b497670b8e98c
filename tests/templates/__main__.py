"""`python -m tests.templates FOLDER`: serves each template in that folder with Slipway and checks it.

FOLDER has a checkout of each template, in a folder with the name of its repository. Missing templates are skipped; a
folder without any template is an error. The checkouts are copied and never changed. The dependencies of the templates
and of Slipway are installed in one separate environment.
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

from tests.differential.servers import wait_ready
from tests.environment import free_port
from tests.templates.checks import CHECKS, check
from tests.templates.fake_models import fake_models

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
STAND_INS: Final = frozenset({"langchain-tavily"})
"""Packages that cannot be configured to use a local server; `stand_ins` replaces them."""


def main() -> int:
    """Checks all templates. The exit code is 1 if a check failed, 2 if the folder has no template."""
    options = _options()
    templates = [options.folder / name for name in CHECKS if (options.folder / name / "langgraph.json").exists()]
    if not templates:
        print(f"none of {', '.join(CHECKS)} is in {options.folder}", file=sys.stderr)
        return 2
    _install(options.environment, templates)
    failed = [template.name for template in templates if not asyncio.run(_passes(template, options.environment))]
    print(f"{len(templates) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _install(environment: Path, templates: list[Path]) -> None:
    """Installs Slipway and the dependencies of the templates in one call of pip, so that their versions agree."""
    requirements = {
        requirement
        for template in templates
        for requirement in tomllib.loads((template / "pyproject.toml").read_text())["project"]["dependencies"]
        if not requirement.startswith(tuple(STAND_INS))
    }
    stamp = environment / "installed.txt"
    if stamp.exists() and stamp.read_text().splitlines() == sorted(requirements):
        return
    print(f"installing Slipway and the dependencies of the templates into {environment} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--editable", str(ROOT), *sorted(requirements)], check=True)
    stamp.write_text("\n".join(sorted(requirements)))


async def _passes(template: Path, environment: Path) -> bool:
    started = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="template-"))
    project = work / template.name
    shutil.copytree(template, project)
    shutil.copy(project / ".env.example", project / ".env")  # as the README of the template says
    port, models = free_port(), free_port()
    async with fake_models(models) as variables:
        with (work / "slipway.log").open("wb") as log:
            process = subprocess.Popen(
                [environment / "bin" / "slipway", "dev", "--port", str(port), "--data-dir", work / "data"],
                cwd=project,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": os.environ["HOME"],
                    **variables,
                    "PYTHONPATH": _python_path(project),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            await wait_ready(f"http://127.0.0.1:{port}", process, work / "slipway.log")
            await check(template.name, f"http://127.0.0.1:{port}")
        except Exception as error:
            print(f"{template.name}: {type(error).__name__}: {error}\n{(work / 'slipway.log').read_text()[-6000:]}")
            return False
        finally:
            process.terminate()
            process.wait(40)
    print(f"{template.name}: checked in {time.monotonic() - started:.1f} s")
    return True


def _python_path(project: Path) -> str:
    """The stand-ins, and the folder that `pip install -e .` would make importable."""
    return os.pathsep.join([str(HERE / "stand_ins"), str(project / "src")])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.templates", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the checkouts of the templates")
    parser.add_argument(
        "--environment", type=Path, default=ROOT / ".templates", help="folder in which packages are installed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
