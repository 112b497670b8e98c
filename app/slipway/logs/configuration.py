"""Logs on standard error: text on a terminal, JSON elsewhere. Standard output is only for the results of commands.

Slipway logs with structlog, and `slipway.telemetry.table` declares each event. Libraries and the project's code log
with `logging`; their lines are converted to the same form, with the same fields. Secrets are replaced in all of them:
fields that are named as credentials, and texts (`slipway.redaction`).
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from slipway.logs.handler import LogHandler, Rendered
from slipway.logs.line import Line
from slipway.logs.strict import logger_class
from slipway.logs.terminal import TerminalLine
from slipway.logs.uncaught import log_uncaught
from slipway.logs.usual_line import BOUND_TO_CONTEXTS, UsualLine
from slipway.redaction.known_secrets import remember_environment
from slipway.redaction.redact import redact_message
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

_QUIETER: Final = dict.fromkeys(("asyncio", "httpx", "httpx2", "sse_starlette", "uvicorn"), logging.WARNING)
"""Libraries that log too many lines at Slipway's level, with the lowest level of each that is logged. sse-starlette
would log the content of all streams."""

_EXPECTED: Final = frozenset({"ASGI callable returned without completing response.", "Invalid HTTP request received."})
"""Lines of uvicorn that are left out. It logs the first when a response is closed without its last chunk: a stopping
process closes every open stream in this way, so that its client reconnects. Instead of the second, the log has
`http.client_rejected` with the reason."""

_PROCESSORS: Final[list[Processor]] = []
"""Those of Slipway's lines. Loggers refer to this list, so it is changed and not replaced."""


def configure(settings: Settings, process: str) -> None:
    """Sends every log line of this process to standard error, with the name of the `process` (web, worker, dev)."""
    settings.remember_secrets()
    remember_environment()
    line, render, handler = Line(process, settings.release), _renderer(settings.log_format), LogHandler(sys.stderr)
    _PROCESSORS[:] = processors_of(line, render, handler)
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=logger_class(),
        cache_logger_on_first_use=True,
    )
    before: list[Processor] = [_with_bound_to_context, structlog.stdlib.ExtraAdder(), line]
    handler.setFormatter(_Formatter(foreign_pre_chain=before, processors=[render, _redacted]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIETER.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    logging.getLogger("uvicorn.error").addFilter(_is_unexpected)
    logging.getLogger("langgraph.pregel._retry").addFilter(_without_traceback)
    log_uncaught()


def processors_of(line: Line, render: Processor, handler: LogHandler) -> list[Processor]:
    """Those of Slipway's lines. All behind the first are the long way of a line."""
    return [
        UsualLine(line, handler, render.text_of if isinstance(render, TerminalLine) else None),
        structlog.stdlib.filter_by_level,
        _with_bound_to_context,
        _with_positional_arguments,
        line,
        render,
        _redacted,
        _Output(handler),
    ]


def _is_unexpected(record: logging.LogRecord) -> bool:
    return record.msg not in _EXPECTED


def _without_traceback(record: logging.LogRecord) -> bool:
    """A node that is tried again has not failed yet. If its last try raises, `run.raised` has the traceback."""
    record.exc_info = None
    return True


def _renderer(log_format: str) -> Processor:
    """The processor that renders a line. `auto` means text if standard error is a terminal, else JSON."""
    terminal = sys.stderr.isatty()
    if log_format == "json" or (log_format == "auto" and not terminal):
        return json_line
    return TerminalLine(is_terminal=terminal)


def _with_bound_to_context(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return structlog.contextvars.merge_contextvars(logger, method, event) if BOUND_TO_CONTEXTS else event


_POSITIONAL: Final = structlog.stdlib.PositionalArgumentsFormatter()


def _with_positional_arguments(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Formats a message of the project's code as `logging` does. Arguments that do not fit become a field."""
    if "positional_args" not in event:
        return event
    try:
        return _POSITIONAL(logger, method, event)
    except Exception:
        event["arguments"] = event.pop("positional_args", None)
        return event


def _redacted(logger: WrappedLogger, method: str, line: Any) -> str:
    return redact_message(line)


class _Output:
    """The end of a line of Slipway. It is written at once, which takes two thirds of the time that `logging` needs for
    it, unless somebody else wants the lines too: then they go through `logging`."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def __call__(self, logger: WrappedLogger, method: str, line: Any) -> str:
        if not self._handler.is_only_reader_of(logger):
            return Rendered(line)
        self._handler.write(line)
        raise structlog.DropEvent


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Converts the lines of libraries."""

    def format(self, record: logging.LogRecord) -> str:
        return record.msg if type(record.msg) is Rendered else super().format(record)


def json_line(logger: WrappedLogger, method: str, line: EventDict) -> str:
    return dumps(line).decode()
