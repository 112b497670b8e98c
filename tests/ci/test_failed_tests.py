"""Tests that fail by the load of the machine: no other test fails with them, and CI runs them once more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent.parent
PYTEST = f"{sys.executable} -m pytest -q --rootdir ."

pytestmark = [pytest.mark.processes, pytest.mark.one_python, pytest.mark.timeout(180)]


def executed(folder: Path, command: str) -> str:
    """What the shell command prints in this directory."""
    done = subprocess.run(
        ("bash", "-c", command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def test_what_a_failed_test_leaves_breaks_no_other_test(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_sockets.py").write_text(
        dedent("""\
        import gc, socket
        import pytest

        @pytest.fixture
        def broken():
            left = socket.socket()
            left.connect("nowhere")

        def test_one():
            left = socket.socket()
            assert left.fileno() < 0

        def test_two(): pass
        def test_three(): gc.collect()
        def test_four(broken): pass
        def test_five(): pass
        def test_six(): gc.collect()

        def test_seven():
            socket.socket()
            gc.collect()
        """)
    )
    output = executed(tmp_path, f"{PYTEST} -c {ROOT / 'pyproject.toml'} test_sockets.py")
    assert "2 failed, 4 passed, 1 error" in output, output
    assert "FAILED test_sockets.py::test_seven - pytest.PytestUnraisableExceptionWarning" in output


def closing_lines(folder: Path, test_file: str) -> list[str]:
    """What `.ci/run` concludes from a suite of one file."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    (folder / "test_suite.py").write_text(dedent(test_file))
    command = f"""
        export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
        mkdir work; work=work; . {ROOT}/.ci/suites.sh
        timed suite {PYTEST}; evaluate suite {PYTEST}
        echo CONCLUSION; printf '%s\\n' "${{closing[@]}}" "failed: ${{failed[*]}}"
    """
    return executed(folder, command).partition("CONCLUSION\n")[2].splitlines()


def test_a_few_failed_tests_and_fixtures_run_once_more(tmp_path: Path) -> None:
    first, again, failed = closing_lines(
        tmp_path,
        """
        import pathlib
        import pytest

        def works_again(name):
            path = pathlib.Path(name)
            existed = path.exists()
            path.touch()
            return existed

        @pytest.fixture
        def fixture():
            assert works_again("fixture")

        @pytest.mark.parametrize("how", ["under load", "always"])
        def test_it(how): assert how == "always" or works_again("test")

        def test_with_a_fixture(fixture): pass
        """,
    )
    assert first.startswith("suite: 1 failed, 1 passed, 1 error in")
    assert again.startswith("suite, failed tests once more: 2 passed in")
    assert again.endswith("test_suite.py::test_it[under load] test_suite.py::test_with_a_fixture")
    assert failed == "failed: "


@pytest.mark.parametrize(
    ("test_file", "lines"),
    [
        ("def test_it(): assert False", 2),
        ("import nothing_of_this_name", 1),
        ("import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_it(n): assert False", 1),
        ("import pytest\ndef test_it(): pytest.exit('no more')", 1),
    ],
    ids=["fails again", "cannot be imported", "many fail", "was stopped"],
)
def test_a_suite_is_red(tmp_path: Path, test_file: str, lines: int) -> None:
    *closing, failed = closing_lines(tmp_path, test_file)
    assert len(closing) == lines, closing
    assert failed == "failed: suite"


def test_deadlines_are_longer_where_a_suite_gets_little_of_the_processor(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_deadlines.py").write_text(
        dedent("""\
        import time
        import pytest
        from tests.waiting import wait_until

        @pytest.mark.timeout(1)
        async def test_it():
            started = time.monotonic()
            await wait_until(lambda: time.monotonic() > started + 1.5, within_s=0.5)
        """)
    )
    assert "1 passed" in executed(tmp_path, f"{PYTEST} -c {ROOT / 'pyproject.toml'} --patience 4 test_deadlines.py")
