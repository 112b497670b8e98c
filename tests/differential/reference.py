"""The reference server: pip installs it in an environment of its own, and it runs as a process on loopback."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

PACKAGES: Final = ("langgraph-cli[inmem]==0.4.40", "langgraph-api==0.16.7")
"""The reference server. The versions are pinned, so a release of it changes no result."""

SHARED_PACKAGES: Final = (
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-prebuilt",
    "langgraph-sdk",
    "langchain",
    "langchain-core",
    "pydantic",
)
"""Libraries that execute the graphs. Both servers use the versions of this environment: only the servers may differ."""

ENVIRONMENT: Final = {
    "LANGSMITH_TRACING": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "NO_COLOR": "1",
}
"""Variables that stop the reference server from connecting to other hosts."""


def executable(folder: Path) -> Path:
    """The path of the reference server's command in the environment `folder`."""
    return folder / "bin" / "langgraph"


def install(folder: Path) -> None:
    """Creates the environment, unless it has exactly these versions already."""
    requirements = [*PACKAGES, *(f"{name}=={metadata.version(name)}" for name in SHARED_PACKAGES)]
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text().split() == requirements:
        return
    print(f"installing the reference server into {folder} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *requirements], check=True)
    stamp.write_text("\n".join(requirements))


def command(folder: Path, port: int) -> list[str]:
    """The command that serves the current folder. It executes as many runs at once as a worker of Slipway (32)."""
    return [
        str(executable(folder)),
        "dev",
        *("--no-browser", "--no-reload", "--allow-blocking"),
        *("--n-jobs-per-worker", "32"),
        *("--config", "langgraph.json", "--port", str(port)),
    ]
