"""A copy of the checkout, in which one fault at a time is planted and the tests that should notice it are run."""

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
"""What the tests of one fault may take; tests that wait without a deadline are no tests that notice."""

SOME_TEST_FAILED: Final = 1
"""Pytest's exit code; others mean that no test said anything about the fault."""

FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What the tests said: `noticed_by` is the first that failed; without one, `said` is the end of their output."""

    noticed_by: str | None
    said: str
    took_s: float


class Copy:
    """The files of the checkout in a folder of their own, and a process that runs pytest there (`template.py`). Each
    run ends whatever its tests have started. To be closed."""

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
        while (line := self._answer()) != "ready":
            if self._template.poll() is not None:
                raise RuntimeError(f"the template of pytest does not start: {line}")

    def outcome(self, fault: Fault) -> Outcome:
        """Runs the fault's tests without it, for those that fail then notice nothing, and with it planted."""
        began, noticed_by = time.monotonic(), None
        code, said = self._run(fault.tests)
        if code == 0:
            with self._planted(fault):
                code, said = self._run(["--exitfirst", *fault.tests])
            failed = FAILED.search(said)
            noticed_by = failed[1] if failed and code == SOME_TEST_FAILED else None
        else:
            said = f"{said}\nwithout the fault these tests do not pass"
        return Outcome(noticed_by, said[-3000:] if code else "", time.monotonic() - began)

    def _python_path(self) -> str:
        """The copy's source roots, which come before the installed ones; also the mark of the processes to end."""
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
        """With a time that the file never had: bytecode is taken for that of a file of the same size and time."""
        path.write_text(text)
        moment = next(self._times)
        os.utime(path, (moment, moment))

    def _run(self, arguments: Iterable[str]) -> tuple[int, str]:
        """Pytest's exit code (negative: it took too long) and what it printed."""
        assert self._template.stdin is not None
        output = self._scratch / "output.txt"
        options = ["-q", "--tb=short", "-p", "no:cacheprovider", *arguments]
        self._template.stdin.write(json.dumps([options, str(output)]) + "\n")
        self._template.stdin.flush()
        in_time = self._answers_in_time()
        self._end_all_but_the_template()
        code = int(self._answer())
        said = output.read_text(errors="replace")
        return code, said if in_time else f"{said}\nnot within {WITHIN_S:g} s"

    def _answers_in_time(self) -> bool:
        assert self._template.stderr is not None
        return bool(select.select([self._template.stderr], [], [], WITHIN_S)[0])

    def _answer(self) -> str:
        """What the template says next; its own output goes nowhere, so that nothing else comes between."""
        assert self._template.stderr is not None
        return self._template.stderr.readline().strip()

    def _end_all_but_the_template(self) -> None:
        """Kills what was started from here and did not end: a fault may be that something outlives its parent."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != self._template.pid and process.environ().get("PYTHONPATH") == self._python_path():
                    process.kill()

    def close(self) -> None:
        """Ends the template."""
        self._template.kill()
        self._template.communicate()


@contextlib.contextmanager
def copies(count: int) -> Iterator[list[Copy]]:
    """That many copies, until the block is left."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        made = [Copy(Path(folder) / str(number)) for number in range(count)]
        try:
            yield made
        finally:
            for each in made:
                each.close()


def _files_of_the_checkout() -> list[str]:
    """Those that git knows or would take in, as they are now."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]
