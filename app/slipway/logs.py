"""Logs: lines for people on a terminal, JSON for machines, on standard error; standard output stays free for answers.

Our own lines come from structlog and name their event with a dotted word (`run.started`); those of libraries arrive
through `logging` and take the same shape.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from slipway.exception_text import is_a, traceback_of
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

_QUIETER: Final = {"uvicorn": logging.WARNING, "asyncio": logging.WARNING, "httpx": logging.WARNING}
"""Libraries that say too much at the level we run at."""

_BROKEN_OFF: Final = "ASGI callable returned without completing response."
"""What uvicorn says of an answer that is broken off so that its client asks again: we do that on purpose, with every
open stream of a process that stops."""


def configure(settings: Settings, process: str) -> None:
    """Send every log line of this process to standard error. `process` (web, worker, dev) is in each of them."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(process),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=_rendering(settings.log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIETER.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    logging.getLogger("uvicorn.error").addFilter(_unforeseen)


def _unforeseen(record: logging.LogRecord) -> bool:
    return record.msg != _BROKEN_OFF


def _rendering(log_format: str) -> list[Processor]:
    """How a line is written; `auto` looks at standard error."""
    terminal = sys.stderr.isatty()
    if log_format == "json" or (log_format == "auto" and not terminal):
        return [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _exception_as_text,
            structlog.processors.JSONRenderer(serializer=_json),
        ]
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _exception_as_text,
        structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=0),
    ]


def _exception_as_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Describe the exception of a line ourselves: it may be a graph's, and may not let itself be described."""
    raised = event.pop("exc_info", None)
    if isinstance(raised, tuple):
        raised = raised[1]
    elif raised is not None and not is_a(raised, BaseException):
        raised = sys.exc_info()[1] if raised else None
    if raised is not None:
        event["exception"] = traceback_of(raised)
    return event


def _json(event: Any, **_: Any) -> str:
    return dumps(event).decode()


class _Named:
    """Adds the name of the process."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> dict[str, Any]:
        event.pop("color_message", None)  # uvicorn says everything twice
        event.setdefault("process", self._process)
        return dict(event)
