"""Logs on standard error: text on a terminal, JSON elsewhere. Standard output is only for the results of commands.

Slipway logs with structlog, and the name of each event is `noun.past_participle` (`run.started`). Libraries log with
`logging`; their lines are converted to the same form. Secrets are replaced in all of them: fields that are named as
credentials, and texts (`slipway.redaction`).
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from slipway.credential_headers import is_credential
from slipway.exception_text import is_a, traceback_of
from slipway.redaction.credential_patterns import REDACTED
from slipway.redaction.known_secrets import remember_environment
from slipway.redaction.redact import redact_member, redact_message
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

_QUIETER: Final = dict.fromkeys(("asyncio", "httpx", "httpx2", "sse_starlette", "uvicorn"), logging.WARNING)
"""Libraries that log too many lines at Slipway's level, with the lowest level of each that is logged. sse-starlette
would log the content of all streams."""

_EXPECTED: Final = frozenset({"ASGI callable returned without completing response.", "Invalid HTTP request received."})
"""Lines of uvicorn that are left out. It logs the first when a response is closed without its last chunk: a stopping
process closes every open stream in this way, so that its client reconnects. Instead of the second, the log has
`http.client_rejected` with the reason."""


def configure(settings: Settings, process: str) -> None:
    """Sends every log line of this process to standard error, with the name of the `process` (web, worker, dev)."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ProcessName(process),
        _without_credentials,
    ]
    settings.remember_secrets()
    remember_environment()
    rendering = _rendering(settings.log_format)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *rendering,
            _as_rendered,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(_Formatter(foreign_pre_chain=before, processors=[remove_meta, *rendering]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIETER.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    logging.getLogger("uvicorn.error").addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    return record.msg not in _EXPECTED


def _rendering(log_format: str) -> list[Processor]:
    """The processors that render a line. `auto` means text if standard error is a terminal, else JSON."""
    terminal = sys.stderr.isatty()
    if log_format == "json" or (log_format == "auto" and not terminal):
        return [_exception_as_text, structlog.processors.JSONRenderer(serializer=_json), _redacted]
    return [_exception_as_text, structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=0), _redacted]


def _without_credentials(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replaces the texts of fields that are named as credentials, such as headers that are logged, and what the project
    names."""
    for name, value in event.items():
        if name == "exc_info":  # rendered later
            continue
        is_text = isinstance(value, str | bytes)
        is_secret = is_text and is_credential(name.lower().replace("_", "-"))
        event[name] = REDACTED if is_secret else redact_member(name, value)
    return event


def _redacted(logger: WrappedLogger, method: str, line: Any) -> str:
    return redact_message(line)


class _Rendered(str):
    """A complete line of Slipway. Each run has one, and to convert it in the formatter as well, as lines of libraries
    are, would cost half as much again."""

    __slots__ = ()


def _as_rendered(logger: WrappedLogger, method: str, line: Any) -> str:
    return _Rendered(line)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Converts the lines of libraries."""

    def format(self, record: logging.LogRecord) -> str:
        return record.msg if type(record.msg) is _Rendered else super().format(record)


def _exception_as_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Renders the exception of a line. A graph's exception may be hostile: its `__str__` may raise."""
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


class _ProcessName:
    """Adds the name of the process to each line."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> dict[str, Any]:
        event.pop("color_message", None)  # uvicorn adds a second copy of each message
        event.setdefault("process", self._process)
        return dict(event)
