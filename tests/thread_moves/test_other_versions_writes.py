"""Writes of states and commands that the version which executes them cannot take: an error, and nothing changes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from slipway.graphs.registry import Registry
from slipway.run_operations.operations import Operator
from slipway.runs.record import Phase, new_id
from tests.http.conftest import serving
from tests.thread_moves.deployment import PROJECT, Deployment
from tests.thread_moves.test_earlier_checkpoints import completed_on_both


async def members_of(error: Any) -> dict[str, Any]:
    response: httpx.Response = error.value.response
    return dict(response.json())


async def state_of(deployment: Deployment, thread: str) -> tuple[Any, list[str]]:
    state = await deployment.sdk.threads.get_state(thread)
    return state["values"], await deployment.services.checkpointer.checkpoint_ids(thread, "")


async def test_a_state_is_not_written_on_a_checkpoint_of_another_version(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    before = await state_of(deployment, thread)
    with pytest.raises(ConflictError) as raised:
        await deployment.sdk.threads.update_state(thread, {"log": ["edited"]}, checkpoint_id=early[-1])
    members = await members_of(raised)
    assert (members["code"], members["version"], members["checkpoint_version"]) == ("version.held", "2", "1")
    assert "was written by desk@1, and desk@2 needs a migration to continue it" in members["detail"]
    assert {each["code"] for each in members["reasons"]} == {"node.removed", "channel.removed"}
    assert await state_of(deployment, thread) == before

    written = await deployment.sdk.threads.update_state(thread, {"log": ["edited"]})
    assert written["checkpoint"]["checkpoint_id"] > max(before[1])


async def test_changed_code_of_the_same_version_writes_no_state_that_it_cannot_continue(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    before = await state_of(deployment, thread)
    config = deployment.settings.model_copy(update={"config": PROJECT / "changed.json"})
    async with (
        serving(config, await Registry.load(config.config)) as served,
        get_client(url=served.url, api_key=None) as changed,
    ):
        with pytest.raises(ConflictError, match="channel 'name' has a value, and its type is int instead of str"):
            await changed.threads.update_state(thread, {"log": ["edited"]})
    assert await state_of(deployment, thread) == before


async def test_a_command_that_goes_to_a_node_of_no_version_is_rejected(deployment: Deployment) -> None:
    thread = str((await deployment.sdk.threads.create())["thread_id"])
    for goto in ("revew", ["draft", {"node": "revew", "input": {}}]):
        with pytest.raises(UnprocessableEntityError) as raised:
            await deployment.sdk.runs.create(thread, "desk", command={"goto": goto})
        members = await members_of(raised)
        assert (members["code"], members["field"]) == ("request.invalid", "command.goto")
        assert "has no node 'revew'; it has draft, human_review, review, send" in members["detail"]
    assert await deployment.sdk.runs.list(thread) == []
    headers = {"x-slipway-version": "2"}
    with pytest.raises(UnprocessableEntityError, match="desk@2 has no node 'review'"):
        await deployment.sdk.runs.create(thread, "desk", command={"goto": "review"}, headers=headers)


async def test_a_run_that_goes_to_a_node_which_its_version_lacks_fails_and_says_so(deployment: Deployment) -> None:
    thread, _ = await completed_on_both(deployment)
    before = await state_of(deployment, thread)
    async with deployment.worker("new"):
        run = await deployment.sdk.runs.create(thread, "desk", command={"goto": "review", "update": {"log": ["lost"]}})
        found = await deployment.ended(run["run_id"], Phase.FAILED)
    assert found.error is not None
    assert found.error["code"] == "input.invalid"
    assert "command.goto: desk@2 has no node 'review'; it has draft, human_review, send" in found.error["message"]
    assert await state_of(deployment, thread) == before


async def test_a_run_that_goes_to_a_node_of_the_version_of_its_thread_is_held(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    before = await state_of(deployment, thread)
    async with deployment.worker("new"):
        created = await deployment.sdk.runs.create(thread, "desk", command={"goto": "review"})
        run = await deployment.ended(created["run_id"], Phase.PAUSED)
        assert run.held is not None
        assert [each.code for each in run.held.reasons] == ["command.node_missing"]
        assert str(run.reason).endswith(f"slipway runs resume {run.run_id} --version 1")
        assert await state_of(deployment, thread) == before
        async with deployment.worker("old"):
            await deployment.services.run_operations.resume(run.run_id, Operator("ann"), "1")
            await deployment.ended(run.run_id, Phase.WAITING_FOR_APPROVAL)


async def test_an_imported_thread_goes_to_nodes_of_its_graph_only(deployment: Deployment) -> None:
    steps = [{"updates": [{"values": None, "command": {"goto": "revew"}, "as_node": "draft"}]}]
    with pytest.raises(UnprocessableEntityError, match="desk@2 has no node 'revew'"):
        await deployment.sdk.threads.create(thread_id=(thread := new_id()), graph_id="desk", supersteps=steps)
    with pytest.raises(NotFoundError):
        await deployment.sdk.threads.get(thread)
