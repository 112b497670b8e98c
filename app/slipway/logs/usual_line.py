"""The quick way of usual lines: events of the table of telemetry whose values are numbers, flags and short texts.

Most lines are usual, above all `run.settled`, which each run has. They need little of what the processors of structlog
do, so they are written without them: the same bytes, in a third of the time. All other lines take the long way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from slipway.current_work import current_work
from slipway.exception_text import is_a
from slipway.logs.handler import LogHandler
from slipway.logs.line import Line, now_as_text
from slipway.logs.values import LONGEST_TEXT
from slipway.redaction.credential_names import is_credential_name
from slipway.redaction.plain_texts import are_plain
from slipway.redaction.redact import redact_member, redact_message, redact_plain_message, redacts_members
from slipway.serialization.json_encoding import dumps
from slipway.telemetry.table import line_fields
from slipway.telemetry.table.whole_table import EVENTS

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""By method of a logger. Others log a traceback, or are not used by Slipway."""

_LARGEST_NUMBER: Final = 2**63
_AS_THEY_ARE: Final = frozenset({bool, float, type(None)})
"""Types of values that every line shows as they are."""

_OF_THE_WORK: Final = tuple(each.name for each in line_fields.OF_THE_WORK)
_NAMES: Final = {
    name: frozenset(each.name for each in kind.fields if not is_credential_name(each.name))
    for name, kind in EVENTS.items()
}
"""By event, the fields that a usual line may have."""

try:
    BOUND_TO_CONTEXTS: Mapping[str, object] = structlog.contextvars._CONTEXT_VARS
except AttributeError:  # a structlog that keeps it elsewhere: each line looks for it
    BOUND_TO_CONTEXTS = {"unknown": None}
"""What code has bound with `structlog.contextvars`, in any context. To look for it in the current one takes as long as
a whole line, because a context has the variables of all libraries."""


class UsualLine:
    """The first processor. It passes all lines on: `is_done` is for loggers, who ask before they call processors.

    `text_of` renders a line for people; without it, lines are JSON."""

    def __init__(self, line: Line, handler: LogHandler, text_of: Callable[[EventDict], str] | None) -> None:
        self._line, self._handler, self._text_of = line, handler, text_of
        start = line.start("info", "")
        self._is_json = text_of is None and are_plain([start["process"], start.get("release", "")])
        self._heads: dict[tuple[str, str], str] = {}
        """What JSON has between the time and the fields of the work, by method and event."""

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        return event

    def is_done(self, logger: logging.Logger, method: str, event: object, given: Mapping[str, object]) -> bool:
        """Whether nothing remains to be done: the line is written, or not wanted. False for a line that is not
        usual."""
        level = _LEVELS.get(method)
        if level is None:
            return False
        if level < logger.getEffectiveLevel() or logger.disabled:
            return True
        if type(event) is not str or BOUND_TO_CONTEXTS or not self._handler.is_only_reader_of(logger):
            return False
        fields = _fields(event, given)
        rendered = None if fields is None else self._rendered(method, event, fields)
        if rendered is None:
            return False
        self._handler.write(rendered)
        return True

    def _rendered(self, method: str, event: str, fields: dict[str, Any]) -> str | None:
        """None if the line is not usual."""
        texts = []
        for name, value in fields.items():
            kind = type(value)
            if kind is str:
                texts.append(value)
            elif kind is int:
                if not -_LARGEST_NUMBER < value < _LARGEST_NUMBER:
                    return None
            elif kind not in _AS_THEY_ARE:
                if not is_a(value, str):
                    return None
                fields[name] = text = str.__str__(value)  # a member of an enumeration, such as a phase
                texts.append(text)
        if self._is_json and fields and not redacts_members() and are_plain(texts):
            head = self._heads.get((method, event)) or self._new_head(method, event)
            rendered = f'{{"timestamp":"{now_as_text()}{head}{orjson.dumps(fields)[1:].decode()}'
            # no text is longer than the whole line, so none has to be cut
            return redact_plain_message(rendered) if len(rendered) <= LONGEST_TEXT else None
        if sum(map(len, texts)) > LONGEST_TEXT:
            return None
        line = self._line.start(method, event)
        for name, value in fields.items():
            line[name] = redact_member(name, value)
        return redact_message(dumps(line).decode() if self._text_of is None else self._text_of(line))

    def _new_head(self, method: str, event: str) -> str:
        start = self._line.start(method, event)
        del start["timestamp"]
        head = self._heads[method, event] = f'",{orjson.dumps(start)[1:-1].decode()},'
        return head


def _fields(event: str, given: Mapping[str, object]) -> dict[str, Any] | None:
    """The fields of the work, or what is passed for them, then all others that are passed. None if the line is not
    usual."""
    work = current_work()
    plan = _plan(event, tuple(work), tuple(given))
    if plan is None:
        return None
    if plan.is_in_order and all(map(given.get, plan.passed)):
        return {**work, **given}
    fields = {name: value for name in plan.of_the_work if (value := given.get(name) or work.get(name)) is not None}
    for name in plan.others:
        fields[name] = given[name]
    return fields


class _Plan(NamedTuple):
    """The names of the fields of a line, in their order."""

    of_the_work: tuple[str, ...]
    others: tuple[str, ...]
    passed: tuple[str, ...]
    """Those of the work that are passed to the logger."""
    is_in_order: bool
    """Whether `of_the_work` is what the current work has, in the same order: then nothing has to be sorted."""


@lru_cache(maxsize=1024)
def _plan(event: str, work: tuple[str, ...], given: tuple[str, ...]) -> _Plan | None:
    if event not in _NAMES or not _NAMES[event].issuperset(given):
        return None
    of_the_work = tuple(name for name in _OF_THE_WORK if name in work or name in given)
    others = tuple(name for name in given if name not in _OF_THE_WORK)
    passed = tuple(name for name in given if name in _OF_THE_WORK)
    return _Plan(of_the_work, others, passed, of_the_work == work)
