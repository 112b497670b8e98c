"""What the environment gives to processes that tests start: variables and free ports."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

from slipway.environment_variables import PREFIX, REDIS_URL_NAMES

_ROOT: Final = Path(__file__).parent.parent

PYTHON_PATH: Final = os.pathsep.join(str(_ROOT / folder) for folder in (".", "app", "workers"))
"""The source roots beside this file. Processes need them to execute a planted fault (`tests/mutants`) instead of the
installed code."""


def bare_environment() -> dict[str, str]:
    """The environment without variables that configure Slipway, so that settings of a developer do not change tests."""
    slipway_names = {"PORT", *REDIS_URL_NAMES}
    return {
        name: value for name, value in os.environ.items() if name not in slipway_names and not name.startswith(PREFIX)
    }


def free_port() -> int:
    """A free port outside of the range of outgoing connections, so that a server can restart on it."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")
