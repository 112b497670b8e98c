"""Log lines of Slipway's processes."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys

import orjson
import pytest

from tests.environment import bare_environment

pytestmark = pytest.mark.processes

LOG_SCRIPT = """
import logging, structlog
from slipway.logs.configuration import configure
from slipway.settings import Settings
configure(Settings(log_format={format!r}), "web")
log = structlog.get_logger("app.x")
log.info("run.started", run_id="r1")
log.debug("never.shown")
logging.getLogger("lib").warning("from %s", "elsewhere", extra={{"port": 1}})
logging.getLogger("httpx").info("never shown")
logging.getLogger("uvicorn.error").error("ASGI callable returned without completing response.")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("run.broke")
"""


def logged(log_format: str, more: str = "") -> str:
    code = LOG_SCRIPT.format(format=log_format) + more
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b""
    return done.stderr.decode()


HOSTILE = """
class Hostile(Exception):
    __class__ = property(lambda self: exit(3))
    __str__ = __repr__ = lambda self: exit(3)
try:
    raise Hostile
except Exception:
    log.exception("run.broke")
log.info("run.over")
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_whose_text_cannot_be_read_is_logged(log_format: str) -> None:
    output = logged(log_format, HOSTILE)
    assert "Hostile" in output
    assert "run.over" in output
    assert "Logging error" not in output


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_each_json_log_line_is_one_object(log_format: str) -> None:
    ours, theirs, broke = (orjson.loads(line) for line in logged(log_format).splitlines())
    assert ours["event"] == "run.started"
    assert (ours["process"], ours["level"], ours["run_id"]) == ("web", "info", "r1")
    assert (theirs["event"], theirs["level"], theirs["port"]) == ("from elsewhere", "warning", 1)
    assert "ZeroDivisionError" in broke["exception"]


@pytest.mark.parametrize(("level", "shown"), [("WARNING", []), ("info", ["one"]), ("Debug", ["one", "two"])])
def test_the_environment_chooses_level_and_format(level: str, shown: list[str]) -> None:
    code = (
        "import structlog; from slipway.logs.configuration import configure; from slipway.settings import Settings\n"
        "configure(Settings.load(), 'web'); log = structlog.get_logger('x'); log.info('one'); log.debug('two')"
    )
    env = bare_environment() | {"SLIPWAY_LOG_LEVEL": level, "SLIPWAY_LOG_FORMAT": "text"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert [name for name in ("one", "two") if any(name in line for line in lines)] == shown
    assert not any(line.startswith("{") for line in lines)


def test_logs_of_libraries_follow_the_log_level() -> None:
    code = (
        "import logging; from slipway.logs.configuration import configure; from slipway.settings import Settings\n"
        "configure(Settings(log_level='error'), 'web'); library = logging.getLogger('httpx')\n"
        "library.warning('a warning'); library.error('an error')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("a warning" in done.stderr, "an error" in done.stderr) == (False, True)


def test_a_text_log_has_pairs_and_a_plain_traceback() -> None:
    output = logged("text")
    assert "run.started" in output
    assert "process=web" in output
    assert "run_id=r1" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "never" not in output


def test_a_terminal_gets_short_ids_and_the_process() -> None:
    """In a terminal of its own, as a person sees it."""
    reading, writing = pty.openpty()
    code = LOG_SCRIPT.format(format="auto") + "log.info('run.settled', run='019a0af3-0000-7000-8000-0000deadbeef')\n"
    subprocess.run([sys.executable, "-c", code], stderr=writing, check=True)
    os.close(writing)
    output = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(reading, 65_536):
            output += part
    os.close(reading)
    plain = re.sub(r"\x1b\[\d+m", "", output.decode()).replace("\r\n", "\n")
    last = plain.rstrip("\n").split("\n")[-1]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} info     web    run.settled              run=…deadbeef", last)
    assert "    ZeroDivisionError: division by zero" in plain.split("\n")
