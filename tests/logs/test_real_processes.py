"""The log of real processes: each line is one JSON object with the fields of its work, and each failure has exactly one
traceback."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from slipway.telemetry.table import line_fields
from slipway.telemetry.table.whole_table import EVENTS
from tests.crash.cluster import Cluster, Process, running
from tests.crash.dev import Dev
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
UNTRACED_PROJECT = Path(__file__).parent / "untraced_project" / "langgraph.json"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = TRACEPARENT.split("-")[1]
FAILURES = ("asynchronous", "plain", "caused", "parallel", "task", "thread", "retries", "subgraph")

_KNOWN = {each.name for each in (*line_fields.OF_EVERY_LINE, *line_fields.OF_THE_WORK, *line_fields.OTHERS)}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running(webs=1, workers=1, project=PROJECT, release="r7") as cluster:
        yield cluster


@pytest.fixture
async def sdk(cluster: Cluster) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=cluster.webs[0].url, api_key=None) as sdk:
        yield sdk


def lines_of(log: Path) -> list[dict[str, Any]]:
    """All lines of a process, each of which must be what docs/logs.md promises."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if not line.startswith("ready http")]
    for line in lines:
        assert list(line)[:4] == ["timestamp", "level", "event", "process"], line
        if "logger" not in line and not line["event"].startswith("said."):
            kind = EVENTS[line["event"]]
            assert line["level"] == kind.level
            assert set(line) <= _KNOWN | {each.name for each in kind.fields}, line
    return lines


def tracebacks(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines if "Traceback" in json.dumps(line)]


def url_of(cluster: Cluster) -> str:
    return cluster.webs[0].url


async def test_a_line_has_the_fields_of_the_code_that_logs_it(cluster: Cluster, sdk: LangGraphClient) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread, "talks", input={"how": ""}, headers={"traceparent": TRACEPARENT})
    await sdk.runs.join(thread, run["run_id"])
    worker = cluster.workers[0]
    await wait_until(lambda: worker.count_logged("run.settled") == 1)
    lines = lines_of(worker.log)
    of_run = {"run": run["run_id"], "thread": thread, "attempt": 1, "graph": "talks", "trace": TRACE, "release": "r7"}
    nodes = {
        "said in a plain node": "plain",
        "warned in a plain node": "plain",
        "said in a thread": "plain",
        "said in a pool": "plain",
        "said.asynchronously": "asynchronous",
        "said in a task": "asynchronous",
        "said in to_thread": "asynchronous",
        "said in a tool": "asynchronous",
        "said in a subgraph": "outer/inner",
    }
    found = {line["event"]: line for line in lines if line["event"] in nodes}
    for event, node in nodes.items():
        expected = of_run | {"node": node, "process": "worker"}
        assert {name: found[event].get(name) for name in expected} == expected, event
    assert found["said in a plain node"]["run_"] == "forged"
    (settled,) = (line for line in lines if line["event"] == "run.settled")
    assert {name: settled.get(name) for name in of_run} == of_run


async def test_a_line_names_its_node_without_traces_and_tools() -> None:
    async with (
        running(webs=1, workers=1, project=UNTRACED_PROJECT, traces="0") as cluster,
        get_client(url=url_of(cluster), api_key=None) as sdk,
    ):
        await sdk.runs.wait(None, "talks", input={"text": ""})
        (line,) = (line for line in lines_of(cluster.workers[0].log) if line["event"] == "said by a node")
    assert line["node"] == "speak"
    assert "trace" not in line


async def test_a_line_of_a_request_has_the_request(cluster: Cluster) -> None:
    async with httpx.AsyncClient(base_url=url_of(cluster)) as client:
        headers = {"traceparent": TRACEPARENT, "x-request-id": "mine"}
        assert (await client.get("/said", headers=headers)).status_code == 200
        missing = await client.get("/threads/nothing/state", headers=headers)
        failed = await client.get("/failed", headers=headers)
    assert (missing.status_code // 100, failed.status_code) == (4, 500)
    web = cluster.webs[0]
    await wait_until(lambda: web.count_logged("Exception in ASGI application") == 1)
    lines = [line for line in lines_of(web.log) if line.get("request_id")]
    for line in lines:
        assert (line["request_id"], line["trace"], line["method"]) == ("mine", TRACE, "GET"), line
    said, *_ = (line for line in lines if line["event"] == "said by a route")
    assert said["path"] == "/said"
    requests = {line["path"]: line for line in lines if line["event"] == "http.request"}
    state = requests["/threads/nothing/state"]
    assert (state["route"], state["status"]) == ("/threads/{thread_id}/state", missing.status_code)
    assert state["ms"] > 0
    assert requests["/failed"]["status"] == 500
    assert tracebacks(lines_of(web.log)) == ["Exception in ASGI application"]


async def test_the_line_of_a_request_has_the_trace_of_the_run_that_it_created() -> None:
    async with (
        running(webs=1, workers=1, project=PROJECT, log_level="debug") as cluster,
        httpx.AsyncClient(base_url=url_of(cluster), timeout=60) as client,
    ):
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": "talks", "input": {"how": ""}}
        stream, wait = f"/threads/{thread}/runs/stream", f"/threads/{thread}/runs/wait"
        paths = [stream, "/runs", wait, "/runs/batch"]
        for path in paths:
            sent: object = [body] if path.endswith("batch") else body
            assert (await client.post(path, json=sent)).status_code == 200, path
        await wait_until(lambda: cluster.workers[0].count_logged("run.settled") == len(paths), 30)
        web, worker = lines_of(cluster.webs[0].log), lines_of(cluster.workers[0].log)
    requests = {line["path"]: line for line in web if line["event"] == "http.request"}
    traces = [line["trace"] for line in worker if line["event"] == "run.settled"]
    assert len(set(traces)) == len(paths)
    assert {requests[path]["trace"] for path in paths} == set(traces)
    assert "trace" not in requests["/threads"]


async def test_a_failure_of_a_node_has_one_traceback(cluster: Cluster, sdk: LangGraphClient) -> None:
    runs = {}
    for how in FAILURES:
        thread = (await sdk.threads.create())["thread_id"]
        runs[(await sdk.runs.create(thread, "fails", input={"how": how}))["run_id"]] = how, thread
    worker = cluster.workers[0]
    await wait_until(lambda: settled_of(worker) == set(runs), 30)
    worker.signal(signal.SIGTERM)  # the end of the process logs what was not retrieved
    await worker.wait_for_exit(30)
    lines = lines_of(worker.log)
    assert tracebacks(lines) == ["run.raised"] * len(runs), [line for line in lines if "Traceback" in json.dumps(line)]
    for line in (line for line in lines if line["event"] == "run.raised"):
        _, thread = runs[line["run"]]
        assert (line["thread"], line["attempt"]) == (thread, 1)
        assert "it failed" in line["exception"]
    assert {line["run"] for line in lines if line["event"] == "run.raised"} == set(runs)
    assert tracebacks(lines_of(cluster.webs[0].log)) == []


@pytest.mark.timeout(120)
async def test_all_lines_are_json_under_load_crash_and_drain(cluster: Cluster, sdk: LangGraphClient) -> None:
    worker = cluster.workers[0]

    async def one(number: int) -> str:
        thread = (await sdk.threads.create())["thread_id"]
        graph, how = ("talks", "") if number % 3 else ("fails", FAILURES[number % len(FAILURES)])
        return str((await sdk.runs.create(thread, graph, input={"how": how, "wait_s": 0.05}))["run_id"])

    runs = list(await asyncio.gather(*(one(number) for number in range(30))))
    await wait_until(lambda: worker.count_logged("run.settled") > 5, 60)
    await worker.kill()
    await cluster.restart(worker)
    runs += await asyncio.gather(*(one(number) for number in range(30)))

    async def have_ended() -> bool:  # a worker that is killed may have settled a run, and not have logged it
        return all([(await cluster.run(run_id))["phase"] in ("completed", "failed") for run_id in runs])

    await wait_until(have_ended, 60)
    worker.signal(signal.SIGTERM)
    await worker.wait_for_exit(30)
    web = cluster.webs[0]
    web.signal(signal.SIGTERM)
    await web.wait_for_exit(30)
    events = {line["event"] for line in lines_of(worker.log)}
    assert events >= {"worker.ready", "worker.draining", "worker.drained", "run.settled", "run.raised"}
    assert "web.starting" in {line["event"] for line in lines_of(web.log)}
    failed = [line for line in lines_of(worker.log) if line["event"] == "run.settled" and line["phase"] == "failed"]
    raised = [line for line in lines_of(worker.log) if line["event"] == "run.raised"]
    assert sorted(tracebacks(lines_of(worker.log))) == ["run.raised"] * len(raised)
    assert {line["run"] for line in failed} <= {line["run"] for line in raised}


def settled_of(worker: Process) -> set[str]:
    return set(re.findall(r'"event":"run.settled".*?"run":"([^"]+)"', worker.log.read_text()))


@pytest.mark.timeout(120)
async def test_all_lines_of_dev_are_json() -> None:
    async with Dev() as dev:
        children = dev.children()
        children["worker"].kill()
        await wait_until(lambda: dev.log.read_text().count('"worker.ready"') > 1, 60)
        dev.process.send_signal(signal.SIGTERM)
        dev.process.wait(30)
        lines = lines_of(dev.log)
    assert {line["process"] for line in lines} >= {"dev", "web", "worker"}
    assert {line["event"] for line in lines} >= {"child.exited", "child.started", "dev.stopping", "worker.drained"}
