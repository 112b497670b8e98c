"""What a deploy check says about threads is what happens to them when the release is deployed."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langgraph_sdk import get_client

from slipway.run_operations.operations import Operator
from slipway.runs.record import Phase, Run
from slipway.services import Services
from tests.deploy_checks.conftest import Deployment, Release
from tests.http.conftest import serving
from tests.waiting import Eventually
from tests.worker import running_worker

DESK: Final = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    {key}: str
    note: str

def ask(state):
    return {{"{key}": interrupt("may I pay?")}}

def confirm(state):
    return {{"note": interrupt("really?")}}

builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_node("{confirm}", confirm)
builder.add_edge(START, "ask")
builder.add_edge("ask", "{confirm}")
builder.add_conditional_edges("{confirm}", lambda state: "__end__" if state.get("{key}") else "ask", ["ask", "__end__"])
graph = builder.compile()
"""
"""Asks again as long as the state has no decision."""

OLD: Final = DESK.format(key="approved", confirm="confirm")


async def in_phase(services: Services, run_id: str, phase: Phase, eventually: Eventually) -> Run:
    async def is_in_phase() -> bool:
        return (await services.runs.find(run_id)).phase is phase

    await eventually(is_in_phase)
    return await services.runs.find(run_id)


async def answered_once(release: Release, services: Services, sdk: Any, eventually: Eventually) -> str:
    """A thread whose first question was answered, and which waits at the second one."""
    thread = str((await sdk.threads.create())["thread_id"])
    async with running_worker(release.settings, release.graphs):
        for options in ({"input": {"note": ""}}, {"command": {"resume": "yes"}}):
            run = await sdk.runs.create(thread, "desk", **options)
            await in_phase(services, run["run_id"], Phase.WAITING_FOR_APPROVAL, eventually)
    return thread


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (DESK.format(key="confirmed", confirm="confirm"), "channel.removed"),
        (DESK.format(key="approved", confirm="verify"), "node.removed"),
        (OLD.replace("note: str", "note: str\n    other: int"), None),
    ],
    ids=["key of the decision renamed", "node renamed", "key added"],
)
async def test_a_thread_that_the_check_holds_is_not_executed(
    deployment: Deployment, eventually: Eventually, new: str, code: str | None
) -> None:
    """A state key that is gone would make this graph ask again, however often a person answers. The run is held."""
    old, deployed = await deployment.release("old", OLD), await deployment.release("new", new)
    async with (
        serving(old.settings, old.graphs) as served,
        get_client(url=served.url, api_key=None) as sdk,
    ):
        thread = await answered_once(old, served.services, sdk, eventually)
        verdict, _, codes = (await deployment.check(deployed)).said(thread)
        assert (verdict, codes) == (("hold", [code]) if code else ("continue", []))
        async with running_worker(deployed.settings, deployed.graphs):
            run = await sdk.runs.create(thread, "desk", command={"resume": "yes"})
            ended = await in_phase(
                served.services, run["run_id"], Phase.PAUSED if code else Phase.COMPLETED, eventually
            )
        if code:
            assert ended.held is not None
            assert [reason.code for reason in ended.held.reasons] == codes
            questions = (await sdk.threads.get(thread))["interrupts"]
            assert [each["value"] for asked in questions.values() for each in asked] == ["really?"]
            async with running_worker(old.settings, old.graphs):
                await served.services.run_operations.resume(
                    run["run_id"], Operator("ann"), old.graphs.default_version("desk")
                )
                await in_phase(served.services, run["run_id"], Phase.COMPLETED, eventually)
        assert (await sdk.threads.get_state(thread))["values"] == {"approved": "yes", "note": "yes"}
