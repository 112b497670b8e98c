"""The handler of all log lines of a process. A log call never raises."""

from __future__ import annotations

import logging
import threading
from typing import Final, TextIO

from slipway.exception_text import class_name
from slipway.logs.standard_error import StandardError


class Rendered(str):
    """A complete line of Slipway. Each run has one, and to convert it in the formatter as well, as lines of libraries
    are, would cost half as much again."""

    __slots__ = ()


class _Formatting(threading.local):
    """Whether this thread formats a line."""

    now = False


_FORMATTING: Final = _Formatting()


class LogHandler(logging.Handler):
    """Writes the lines of all loggers."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._output = StandardError(stream)
        self.write = self._output.write
        """Writes a complete line."""

    def emit(self, record: logging.LogRecord) -> None:
        is_inner, _FORMATTING.now = _FORMATTING.now, True
        try:
            # an argument of a message may log when it is formatted, perhaps itself
            line = self._plain(record, "an argument of a line logged it") if is_inner else self.format(record)
        except Exception as error:  # a message whose arguments do not fit
            line = self._plain(record, class_name(error))
        finally:
            _FORMATTING.now = is_inner
        self.write(line)

    def is_only_reader_of(self, logger: logging.Logger) -> bool:
        """Whether nobody else wants the lines of this logger, so that they may be written without `logging`."""
        while (parent := logger.parent) is not None:
            if logger.handlers or logger.filters or not logger.propagate:
                return False
            logger = parent
        return logger.handlers == [self] and not self.filters and not logger.disabled

    def _plain(self, record: logging.LogRecord, why: str) -> str:
        """The line of a record that cannot be formatted: its message without its arguments."""
        if type(record.msg) is Rendered:
            return record.msg
        what = record.msg if type(record.msg) is str else class_name(record.msg)
        fields = {"unformatted": why, "where": f"{record.pathname}:{record.lineno}"}
        plain = logging.makeLogRecord({"name": record.name, "levelname": record.levelname, "msg": "%s", **fields})
        plain.args = (what,)
        try:
            return self.format(plain)
        except Exception:
            return '{"level":"error","event":"a line of the log was lost"}'
