"""The loggers of structlog in a process of Slipway. A line is written at once if it is usual."""

from __future__ import annotations

from typing import Any

import structlog

from slipway.logs.usual_line import UsualLine


class Logger(structlog.stdlib.BoundLogger):
    """structlog's logger for `logging`. Code that replaces its processors, as tests do that capture lines, gets all
    lines."""

    def debug(self, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Logs a line for developers."""
        return None if self._is_done("debug", event, args, kw) else super().debug(event, *args, **kw)

    def info(self, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Logs that something happened as it should."""
        return None if self._is_done("info", event, args, kw) else super().info(event, *args, **kw)

    def warning(self, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Logs a failure with which the process goes on."""
        return None if self._is_done("warning", event, args, kw) else super().warning(event, *args, **kw)

    def error(self, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Logs a failure that somebody should look at."""
        return None if self._is_done("error", event, args, kw) else super().error(event, *args, **kw)

    def _is_done(self, method: str, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> bool:
        """Whether the line is usual, and nothing remains to be done."""
        processors = self._processors
        return (
            isinstance(processors, list)
            and len(processors) > 0
            and type(first := processors[0]) is UsualLine
            and not args
            and not self._context
            and first.is_done(self._logger, method, event, fields)
        )
