"""Runs of several graphs share a thread: the version of one graph says nothing about the others."""

from __future__ import annotations

from slipway.runs.record import Phase
from slipway.thread_moves.reads import MoveReads
from tests.thread_moves.deployment import Deployment, deployment, deployment_settings

__all__ = ["deployment", "deployment_settings"]


async def test_a_run_of_another_graph_is_not_held(deployment: Deployment) -> None:
    """`desk` and `fragile` have other channels, so a verdict from one to the other would hold the thread."""
    sdk, services = deployment.sdk, deployment.services
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    nothing: dict[str, object] = {"log": []}
    created = [
        await sdk.runs.create(thread, graph, input=given)
        for graph, given in (("fragile", nothing), ("desk", {"name": "Ada Lovelace"}), ("fragile", nothing))
    ]
    async with deployment.worker("new"):
        last = await deployment.ended(created[-1]["run_id"], Phase.COMPLETED)
        desk = await services.runs.find(created[1]["run_id"])
        assert (desk.version, desk.held, last.version, last.held) == ("2", None, "2", None)
    assert (await sdk.threads.get(thread))["version"] == "2"
    reads = MoveReads(services.pipeline, services.keys)
    assert (await reads.moves(thread, "fragile")).pin.version == "2"
    assert (await reads.moves(thread, "desk")).pin.version == ""


async def test_a_run_starts_from_a_checkpoint_of_another_graph(deployment: Deployment) -> None:
    sdk = deployment.sdk
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    async with deployment.worker("new"):
        (earlier, *_) = await sdk.threads.get_history(thread)
        run = await sdk.runs.create(thread, "fragile", input={"log": []}, checkpoint_id=earlier["checkpoint_id"])
        assert (await deployment.ended(run["run_id"], Phase.COMPLETED)).held is None
