"""Small programs that log as a process of Slipway does."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_START = """
import asyncio, logging, threading, warnings, sys, structlog
from slipway.logs.configuration import configure
from slipway.settings import Settings
configure(Settings(log_format={log_format!r}, release={release!r}), "worker")
log = structlog.get_logger("project")
library = logging.getLogger("library")
"""


def output_of(code: str, log_format: str = "json", release: str = "") -> str:
    """What a program writes to standard error that executes `code`, with `log` of structlog and `library` of
    `logging`."""
    program = _START.format(log_format=log_format, release=release) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout == b""
    return done.stderr.decode()


def lines_of(code: str, **options: Any) -> list[dict[str, Any]]:
    """The lines as JSON. Each line of the output must be one object."""
    return [json.loads(line) for line in output_of(code, **options).splitlines()]
