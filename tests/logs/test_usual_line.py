"""A usual line has the same bytes in the quick way as in the long one."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from random import Random
from typing import Any, Final

import pytest
from structlog.typing import Processor

from slipway.current_work import CURRENT_WORK
from slipway.logs.configuration import json_line, processors_of
from slipway.logs.handler import LogHandler
from slipway.logs.line import Line
from slipway.logs.logger import Logger
from slipway.logs.terminal import TerminalLine
from slipway.logs.usual_line import UsualLine
from slipway.logs.values import LONGEST_TEXT
from slipway.redaction.known_secrets import KNOWN
from slipway.redaction.redact import use_rules
from slipway.redaction.rules import NO_RULES, RedactionRules
from slipway.telemetry.table import line_fields
from slipway.telemetry.table.whole_table import EVENTS
from tests.logs.processes import lines_of

SECRET: Final = 'a "secret" that only this test knows'
KNOWN.remember("OF_THE_TEST", SECRET)
NUMBER: Final = 123456789012345
KNOWN.remember("A_NUMBER", str(NUMBER))

RUN: Final = "019a0af3-0000-7000-8000-0123456789ab"
RULES: Final = (
    NO_RULES,
    RedactionRules.of(["graph", "problem"], []),
    RedactionRules.of([], [r"\d{4}-\d{2}", r"a.c"]),
    RedactionRules.of(["run"], [r"b+", r'","']),
)


class Kind(StrEnum):
    ONE = "one"
    HOSTILE = 'sk-"' + "A" * 30


class Written:
    """Loggers that write to memory: one in the quick way, one in the long way."""

    def __init__(self, release: str, render: Processor) -> None:
        self._stream = io.StringIO()
        logger, handler = logging.Logger("of.the.test", logging.INFO), LogHandler(self._stream)
        logger.addHandler(handler)
        processors = processors_of(Line("worker", release), render, handler)
        self.quick = Logger(logger, processors, {})
        self.long = Logger(logger, processors[1:], {})
        self.usual = next(each for each in processors if type(each) is UsualLine)
        self.logger = logger

    def is_usual(self, method: str, event: str, fields: Mapping[str, object]) -> bool:
        """Whether the line takes the quick way."""
        return self.usual.is_done(self.logger, method, event, fields)

    def by(self, logger: Logger, method: str, event: str, fields: Mapping[str, object]) -> str:
        """What a call writes."""
        self._stream.seek(0)
        self._stream.truncate()
        getattr(logger, method)(event, **fields)
        return self._stream.getvalue()


@contextmanager
def doing(work: Mapping[str, str | int], rules: RedactionRules = NO_RULES) -> Iterator[None]:
    token = CURRENT_WORK.set(work)
    use_rules(rules)
    try:
        yield
    finally:
        use_rules(NO_RULES)
        CURRENT_WORK.reset(token)


PARTS: Final = (
    *(
        "sk-",
        "sk_",
        "\rk-",
        "\\rk-",
        "eyJ",
        "Bearer ",
        "earer ",
        "://",
        "user:password@",
        "-----BEGIN RSA PRIVATE KEY-----",
    ),
    *("slipway_", "whsec_", "AKIA", "\x00", "\ud800", "\u2028", "\n", '"', "\\", "é", "\U0001f600", SECRET, RUN),
    *("A" * 30, "abc", "0123456789abcdef", " ", "-", "completed", str(NUMBER)),
)
OF_THE_WORK: Final = [each.name for each in line_fields.OF_THE_WORK]
LINES: Final = 2000


def text(random: Random) -> str:
    return "".join(random.choices(PARTS, k=random.randrange(4)))


def value(random: Random) -> object:
    kinds: list[Callable[[], object]] = [
        *[lambda: text(random)] * 6,
        lambda: random.choice([None, True, False, 0.5, float("nan"), 2**63, 2**63 - 1, -(2**63), NUMBER, *Kind]),
        lambda: random.randrange(-(2**40), 2**40),
        lambda: random.choice(
            ["a" * (LONGEST_TEXT - 300), "b" * (LONGEST_TEXT + 1), "\x01" * 2000, [], ["a"], {}, Kind]
        ),
    ]
    return random.choice(kinds[:-1] if random.random() < 0.9 else kinds)()


def line(random: Random) -> tuple[str, dict[str, Any]]:
    """An event with some of its fields, in any order, and sometimes one that it does not have."""
    kind = random.choice(list(EVENTS.values()))
    names = [each.name for each in kind.fields]
    if random.random() < 0.1:
        names += ["graph", "run", "more", "level"]
    random.shuffle(names)
    name = kind.name if random.random() < 0.95 else text(random)
    return name, {each: value(random) for each in names[: random.randrange(8)]}


def work(random: Random) -> dict[str, str | int]:
    names = random.sample(OF_THE_WORK, random.randrange(6))
    values: list[Callable[[], str | int]] = [
        *(lambda: RUN, lambda: RUN[-8:] * 4, lambda: "agent", lambda: 1),
        lambda: text(random),
    ]
    return {name: random.choice(values)() for name in names}


@pytest.fixture(scope="module", params=["json", "terminal", "file"])
def written(request: pytest.FixtureRequest) -> Written:
    if request.param == "json":
        return Written("r7", json_line)
    return Written("", TerminalLine(is_terminal=request.param == "terminal"))


@pytest.mark.parametrize("rules", RULES, ids=["no rules", "names", "patterns", "names and patterns"])
def test_both_ways_write_the_same(written: Written, rules: RedactionRules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_796_086_242_178_204_999)
    random = Random(f"lines with {rules}")
    quick_lines = 0
    for _ in range(LINES // len(RULES)):
        event, fields = line(random)
        method = random.choice(["debug", "info", "info", "warning", "error"])
        with doing(work(random), rules):
            quick = written.by(written.quick, method, event, fields)
            assert quick == written.by(written.long, method, event, fields), (event, fields)
            quick_lines += written.is_usual(method, event, fields)
        assert (quick == "") == (method == "debug")
        assert SECRET not in quick
        assert str(NUMBER) not in quick
    assert quick_lines > LINES / len(RULES) / 2


@pytest.mark.parametrize("event", ["spans.dropped", "a line of the project"])
def test_patterns_of_the_project_search_texts_as_they_are(written: Written, event: str) -> None:
    """Not as a line escapes them: behind a line break that is shown as `\\n`, no word begins."""
    rules = RedactionRules.of([], [r"\bcust-\d+", r"(?m)^id \d+$"])
    with doing({}, rules):
        shown = written.by(written.quick, "info", event, {"problem": "of:\ncust-4711\nid 4711\n"})
        shown += written.by(written.quick, "info", "of:\n\tcust-4711", {})
    assert "4711" not in shown
    assert shown.count("[redacted]") == 3


@pytest.mark.processes
def test_what_the_project_adds_to_the_log_gets_usual_lines_too() -> None:
    first, bound, unbound, of_logger, handled, seen = lines_of(
        """
from structlog.contextvars import bind_contextvars, clear_contextvars
def fenced(to=log): to.warning("attempt.fenced", attempt=1)
class Another(logging.Handler):
    messages = []
    def emit(self, record): self.messages.append(record.getMessage())
fenced()
bind_contextvars(tenant="t1")
fenced()
clear_contextvars()
fenced()
fenced(log.bind(more=1))
logging.getLogger().addHandler(Another())
fenced()
log.warning("seen", messages=Another.messages)
"""
    )
    assert (bound["tenant"], of_logger["more"]) == ("t1", 1)
    for each in (first, unbound, handled):
        assert set(each) == {"timestamp", "level", "event", "process", "attempt"}
    (message,) = seen["messages"]
    assert '"event":"attempt.fenced"' in message
