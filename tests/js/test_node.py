"""The JavaScript client on Node. The tests are in `node/`, for the test runner of Node; each is a test here as well."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.js.client_versions import VERSIONS
from tests.site import Site

HERE = Path(__file__).parent
TESTS = sorted((HERE / "node").glob("*.test.js"))
TEST_NAME = re.compile(r'^test\("([^"]+)"', re.MULTILINE)
RUN_WITHIN_S = 240

Results: TypeAlias = dict[tuple[str, str, str], str | None]
"""Client version, file and name of a test -> its failure, `None` if it passed."""


def cases() -> list[tuple[str, str]]:
    """File and name of each test in `node/`."""
    return [(path.name, name) for path in TESTS for name in TEST_NAME.findall(path.read_text())]


@pytest.fixture(scope="session")
def results(site: Site, node_modules: Path) -> Results:
    """The results of all tests with all client versions, which run concurrently."""
    processes = {version: _start(site, version) for version in VERSIONS}
    results: Results = {}
    try:
        for version, process in processes.items():
            output, errors = process.communicate(timeout=RUN_WITHIN_S)
            reports = [json.loads(line) for line in output.splitlines()]
            assert reports, errors
            results |= {(version, report["file"], report["name"]): report["failure"] for report in reports}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return results


def environment(site: Site, version: str) -> dict[str, str]:
    """The variables that `node/slipway.js` reads."""
    client = {"CLIENT_PACKAGE": VERSIONS[version], "CLIENT_VERSION": version}
    return {**os.environ, **client, "SLIPWAY_URL": site.url}


def _start(site: Site, version: str) -> subprocess.Popen[str]:
    command = ("node", "--test", "--test-reporter=./node/reporter.js", *(f"node/{path.name}" for path in TESTS))
    env = environment(site, version)
    return subprocess.Popen(command, cwd=HERE, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(RUN_WITHIN_S + 120)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("file", "name"), cases())
def test_each_test_in_node_passes(results: Results, version: str, file: str, name: str) -> None:
    assert (version, file, name) in results, "the test was not executed"
    failure = results[version, file, name]
    assert failure is None, failure
