"""The reference server: an environment of its own, made with pip, and a process on loopback."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

PACKAGES: Final = ("langgraph-cli[inmem]==0.4.40", "langgraph-api==0.16.7")
"""What is compared with, pinned: a newer server is compared with when somebody means to."""

SAME_AS_OURS: Final = (
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-prebuilt",
    "langgraph-sdk",
    "langchain",
    "langchain-core",
    "pydantic",
)
"""Libraries that run the graphs, in the versions of this environment: only the servers may differ."""

ENVIRONMENT: Final = {
    "LANGSMITH_TRACING": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "NO_COLOR": "1",
}
"""Nothing of the reference server calls out."""


def executable(folder: Path) -> Path:
    """Where the reference server's command is, in the environment of that folder."""
    return folder / "bin" / "langgraph"


def install(folder: Path) -> None:
    """Make the environment, unless it has just these versions already."""
    wanted = [*PACKAGES, *(f"{name}=={metadata.version(name)}" for name in SAME_AS_OURS)]
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text().split() == wanted:
        return
    print(f"installing the reference server into {folder} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *wanted], check=True)
    stamp.write_text("\n".join(wanted))


def command(folder: Path, port: int) -> list[str]:
    """What starts it in the current folder, with as many runs at once as Slipway's worker executes."""
    return [
        str(executable(folder)),
        "dev",
        *("--no-browser", "--no-reload", "--allow-blocking"),
        *("--n-jobs-per-worker", "32"),
        *("--config", "langgraph.json", "--port", str(port)),
    ]
