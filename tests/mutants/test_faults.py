"""The lists of planted faults match the code and the tests, and docs/planted-faults.md is up to date."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.faults import ROOT, Fault, FaultList, fault_lists, to_plant
from tests.mutants.page import PAGE, page
from tests.mutants.planting import Copy

pytestmark = pytest.mark.processes

FAULT = Fault("a", "p", "app/slipway/a.py", "x > 1", "x > 2", ("tests/test_a.py::test_a",))


def test_every_fault_can_be_planted() -> None:
    wrong = []
    for fault in (fault for fault_list in fault_lists() for fault in fault_list.faults):
        assert fault.file.split("/")[0] in {"app", "workers", "examples"}, f"{fault.name}: {fault.file} is not code"
        try:
            fault.planted_in((ROOT / fault.file).read_text())
        except (ValueError, OSError) as error:
            wrong.append(str(error))
    assert wrong == []


def test_every_name_is_used_once() -> None:
    names = [fault.name for fault_list in fault_lists() for fault in fault_list.faults]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_every_named_test_exists() -> None:
    named = {test.partition("[")[0] for fault in to_plant(fault_lists()) for test in fault.tests}
    files = {test.partition("::")[0] for test in named}
    found = {f"{file}::{name}" for file in files for name in names_of_tests(ROOT / file)}
    assert named - found == set()


def test_every_named_case_of_a_test_exists() -> None:
    named = {test for fault in to_plant(fault_lists()) for test in fault.tests if "[" in test}
    files = sorted({test.partition("::")[0] for test in named})
    collect = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *files]
    collected = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named - set(collected.splitlines()) == set()


def names_of_tests(path: Path) -> set[str]:
    """The names of the tests of a file; methods with their class."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text()).body
    classes = [each for each in body if isinstance(each, ast.ClassDef)]
    methods = {f"{each.name}::{one.name}" for each in classes for one in each.body if isinstance(one, functions)}
    return {each.name for each in body if isinstance(each, functions)} | methods


def test_the_page_is_up_to_date() -> None:
    """`python -m tests.mutants --write-table` writes it."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("source", ["", "x > 1 or x > 1"], ids=["nowhere", "twice"])
def test_a_fault_whose_old_text_does_not_occur_once_is_rejected(source: str) -> None:
    with pytest.raises(ValueError, match="not once"):
        FAULT.planted_in(source)


@pytest.mark.parametrize(
    "lines",
    [
        'name = "a"',
        'name = "a"\npromise = "p"\nfile = "app/slipway/a.py"\nold = "x"\nnew = "y"',
        'name = "a"\npromise = "p"\nfile = "app/slipway/a.py"\nold = "x"\nnew = "y"\ntests = ["t"]\nharmless = "w"',
        'name = "a"\npromise = "p"\nfile = "app/slipway/a.py"\nold = "x"\nnew = "y"\ntests = ["t"]\nfiles = "w"',
    ],
    ids=["incomplete", "without-tests", "tests-and-harmless", "unknown-member"],
)
def test_an_invalid_list_is_rejected(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(f"# Some.\n\n[[fault]]\n{lines}\n")
    with pytest.raises(ValueError, match="a: "):
        FaultList.read(path)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    """A copy of a small checkout with one module and its tests."""
    checkout = tmp_path / "checkout"
    for name, text in {
        "app/slipway/a.py": "def big(x: int) -> bool:\n    return x > 1\n",
        "tests/test_a.py": "from slipway.a import big\ndef test_a():\n    assert big(2)\n\ndef test_b(): assert big(9)",
        "tests/test_b.py": "def test_c():\n    raise ValueError",
        "pytest.ini": "[pytest]\npythonpath = app\n",
    }.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    monkeypatch.setattr("tests.mutants.planting.ROOT", checkout)
    copy = Copy(tmp_path / "copy")
    yield copy
    copy.close()


def test_a_copy_reports_the_test_that_noticed_a_fault_and_removes_the_fault(copy: Copy) -> None:
    assert copy.outcome(FAULT).noticed_by == "tests/test_a.py::test_a"
    assert copy.outcome(FAULT).noticed_by == "tests/test_a.py::test_a", "the fault was removed in between"
    unnoticed = copy.outcome(replace(FAULT, tests=("tests/test_a.py::test_b",)))
    assert (unnoticed.noticed_by, unnoticed.output) == (None, "")


def test_a_test_that_fails_without_the_fault_does_not_count(copy: Copy) -> None:
    outcome = copy.outcome(replace(FAULT, tests=("tests/test_b.py::test_c",)))
    assert outcome.noticed_by is None
    assert "without the fault these tests do not pass" in outcome.output


def test_a_fault_that_stops_the_import_is_noticed_by_no_test(copy: Copy) -> None:
    broken = Fault("b", "p", "app/slipway/a.py", "def big", "def ..big", ("tests/test_a.py::test_a",))
    outcome = copy.outcome(broken)
    assert outcome.noticed_by is None
    assert "SyntaxError" in outcome.output
