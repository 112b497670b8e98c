"""The JavaScript client on Node: the tests are in `node/`, written for node's own runner, and each is one here."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.js.lines import LINES
from tests.site import Site

HERE = Path(__file__).parent
TESTS = sorted((HERE / "node").glob("*.test.js"))
NAMED = re.compile(r'^test\("([^"]+)"', re.MULTILINE)
RUN_WITHIN_S = 240

Verdicts: TypeAlias = dict[tuple[str, str, str], str | None]
"""Line, file and name of a test -> why it failed."""


def cases() -> list[tuple[str, str]]:
    """File and name of every test that is written in `node/` with its name."""
    return [(path.name, name) for path in TESTS for name in NAMED.findall(path.read_text())]


@pytest.fixture(scope="session")
def verdicts(site: Site, packages: Path) -> Verdicts:
    """All tests of all lines, run side by side."""
    running = {line: _start(site, line) for line in LINES}
    found: Verdicts = {}
    try:
        for line, node in running.items():
            out, complaints = node.communicate(timeout=RUN_WITHIN_S)
            results = [json.loads(each) for each in out.splitlines()]
            assert results, complaints
            found |= {(line, each["file"], each["name"]): each["failure"] for each in results}
    finally:
        for node in running.values():
            node.kill()
            node.wait()
    return found


def environment(site: Site, line: str) -> dict[str, str]:
    """What `node/slipway.js` reads."""
    return {**os.environ, "SDK": LINES[line], "LINE": line, "URL_OF_SLIPWAY": site.url}


def _start(site: Site, line: str) -> subprocess.Popen[str]:
    command = ("node", "--test", "--test-reporter=./node/reporter.js", *(f"node/{path.name}" for path in TESTS))
    env = environment(site, line)
    return subprocess.Popen(command, cwd=HERE, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(RUN_WITHIN_S + 120)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("file", "name"), cases())
def test_node(verdicts: Verdicts, line: str, file: str, name: str) -> None:
    assert (line, file, name) in verdicts, "it did not run"
    failure = verdicts[line, file, name]
    assert failure is None, failure
