"""The exit codes of Slipway's processes that could not start, and the line that they print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from slipway.errors import ConfigError, StoreUnavailable

CONFIG: Final = 2
"""The settings, langgraph.json or a file that it names are wrong. Another start would fail in the same way."""

UNAVAILABLE: Final = 75
"""Redis became unavailable during the start. Another start may succeed (EX_TEMPFAIL)."""


@contextmanager
def exit_on_errors_to_fix() -> Iterator[None]:
    """An error that a person must fix ends the process: it prints one line without a traceback on standard error, and
    raises `SystemExit` with its exit code."""
    try:
        yield
    except ConfigError as error:
        _exit(error, CONFIG)
    except StoreUnavailable as error:
        _exit(error, UNAVAILABLE)


def _exit(error: Exception, code: int) -> None:
    sys.stderr.write(f"slipway: {error}\n")
    sys.exit(code)
