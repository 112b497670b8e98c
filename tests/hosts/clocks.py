"""Clocks of hosts that differ: libfaketime shifts the time of day of a process. Time that has passed
(`time.monotonic`) and the times of files stay as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.environment import PYTHON_PATH

_SHIFTED: Final = Path(__file__).with_name("shifted_clock")
_LIBRARY: Final = "libfaketimeMT.so.1"
_FOLDERS: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")


@cache
def library() -> Path | None:
    """The library of libfaketime for programs with threads; None if it is not installed (apt: `faketime`)."""
    found = (path for folder in _FOLDERS for path in Path("/").glob(f"{folder[1:]}/{_LIBRARY}"))
    return next(found, None)


def clock_env(ahead_s: int) -> Mapping[str, str]:
    """Environment variables of a process whose clock is `ahead_s` seconds ahead, or behind if that is negative."""
    if not ahead_s:
        return MappingProxyType({})
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME": f"{ahead_s:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # the name of the same variable before libfaketime 0.9.10
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": os.pathsep.join((str(_SHIFTED), PYTHON_PATH)),
    }
