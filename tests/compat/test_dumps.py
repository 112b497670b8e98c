"""Every build resumes the threads that each release has left in Redis, at each kind of pause (`make_dumps.py`).

A thread is resumed as its pause requires. Then it has the log that an uninterrupted run would have, and no node or task
was executed that had ended before.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from slipway.graphs.registry import Registry
from slipway.health.layout_upgrades import UPGRADES
from slipway.redis.layout import LayoutRecord
from slipway.services import Services
from slipway.settings import Settings
from tests.compat.dump_format import DIGESTS, DUMPS, Dump, delete_keys, restore, sha256_of
from tests.compat.make_dumps import PROJECT, Desk
from tests.http.conftest import serving
from tests.shards import shards_of
from tests.waiting import wait_until
from tests.worker import running_worker


@pytest.fixture(scope="module")
def graphs() -> Iterator[Registry]:
    """The graphs of the dumps. Their modules have the names under which the release stored their classes, although this
    process has imported modules of other projects under the same names."""
    names = {file.stem for file in PROJECT.parent.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names & {*sys.modules}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "path", [path for path in sys.path if not any((Path(path) / f"{name}.py").exists() for name in names)]
        )
        yield asyncio.run(Registry.load(PROJECT))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)


FILES: Final = sorted(DUMPS.glob("*/*.json.gz"))

Resume = Callable[[Desk, Dump, str], Awaitable[Any]]
"""Resumes the thread of a pause."""


async def by_itself(desk: Desk, dump: Dump, pause: str) -> None:
    """A worker continues the thread without a request."""


def run(graph: str, **body: Any) -> Resume:
    """Creates a run on the thread."""

    async def resume(desk: Desk, dump: Dump, pause: str) -> None:
        await desk.start(pause, graph, **body)

    return resume


def answer(graph: str, value: Any) -> Resume:
    return run(graph, input=None, command={"resume": value})


def answer_questions(graph: str, *values: Any) -> Resume:
    """Answers the open questions in their order."""

    async def resume(desk: Desk, dump: Dump, pause: str) -> None:
        asked = await desk.questions(pause)
        assert len(asked) == len(values), asked
        answers = {question["id"]: value for question, value in zip(asked, values, strict=True)}
        await desk.start(pause, graph, input=None, command={"resume": answers})

    return resume


def operate(operation: str, note: str) -> Resume:
    """An operator does this with the run that the dump names."""

    async def resume(desk: Desk, dump: Dump, pause: str) -> None:
        await desk.call("POST", f"/ops/runs/{dump.notes[note]}/{operation}", {})

    return resume


async def switch_on(desk: Desk, dump: Dump, pause: str) -> None:
    await desk.call("DELETE", "/ops/graphs/switched/nodes/three")


async def approve(desk: Desk, dump: Dump, pause: str) -> None:
    review = await desk.review(pause)
    assert review["review_id"] == dump.notes["approval"]
    await desk.call("POST", f"/ops/reviews/{review['review_id']}/decide", {"kind": "approve"}, user="bob")


async def decide_the_claimed_review(desk: Desk, dump: Dump, pause: str) -> None:
    """The review still has its claim and its due time."""
    review, before = await desk.review(pause), dump.notes["claimed review"]
    kept = ("review_id", "assignee", "due_at", "state", "interrupt_id")
    assert {name: review[name] for name in kept} == {name: before[name] for name in kept}
    assert review["assignee"] == "bob"
    decision = {"kind": "answer", "value": "yes"}
    await desk.call("POST", f"/ops/reviews/{review['review_id']}/decide", decision, user="bob")


async def continue_at_the_breakpoint(desk: Desk, dump: Dump, pause: str) -> None:
    """A worker continues the thread until it waits before a node."""
    thread = dump.threads[pause]

    async def waits() -> bool:
        return bool((await desk.call("GET", f"/threads/{thread}"))["status"] == "interrupted")

    await wait_until(waits)
    await desk.start(pause, "join", input=None)


@dataclass(frozen=True, slots=True)
class Case:
    """How a thread is resumed, its log in the end, and the nodes and tasks that start until then, in any order."""

    resume: Resume
    log: list[str]
    started: list[str]


ONE_TO_THREE: Final = ["one", "two", "three"]

CASES: Final[Mapping[str, Case]] = {
    "idle": Case(run("steps"), [*ONE_TO_THREE, *ONE_TO_THREE], ONE_TO_THREE),
    "stateful subgraph": Case(run("remembers", input={"log": []}), ["visit 1", "visit 2"], ["visit"]),
    "compiled breakpoint": Case(run("breakpoint", input=None), ONE_TO_THREE, ["two", "three"]),
    "breakpoint of the run": Case(run("steps", input=None), ONE_TO_THREE, ["two", "three"]),
    "half a join": Case(run("join", input=None), ["a", "b", "c", "end"], ["c", "end"]),
    "question": Case(answer("ask", "yes"), ["one", "ask: yes", "three"], ["ask", "three"]),
    "question with stream modes": Case(answer("ask", 0), ["one", "ask: 0", "three"], ["ask", "three"]),
    "question in subgraphs": Case(
        answer("deep", "yes"),
        ["one", "one", "begin", "one", "begin", "before", "ask: yes", "after", "three"],
        ["ask", "after", "three"],
    ),
    "two questions": Case(answer_questions("questions", 1, 2), ["a: 1", "b: 2", "end"], ["a", "b", "end"]),
    "some sends ask": Case(
        answer_questions("fan", 1, 2),
        ["plan", "a", "B: 1", "c", "D: 2", "collect"],
        ["work B", "work D", "collect"],
    ),
    "functional": Case(
        answer("functional", "yes"),
        ["prepared a", "prepared b", "finished: yes"],
        ["functional", "finish"],
    ),
    "delta channel": Case(
        answer("journal", "yes"),
        ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6: yes", "line 7", "line 8"],
        ["write 6", "write 7", "write 8"],
    ),
    "many types": Case(answer("objects", "yes"), ["collected", "yes: []", "end"], ["compare", "end"]),
    "second question of a node": Case(
        answer("twice", "second"), ["one", "ask: first", "ask: second", "three"], ["ask", "three"]
    ),
    "one of two answered": Case(answer_questions("questions", "late"), ["a: early", "b: late", "end"], ["b", "end"]),
    "paused by an operator": Case(operate("resume", "paused run"), ONE_TO_THREE, ["three"]),
    "paused at a switch": Case(switch_on, ["one", "ask: yes", "three"], ["three"]),
    "failed": Case(operate("retry", "failed run"), ["one", "fails", "three"], ["fails", "three"]),
    "approval of a tool": Case(
        approve, ["plan", "noted before", "refunded o-1: 5", "end"], ["pay", "refund o-1", "end"]
    ),
    "claimed review": Case(decide_the_claimed_review, ["ask: yes", "end"], ["ask", "end"]),
    "killed between supersteps": Case(by_itself, ONE_TO_THREE, ["two", "three"]),
    "killed beside ended sends": Case(by_itself, ["plan", "a", "b", "c", "collect"], ["work b", "collect"]),
    "killed beside an ended node": Case(continue_at_the_breakpoint, ["a", "b", "c", "end"], ["b", "c", "end"]),
    "due cron": Case(by_itself, ONE_TO_THREE, ONE_TO_THREE),
    "queued": Case(by_itself, ONE_TO_THREE, ONE_TO_THREE),
    "two runs queued": Case(by_itself, [*ONE_TO_THREE, *ONE_TO_THREE], [*ONE_TO_THREE, *ONE_TO_THREE]),
    "queued for later": Case(by_itself, ONE_TO_THREE, ONE_TO_THREE),
    "answer is queued": Case(by_itself, ["one", "ask: yes", "three"], ["ask", "three"]),
}


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda folder: folder.name)
def test_the_dumps_are_those_that_the_release_has_made(folder: Path) -> None:
    found = {file.name: sha256_of(file) for file in folder.glob("*.json.gz")}
    listed = [line.split() for line in (folder / DIGESTS).read_text().splitlines()]
    assert found == {name: digest for digest, name in listed}


def test_every_pause_of_a_dump_has_a_case() -> None:
    assert {file.parent.name for file in FILES} >= {"0.1.0"}
    for file in FILES:
        assert set(Dump.load(file).threads) <= set(CASES), file


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.name.partition('.')[0]}")
async def test_every_thread_is_resumed(file: Path, graphs: Registry, request: pytest.FixtureRequest) -> None:
    dump = Dump.load(file)
    url = request.getfixturevalue("modules_url" if "langgraph-redis" in file.name else "valkey_url")
    settings = Settings.from_values({"redis_url": url, "config": PROJECT, **dump.settings})
    async with restored(dump, url), deployment(settings, graphs) as desk:
        desk.threads.update(dump.threads)
        assert await history(desk, "idle") == dump.notes["history"]
        await asyncio.gather(*(CASES[pause].resume(desk, dump, pause) for pause in dump.threads))
        expected = {pause: ("idle", CASES[pause].log, sorted(CASES[pause].started)) for pause in dump.threads}
        with suppress(AssertionError):  # the comparison says more

            async def have_ended() -> bool:
                return await found_in(desk, dump) == expected

            await wait_until(have_ended, within_s=45)
        assert await found_in(desk, dump) == expected
        assert await other_records(desk, dump) == ([["second"]], {"n": 1})


@asynccontextmanager
async def restored(dump: Dump, url: str) -> AsyncIterator[None]:
    """Until the end of the block, Redis has the keys of the dump."""
    async with Redis.from_url(url) as redis:
        await restore(redis, dump)
        try:
            yield
        finally:
            await delete_keys(redis, dump.key_prefix)
            for index in ("", "_write") if "langgraph_redis_prefix" in dump.settings else ():
                await redis.execute_command("FT.DROPINDEX", dump.settings["langgraph_redis_prefix"] + index)


@asynccontextmanager
async def deployment(settings: Settings, graphs: Registry) -> AsyncIterator[Desk]:
    """A web process and a worker, after the upgrade of the data that a deploy makes."""
    project = sys.modules[graphs.load_object("./graphs.py:start").__module__]
    project.STARTED.clear()
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        await LayoutRecord(served.services.pipeline, shards_of(served.services.keys)).check_or_upgrade(UPGRADES)
        await reclaim_runs_of_dead_workers(served.services)
        async with running_worker(settings, graphs):
            yield Desk(client, project)


async def reclaim_runs_of_dead_workers(services: Services) -> None:
    """What the reaper does when it has waited for a lease."""
    workers = await services.pipeline.send("ZRANGE", services.keys.workers, 0, -1)
    for worker in workers:
        await services.queues[0].run_reap(event_ttl_s=600, pause_ms=0, worker=worker.decode())


async def found_in(desk: Desk, dump: Dump) -> dict[str, tuple[Any, ...]]:
    """The status of each thread, its log, and what was started on it."""
    query = {"ids": list(dump.threads.values()), "limit": 100}
    records = {record["thread_id"]: record for record in await desk.call("POST", "/threads/search", query)}
    found: dict[str, tuple[Any, ...]] = {}
    for pause, thread in dump.threads.items():
        log = (records[thread]["values"] or {}).get("log")
        found[pause] = records[thread]["status"], log, sorted(desk.project.STARTED[thread])
    return found


async def history(desk: Desk, pause: str) -> list[str]:
    """The ids of the checkpoints of a thread, newest first."""
    states = await desk.call("POST", f"/threads/{desk.threads[pause]}/history", {"limit": 100})
    return [state["checkpoint"]["checkpoint_id"] for state in states]


async def other_records(desk: Desk, dump: Dump) -> Any:
    """The tags of the assistant's current version, and the value of the item of the store."""
    assistant = await desk.call("GET", f"/assistants/{dump.notes['assistant']}")
    item = await desk.call("GET", "/store/items?namespace=a.b&key=k")
    return [assistant["config"]["tags"]], item["value"]
