"""Code that blocks the event loop is reported while it blocks it. Suspended processes are not."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from slipway.graphs.registry import Registry
from slipway.health.event_loop_watch import REPEAT_FACTOR, EventLoopWatch
from slipway.runs.record import Phase, new_id
from slipway.settings import Settings
from tests.crash.cluster import ROOT
from tests.environment import bare_environment
from tests.http.conftest import serving
from tests.project_fixtures import graphs_of, module_of, settings_of
from tests.runs.conftest import new_run
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT: Final = Path(__file__).parent / "project" / "langgraph.json"
LIMIT_S: Final = 0.2
DEADLINE_S: Final = 20

graphs = graphs_of(PROJECT)
project = module_of("./project.py:look_up")
settings = settings_of(PROJECT, event_loop_limit_s=LIMIT_S)

Line = MutableMapping[str, Any]


@contextmanager
def releasing(release: threading.Event, *, when: Callable[[list[Line]], object]) -> Iterator[list[Line]]:
    """Sets `release` in the thread that logs, as soon as `when` is true for the log lines, which are yielded."""
    with capture_logs() as lines:

        def notice(logger: object, method: str, line: Line) -> Line:
            if when([*lines, line]):
                release.set()
            return line

        structlog.get_config()["processors"].insert(0, notice)
        try:
            yield lines
        finally:
            release.clear()


def blocks_of(lines: Sequence[Line], function: str) -> list[Line]:
    """The reports of blocks by a function."""
    return [line for line in lines if line["event"] == "event_loop.blocked" and function in str(line["where"])]


def ends_of(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "event_loop.unblocked"]


@pytest.mark.parametrize("function", ["look_up", "choose"])
async def test_a_node_that_blocks_a_worker_is_reported_while_it_blocks(
    function: str, settings: Settings, graphs: Registry, project: ModuleType
) -> None:
    with releasing(project.release, when=lambda lines: blocks_of(lines, function)) as lines:
        async with running_worker(settings, graphs) as (_, services):
            thread, _ = await services.threads.create_or_get(new_id(), {})
            spec = new_run(thread.thread_id, graph_id="blocking", options={"input": {"block_in": function}})
            run = (await services.submission.creator.create(spec)).run

            async def is_over() -> bool:
                return (await services.runs.find(run.run_id)).phase is Phase.COMPLETED

            await wait_until(is_over)
            await wait_until(lambda: ends_of(lines))
    report, *_ = blocks_of(lines, function)
    assert report["log_level"] == "warning"
    assert LIMIT_S <= report["blocked_s"] < Settings.model_fields["event_loop_limit_s"].default
    assert {"run": run.run_id, "graph": "blocking", "node": "look_up"}.items() <= report.items()
    waiting, calling, *libraries = report["where"]
    assert (waiting.split()[1], calling.split()[1]) == ("wait_for_release", function)
    assert waiting.startswith("project.py:")
    assert any(line.startswith("threading.py:") for line in libraries), "what the project's code waits for"


async def counted(client: httpx.AsyncClient) -> tuple[float, float]:
    """The number of blocks and their seconds at /metrics."""
    lines = (await client.get("/metrics")).text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    names = ("slipway_event_loop_blocks_total", "slipway_event_loop_blocked_seconds_total")
    blocks, blocked_s = (float(values.get(f'{name}{{process="web"}}', 0)) for name in names)
    return blocks, blocked_s


async def test_a_handler_of_the_host_app_that_blocks_is_reported_and_counted(
    settings: Settings, graphs: Registry, project: ModuleType
) -> None:
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        blocks_before, blocked_s_before = await counted(client)
        with releasing(project.release, when=lambda lines: blocks_of(lines, "wait_for_release")) as lines:
            response = await client.get("/report", timeout=DEADLINE_S)
            await wait_until(lambda: any(end.get("path") == "/report" for end in ends_of(lines)))
        report, *_ = blocks_of(lines, "wait_for_release")
        (end,) = (end for end in ends_of(lines) if end.get("path") == "/report")
        assert (report["method"], report["path"]) == ("GET", "/report")
        assert report["request_id"] == end["request_id"] == response.headers["x-request-id"]

        async def is_counted() -> bool:  # figures are at most a second old
            blocks, blocked_s = await counted(client)
            return blocks >= blocks_before + 1 and blocked_s >= blocked_s_before + end["blocked_s"] - 0.1

        await wait_until(is_counted)


async def test_a_long_block_is_reported_at_growing_intervals() -> None:
    release, limit_s = threading.Event(), 0.05
    with (
        releasing(release, when=lambda lines: len(blocks_of(lines, "growing")) == 3) as lines,
        EventLoopWatch(limit_s, Path.cwd()).watching(),
    ):
        assert release.wait(DEADLINE_S)
        longest_s = limit_s * REPEAT_FACTOR**2
        await wait_until(lambda: any(end["blocked_s"] >= longest_s for end in ends_of(lines)))
    times = [line["blocked_s"] for line in blocks_of(lines, "growing")]
    assert len(times) == 3
    assert times[2] >= longest_s
    assert len([end for end in ends_of(lines) if end["blocked_s"] >= longest_s]) == 1


async def test_a_function_that_holds_the_interpreter_lock_is_reported() -> None:
    """The thread of the watch is blocked as well, but the process uses CPU time. During the first call, the thread may
    not have begun to sleep."""
    watch = EventLoopWatch(limit_s=0.05, project=Path.cwd())
    with capture_logs() as lines, watch.watching():
        started_at = time.monotonic()
        for _ in range(4):
            sum(range(20_000_000))  # one call in C, of at least 0.2 s
        least_s = (time.monotonic() - started_at) * 0.5
        await wait_until(lambda: any(end["blocked_s"] >= least_s for end in ends_of(lines)), within_s=5)
    assert watch.blocks >= 1


async def test_a_long_garbage_collection_is_named() -> None:
    class Slow:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            released.wait(DEADLINE_S)

    released = threading.Event()
    with (
        releasing(released, when=lambda lines: blocks_of(lines, "__del__")) as lines,
        EventLoopWatch(LIMIT_S, Path.cwd()).watching(),
    ):
        Slow()
        gc.collect()
        await wait_until(lambda: ends_of(lines))
    for line in (*blocks_of(lines, "__del__"), *ends_of(lines)):
        assert line["garbage_collection_s"] > line["blocked_s"] / 2


async def test_the_watch_ends_at_once() -> None:
    started_at = time.monotonic()
    with EventLoopWatch(limit_s=1000, project=Path.cwd()).watching():
        assert "event loop watch" in {thread.name for thread in threading.enumerate()}
    assert "event loop watch" not in {thread.name for thread in threading.enumerate()}
    assert time.monotonic() - started_at < 1


@pytest.mark.processes
def test_a_suspended_process_is_not_reported() -> None:
    limit_s, suspended_s, block_s = 0.2, 1.5, 0.6
    command = (sys.executable, "-m", "tests.event_loop.busy_loop", str(limit_s), str(block_s))
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=bare_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("block\n")
        process.stdin.flush()
        assert process.stdout.readline() == "blocking\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(suspended_s)  # the block ends during the suspension
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate("block again\n", timeout=DEADLINE_S)
    lines = list(map(orjson.loads, errors.splitlines()))
    assert len(blocks_of(lines, "busy_loop.py")) >= 1, "of the second block"
    assert max(line["blocked_s"] for line in lines) < suspended_s
