"""A copy of the checkout. It has one planted fault at a time, and the tests that should notice the fault run in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.mutants.faults import ROOT, Fault

WITHIN_S: Final = 180.0
"""The time limit for the tests of one fault. A test that waits forever does not notice the fault."""

SOME_TEST_FAILED: Final = 1
"""Pytest's exit code. With any other code, no test noticed the fault."""

FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """`noticed_by` is the first test that failed. If no test failed, `output` is the end of the output of pytest."""

    noticed_by: str | None
    output: str
    took_s: float


class Copy:
    """A folder with the files of the checkout, and a process that runs pytest there (`template.py`). After each run,
    all processes that its tests started are killed. Call `close` at the end."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / "checkout"
        self._scratch = folder / "tmp"
        self._times = itertools.count(1_000_000_000)
        self._scratch.mkdir(parents=True)
        for name in _files_of_the_checkout():
            (self._home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self._home / name)
        self._template = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("template.py"))],
            cwd=self._home,
            env={**os.environ, "PYTHONPATH": self._python_path(), "TMPDIR": str(self._scratch)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        while (line := self._read_line()) != "ready":
            if self._template.poll() is not None:
                raise RuntimeError(f"the template of pytest does not start: {line}")

    def outcome(self, fault: Fault) -> Outcome:
        """Runs the tests of a fault without it, as failing tests cannot notice it, and then with the fault. If they
        fail without it, they run once more: some depend on the load of the machine."""
        started, noticed_by = time.monotonic(), None
        code, printed = self._run(fault.tests)
        if code:
            code, printed = self._run(fault.tests)
        if code == 0:
            with self._planted(fault):
                code, printed = self._run(["--exitfirst", *fault.tests])
            failed = FAILED.search(printed)
            noticed_by = failed[1] if failed and code == SOME_TEST_FAILED else None
        else:
            printed = f"{printed}\nwithout the fault these tests do not pass"
        return Outcome(noticed_by, printed[-3000:] if code else "", time.monotonic() - started)

    def _python_path(self) -> str:
        """The source roots of the copy, which precede the installed ones. It also marks the processes of this copy."""
        return os.pathsep.join(str(self._home / root) for root in (".", "app", "workers"))

    @contextlib.contextmanager
    def _planted(self, fault: Fault) -> Iterator[None]:
        path = self._home / fault.file
        original = path.read_text()
        self._write(path, fault.planted_in(original))
        try:
            yield
        finally:
            self._write(path, original)

    def _write(self, path: Path, text: str) -> None:
        """Sets a new file time: Python reuses bytecode of a file with the same size and time."""
        path.write_text(text)
        moment = next(self._times)
        os.utime(path, (moment, moment))

    def _run(self, arguments: Iterable[str]) -> tuple[int, str]:
        """The exit code of pytest (negative: it took too long) and its output."""
        assert self._template.stdin is not None
        output = self._scratch / "output.txt"
        options = ["-q", "--tb=short", "-p", "no:cacheprovider", *arguments]
        self._template.stdin.write(json.dumps([options, str(output)]) + "\n")
        self._template.stdin.flush()
        in_time = self._responds_in_time()
        self._end_all_but_the_template()
        code = int(self._read_line())
        printed = output.read_text(errors="replace")
        return code, printed if in_time else f"{printed}\nnot within {WITHIN_S:g} s"

    def _responds_in_time(self) -> bool:
        assert self._template.stderr is not None
        return bool(select.select([self._template.stderr], [], [], WITHIN_S)[0])

    def _read_line(self) -> str:
        """The next line of the template's standard error. Its standard output is discarded, so nothing else is mixed
        in."""
        assert self._template.stderr is not None
        return self._template.stderr.readline().strip()

    def _end_all_but_the_template(self) -> None:
        """Kills the processes that tests of this copy left: with a fault, a process may outlive its parent."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != self._template.pid and process.environ().get("PYTHONPATH") == self._python_path():
                    process.kill()

    def close(self) -> None:
        self._template.kill()
        self._template.communicate()


@contextlib.contextmanager
def copies(count: int) -> Iterator[list[Copy]]:
    """`count` copies, which are deleted at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        created = [Copy(Path(folder) / str(number)) for number in range(count)]
        try:
            yield created
        finally:
            for copy in created:
                copy.close()


def _files_of_the_checkout() -> list[str]:
    """The files that git tracks or would add."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]
