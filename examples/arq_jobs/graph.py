"""The graph: one node enqueues a job for each page and waits for the results, the next one writes the report."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final, TypedDict

from arq.jobs import Job
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

import slipway.arq

_WAIT_S: Final = 60
_POLL_S: Final = 0.1


class State(TypedDict, total=False):
    urls: list[str]
    pages: list[dict[str, Any]]
    report: str


async def fetch_pages(state: State, config: RunnableConfig) -> State:
    """The ids of the jobs depend on the run only. If this node is executed again after a crash, it finds the jobs that
    it has enqueued before."""
    run_id = str(config["configurable"]["run_id"])
    return {"pages": list(await asyncio.gather(*(_fetch(run_id, url) for url in state.get("urls", []))))}


async def _fetch(run_id: str, url: str) -> dict[str, Any]:
    pool = slipway.arq.pool()
    job_id = f"{run_id}:{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    await pool.enqueue_job("fetch_page", url, _job_id=job_id)
    page: dict[str, Any] = await Job(job_id, pool, pool.default_queue_name).result(timeout=_WAIT_S, poll_delay=_POLL_S)
    return page


def write_report(state: State) -> State:
    return {"report": "\n".join(map(_line, state.get("pages", []))) or "No pages."}


def _line(page: dict[str, Any]) -> str:
    outcome = page.get("problem") or f"{page['status']}, {page['bytes']} bytes"
    return f"{page['url']}: {outcome}"


builder = StateGraph(State)
builder.add_node("fetch_pages", fetch_pages)
builder.add_node("write_report", write_report)
builder.add_edge(START, "fetch_pages")
builder.add_edge("fetch_pages", "write_report")
builder.add_edge("write_report", END)
graph = builder.compile()
