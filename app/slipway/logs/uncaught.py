"""What Python would write to standard error by itself goes into the log: uncaught exceptions and warnings."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import TextIO

import structlog

from slipway.exception_text import message_of, repr_of

log = structlog.get_logger(__name__)

_WARNINGS = logging.getLogger("py.warnings")


def log_uncaught() -> None:
    """From now on, uncaught exceptions of this process and of its threads, exceptions that Python ignores, and warnings
    are lines of the log."""
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_uncaught_in_thread
    sys.unraisablehook = _on_ignored
    warnings.showwarning = _on_warning


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        log.info("process.interrupted")
    else:
        log.error("process.crashed", exc_info=error)


def _on_uncaught_in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None and not isinstance(raised.exc_value, SystemExit):
        name = None if raised.thread is None else raised.thread.name
        log.error("thread.crashed", thread_name=name, exc_info=raised.exc_value)


def _on_ignored(ignored: sys.UnraisableHookArgs) -> None:
    log.error("exception.ignored", finalizer=repr_of(ignored.object), exc_info=ignored.exc_value)


def _on_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = message if isinstance(message, str) else message_of(message)
    _WARNINGS.warning("%s", text, extra={"category": category.__name__, "where": f"{filename}:{lineno}"})
