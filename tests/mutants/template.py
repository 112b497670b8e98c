"""A script that runs pytest in forks of itself. A fork starts in milliseconds, as the libraries are imported already.

It reads lines of JSON, `[arguments of pytest, file for its output]`, and prints the exit code of each in a line. The
code under test must not be imported here, as a fork must read the current files."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

LIBRARIES: Final = (
    *(
        "arq",
        "cryptography.fernet",
        "fastapi",
        "httptools",
        "httpx",
        "langchain_core.language_models",
        "langgraph.func",
    ),
    *("langchain_core.messages", "langgraph.graph", "langgraph.prebuilt", "langgraph_sdk", "numpy", "orjson"),
    *("prometheus_client", "psutil", "pydantic", "redis.asyncio", "rich.console", "starlette.applications"),
    *("starlette.testclient", "structlog", "typer", "uvicorn", "uvloop", "websockets"),
)


def main() -> None:
    """Runs pytest for each line until the input ends."""
    with tempfile.TemporaryDirectory() as empty:  # imports all plugins
        pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", empty, empty])
    for name in LIBRARIES:
        importlib.import_module(name)
    print("ready", file=sys.stderr, flush=True)
    for line in sys.stdin:
        arguments, output = json.loads(line)
        print(_exit_code_of_fork(arguments, output), file=sys.stderr, flush=True)


def _exit_code_of_fork(arguments: list[str], output: str) -> int:
    child = os.fork()
    if not child:
        _run(arguments, output)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _run(arguments: list[str], output: str) -> None:
    """Runs in the fork, and exits without the exit handlers of the template."""
    code = 1
    try:
        os.setsid()
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(written, 1)
        os.dup2(written, 2)
        sys.path[0] = str(Path.cwd())
        code = int(pytest.main(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
