"""A graph whose node enqueues an arq job and waits for its result, and a graph that a cron job runs."""

from __future__ import annotations

from typing import TypedDict

from arq.jobs import Job
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph

import slipway.arq


class State(TypedDict, total=False):
    gate: str
    text: str


async def ship(state: State, config: RunnableConfig) -> State:
    job_id, pool = f"ship-{config['configurable']['run_id']}", slipway.arq.pool()
    await pool.enqueue_job("ship", state["gate"], _job_id=job_id)
    return {"text": await Job(job_id, pool, pool.default_queue_name).result(timeout=60, poll_delay=0.05)}


async def repeat(state: State) -> State:
    return {"text": state["text"]}


order = StateGraph(State).add_node("ship", ship).set_entry_point("ship").compile()
echo = StateGraph(State).add_node("repeat", repeat).set_entry_point("repeat").compile()
