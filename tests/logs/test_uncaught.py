"""What Python would write to standard error by itself is a line of the log."""

from __future__ import annotations

import pytest

from tests.logs.processes import lines_of

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("code", "event", "error"),
    [
        ("raise KeyError('last')", "process.crashed", "KeyError: 'last'"),
        ("threading.Thread(target=lambda: 1 / 0, name='one').start()", "thread.crashed", "ZeroDivisionError"),
        ("class D:\n    def __del__(self): raise ValueError('end')\nD()", "exception.ignored", "ValueError: end"),
        (
            "async def lost(): raise ValueError('lost')\n"
            "async def main():\n    asyncio.create_task(lost())\n    for _ in range(2): await asyncio.sleep(0)\n"
            "asyncio.run(main())",
            "Task exception was never retrieved",
            "ValueError: lost",
        ),
    ],
)
def test_an_exception_that_nobody_catches(code: str, event: str, error: str) -> None:
    (line,) = lines_of(code)
    assert line["event"].partition("\n")[0] == event
    assert line["level"] == "error"
    assert line["exception"].count("Traceback") == 1
    assert error in line["exception"]


def test_ctrl_c_is_no_crash() -> None:
    (line,) = lines_of("raise KeyboardInterrupt")
    assert (line["event"], line["level"]) == ("process.interrupted", "info")


def test_a_warning() -> None:
    (line,) = lines_of("warnings.warn('careful')")
    assert (line["event"], line["level"], line["logger"]) == ("careful", "warning", "py.warnings")
    assert line["category"] == "UserWarning"
    assert line["where"].startswith("<string>:")
