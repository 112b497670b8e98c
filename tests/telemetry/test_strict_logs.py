"""In tests, a line of Slipway that the table of telemetry does not declare raises."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from slipway.logs.strict import UndeclaredLine


def logged_by(module: str, call: str) -> list[Any]:
    """What a module of this name logs."""
    here = ModuleType(module)
    with capture_logs() as lines:
        exec(f"import structlog\nlog = structlog.get_logger(__name__)\n{call}", vars(here))
    return list(lines)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("log.info('run.invented')", "'run.invented' is not declared"),
        ("log.info('attempt.fenced', run='r', attempt=1)", "declared for the level warning"),
        ("log.warning('attempt.fenced', run_id='r')", "no field 'run_id'"),
        ("log.warning('attempt.fenced', attempt='1')", "attempt is number"),
        ("log.warning('attempt.fenced', exc_info=ValueError())", "without an exception"),
    ],
)
def test_an_undeclared_line_raises(call: str, problem: str) -> None:
    with pytest.raises(UndeclaredLine, match=problem):
        logged_by("slipway.invented", call)


def test_a_declared_line_is_logged() -> None:
    lines = logged_by("slipway.invented", "log.warning('attempt.fenced', run='r', attempt=None)")
    assert lines == [{"event": "attempt.fenced", "run": "r", "attempt": None, "log_level": "warning"}]


def test_lines_of_the_project_are_free() -> None:
    assert len(logged_by("project.graphs", "log.info('whatever', anything=1)")) == 1


@pytest.mark.processes
def test_a_process_that_a_test_starts_is_strict() -> None:
    code = (
        "import structlog; from slipway.logs.configuration import configure; from slipway.settings import Settings\n"
        "configure(Settings(), 'web'); module = {'__name__': 'slipway.invented', 'structlog': structlog}\n"
        "exec('structlog.get_logger().info(\"run.invented\")', module)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "'run.invented' is not declared" in done.stderr


def test_strictness_is_of_loggers_and_not_of_processors() -> None:
    assert structlog.get_config()["wrapper_class"].__name__ == "StrictLogger"
