"""Lines for a terminal: aligned, in colours, with short ids, and tracebacks below.

    14:03:59.120 info     worker run.settled              phase=completed steps=3 run=…8d41c7e2 graph=agent

Nothing in a line can pretend to be another line, or control the terminal: control characters are escaped.
"""

from __future__ import annotations

import re
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from slipway.serialization.json_encoding import dumps
from slipway.telemetry.table import line_fields
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.whole_table import EVENTS

_EVENT_WIDTH: Final = 24
_LEVEL_WIDTH: Final = 8
_PROCESS_WIDTH: Final = 6
_SHORT_ID: Final = 8
"""Characters at the end of an id, which are random in all kinds of ids."""

_CONTROLS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that would control the terminal, end the line or change the direction of the text."""
_CONTROLS_IN_TEXT: Final = re.compile(f"(?![\n\t]){_CONTROLS.pattern}")
"""The same, in a text of several lines."""
_NEEDS_QUOTES: Final = re.compile(r"""[\s"'=]""")

_BOLD, _DIM, _RED, _YELLOW, _GREEN, _CYAN, _RESET = (f"\x1b[{code}m" for code in (1, 2, 31, 33, 32, 36, 0))
_LEVEL_COLOURS: Final = {"debug": _DIM, "info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _BOLD + _RED}

_IDS: Final = frozenset(
    each.name
    for each in (*line_fields.OF_THE_WORK, *(each for kind in EVENTS.values() for each in kind.fields))
    if each.unit is Unit.ID
)
_NOT_SHOWN: Final = frozenset(each.name for each in line_fields.OF_EVERY_LINE) | {"stack", "exception"}
_OF_THE_WORK: Final = frozenset(each.name for each in line_fields.OF_THE_WORK)


class TerminalLine:
    """Renders lines. In a file, times have their date and ids are whole."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> str:
        return self.text_of(line)

    def text_of(self, line: EventDict) -> str:
        """The text of a line, which has several lines if it has a traceback."""
        level, (event, *below) = str(line["level"]), _one_line(line["event"])
        time = str(line["timestamp"])
        if self._is_terminal:
            time = time[11:23]
        own: list[str] = []
        work: list[str] = []
        for name, value in line.items():
            if name not in _NOT_SHOWN and value is not None:
                (work if name in _OF_THE_WORK else own).append(self._pair(name, value))
        parts = [
            self._in(_DIM, time),
            self._in(_LEVEL_COLOURS.get(level, ""), level.ljust(_LEVEL_WIDTH)),
            *([self._in(_DIM, _escaped(str(line["process"])).ljust(_PROCESS_WIDTH))] if self._is_terminal else []),
            self._in(_BOLD, event.ljust(_EVENT_WIDTH) if own or work else event),
            *own,
            *work,
        ]
        if not self._is_terminal:
            parts.append(self._pair("process", line["process"]))
        first = " ".join(parts)
        below = [self._in(_DIM, f"    {each}") for each in below]
        for name in ("stack", "exception"):
            if text_below := line.get(name):
                below += [self._in(_RED, f"    {each}") for each in _lines(str(text_below))]
        return "\n".join([first, *below])

    def _pair(self, name: str, value: object) -> str:
        text = value if isinstance(value, str) else dumps(value).decode()
        if self._is_terminal and name in _IDS and isinstance(value, str) and len(text) > _SHORT_ID + 4:
            text = f"…{text[-_SHORT_ID:]}"
        text = _escaped(text)
        if isinstance(value, str) and (not text or _NEEDS_QUOTES.search(text)):
            text = f'"{text.replace(chr(34), chr(92) + chr(34))}"'
        return f"{self._in(_CYAN, _escaped(name))}={text}"

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._is_terminal and colour else text


def _one_line(event: Any) -> list[str]:
    """What happened, and the further lines of a library's message."""
    first, *more = _lines(event if isinstance(event, str) else dumps(event).decode()) or [""]
    return [first, *more]


def _lines(text: str) -> list[str]:
    return _CONTROLS_IN_TEXT.sub(_escape, text).split("\n")


def _escaped(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()
