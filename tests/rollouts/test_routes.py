"""Rollouts over HTTP, as operators change and read them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rollouts.conftest import Desk

PATH = "/ops/rollouts/desk"


async def test_a_version_is_rolled_out_promoted_and_rolled_back(desk: Desk) -> None:
    testers = [{"header": "X-Tester", "value": "yes"}, {"metadata": "tier", "value": "beta"}]
    changed = await desk.send("PUT", PATH, json={"versions": {"2": 10.5}, "testers": testers, "reason": "a try"})
    assert changed["change"]["summary"] == (
        "version 2 gets 10.5 % of the new threads, and those with header x-tester=yes, and those with metadata "
        "tier=beta; all others get 1"
    )
    assert changed["warning"] == "no live worker serves desk@2: its runs wait until one does"
    status = await desk.send("GET", PATH)
    assert (status["current"], status["by"], status["reason"]) == ("1", "ann", "a try")
    assert status["ramping"]["testers"] == [{"header": "x-tester", "value": "yes"}, testers[1]]
    assert [(each["version"], each["state"], each["weight_percent"]) for each in status["versions"]] == [
        ("1", "current", 89.5),
        ("2", "ramping", 10.5),
        ("3", "inactive", 0.0),
    ]
    assert (status["looks"], status["next_look_runs"]) == (0, 20)
    assert desk.served.services.rollout_watch.ramp_of("desk") is not None, "this process knows it already"

    assert (await desk.send("POST", f"{PATH}/promote"))["rollout"]["current"] == "2"
    back = await desk.send("POST", f"{PATH}/rollback", json={"reason": "angry clients"})
    assert (back["rollout"]["current"], back["change"]["reason"]) == ("1", "angry clients")
    assert [each["graph"] for each in (await desk.send("GET", "/ops/rollouts"))["rollouts"]] == ["desk"]
    assert (await desk.send("DELETE", PATH))["rollout"] is None
    history = (await desk.send("GET", f"{PATH}/history"))["entries"]
    assert [entry["action"] for entry in history] == ["cleared", "rolled_back", "promoted", "set"]
    assert (await desk.send("GET", "/ops/rollouts")) == {"rollouts": []}


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"versions": {"2": 60, "1": 50}}, 422, "versions: the weights are 110 % together, more than 100 %"),
        ({"versions": {"2": 101}}, 422, "versions.2: a weight is between 0 and 100 %, not 101 %"),
        ({"versions": {"2": 0.001}}, 422, "versions.2: a weight has at most two digits behind the point"),
        ({"versions": {"9": 1}}, 422, "versions: graph 'desk' has no version '9'"),
        ({"versions": {"2": 1, "3": 1}}, 422, "versions: only one version can ramp"),
        ({"versions": {}}, 422, "versions"),
        ({"versions": {"2": 1}, "testers": [{"value": "x"}]}, 422, "give either header or metadata"),
        (
            {"versions": {"2": 1}, "testers": [{"header": "Authorization", "value": "x"}]},
            422,
            "header: 'authorization' carries a credential, and the status of the rollout shows",
        ),
        ({"versions": {"2": 1}, "weight": 3}, 422, "weight: is unknown"),
    ],
)
async def test_what_is_rejected_changes_nothing(desk: Desk, body: Any, status: int, problem: str) -> None:
    rejected = await desk.send("PUT", PATH, status, json=body)
    assert problem in rejected["detail"]
    await desk.send("GET", PATH, 404)
    assert (await desk.send("GET", f"{PATH}/history"))["entries"] == []


async def test_operations_that_are_not_possible_say_why(desk: Desk) -> None:
    assert "no version of graph 'desk' is ramping" in (await desk.send("POST", f"{PATH}/promote", 409))["detail"]
    assert "has nothing to roll back" in (await desk.send("POST", f"{PATH}/rollback", 409))["detail"]
    assert "has no rollout" in (await desk.send("DELETE", PATH, 409))["detail"]
    unknown = await desk.send("PUT", "/ops/rollouts/desks", 404, json={"versions": {"2": 1}})
    assert unknown["detail"].startswith("graph 'desks' not found: langgraph.json names no such graph; did you mean")
    await desk.send("GET", "/ops/rollouts/desks/history", 404)


async def test_only_operators_see_and_change_rollouts(desk: Desk) -> None:
    await desk.send("GET", PATH, 403, user="cleo")
    await desk.send("PUT", PATH, 403, user="cleo", json={"versions": {"2": 1}})


async def test_the_page_and_the_metrics_show_a_rollout(desk: Desk) -> None:
    async def text(path: str, user: str) -> str:
        return (await desk.client.get(path, headers={"x-user": user})).text

    assert "Rollout" not in await text("/ui/graphs/desk", "ann")
    await desk.send("PUT", PATH, json={"versions": {"2": 12.5}, "reason": "<b>a try</b>"})
    page = await text("/ui/graphs/desk", "ann")
    assert "87.5 %" in page
    assert "12.5 %" in page
    assert "&lt;b&gt;a try&lt;/b&gt;" in page
    assert "12.5 %" not in await text("/ui/graphs/desk", "cleo"), "only operators see it"

    await desk.served.services.health.measure()
    metrics = await text("/metrics", "ann")
    assert 'slipway_rollout_weight{graph="desk",version="1"} 87.5' in metrics
    assert 'slipway_rollout_weight{graph="desk",version="2"} 12.5' in metrics
