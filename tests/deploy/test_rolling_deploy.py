"""Two checkouts of a project serve one deployment at once, as during a rolling deploy, while clients create and answer
runs. Neither langgraph.json names a version."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest

from tests.crash.cluster import Cluster, Process, Web, running
from tests.version_drills.drill import RELEASES, Api
from tests.version_drills.executed import Executed, read_executed
from tests.waiting import wait_until

GRAPHS: Final = ("chain", "fan", "desk")
RUNS: Final = 12
LOGS: Final = {
    ("chain", "1"): "one two three",
    ("chain", "2"): "one two three four",
    ("fan", "1"): "plan work-a work-b work:yes collect",
    ("fan", "2"): "plan work-a work-b work:yes collect audit",
    ("desk", "1"): "draft ask:yes send",
    ("desk", "2"): "draft ask_person:yes send",
}
"""The nodes in the log of a thread in the end, by its graph and the release that has executed its last node."""


def checkout(folder: Path, release: str) -> Path:
    """The code of a release as a project that names no versions. Returns its langgraph.json."""
    folder.mkdir()
    shutil.copy(RELEASES[release].with_name("graphs.py"), folder)
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": {name: f"./graphs.py:{name}" for name in GRAPHS}}))
    return config


async def create_runs(*apis: Api) -> dict[str, str]:
    """Creates runs at the web processes in turn. Returns the graph of each thread."""
    threads = {str(uuid4()): GRAPHS[number % len(GRAPHS)] for number in range(RUNS)}
    for (thread, graph), api in zip(threads.items(), cycle(apis)):
        await api.run(graph, thread)
    return threads


async def answer_until_over(api: Api, threads: Mapping[str, str]) -> None:
    """Answers all questions. Returns when each newest run has ended or is paused."""
    over = set[str]()

    async def are_over() -> bool:
        runs = await api.last_runs(threads.keys() - over)
        for thread, run in runs.items():
            if run["phase"] == "waiting_for_approval":
                await api.answer(threads[thread], thread)
        over.update(thread for thread, run in runs.items() if run["phase"] in ("completed", "paused"))
        return over == threads.keys()

    await wait_until(are_over)


@pytest.mark.timeout(120)
async def test_old_and_new_code_serve_side_by_side(tmp_path: Path) -> None:
    old, new = checkout(tmp_path / "old", "1"), checkout(tmp_path / "new", "2")
    async with running() as cluster, httpx.AsyncClient(timeout=30) as client:
        old_web, *old_workers = await start(cluster, old)
        old_api = Api(client, old_web)
        first, asked = await create_runs(old_api), await create_runs(old_api)
        new_web, *_ = await start(cluster, new)
        new_api = Api(client, new_web)
        second = await create_runs(old_api, new_api)
        answering = asyncio.create_task(answer_until_over(new_api, first | second))
        for worker in old_workers:  # one after the other, while runs are answered
            worker.signal(signal.SIGTERM)
            await worker.wait_for_exit()
        old_web.signal(signal.SIGTERM)
        third = await create_runs(new_api)
        await answering
        await answer_until_over(new_api, asked | third)
        runs = await new_api.last_runs(first | second | asked | third)
        held = {thread for thread, run in runs.items() if run["phase"] == "paused"}
        assert {thread for thread, graph in asked.items() if graph == "desk"} <= held, "their node has another name"
        threads = first | second | asked | third
        assert {threads[thread] for thread in held} <= {"desk"}
        assert all("ask" in runs[thread]["reason"] for thread in held)
        for thread in threads.keys() - held:
            executed = [each.node for each in read_executed(cluster.effects.path) if is_end(each, thread)]
            nodes, releases = zip(*(line.split("@") for line in await new_api.log(thread)), strict=True)
            assert " ".join(nodes) == LOGS[threads[thread], releases[-1]]
            assert list(releases) == sorted(releases), "the old release never continues what the new one has begun"
            assert len(executed) == len(nodes), "no node was executed twice"


def is_end(line: Executed, thread: str) -> bool:
    return line.thread == thread and line.event == "ended"


async def start(cluster: Cluster, project: Path) -> tuple[Web, Process, Process]:
    """A web process and two workers of a checkout."""
    return await asyncio.gather(
        cluster.start_web(project), cluster.start_worker(project=project), cluster.start_worker(project=project)
    )
