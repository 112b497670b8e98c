"""The version that a request names, and who may name one."""

from __future__ import annotations

from dataclasses import replace

from slipway.run_options import RunOptions
from slipway.runs.run_request import RunRequest, run_request_from
from tests.rollouts.conftest import Desk


async def test_only_an_operator_names_a_version(desk: Desk) -> None:
    header = {"x-slipway-version": "2"}
    refused = await desk.run(403, headers=header)
    assert refused["detail"].startswith("x-slipway-version names a version: the user 'cleo' lacks the permission")
    refused = await desk.run(403, metadata={"slipway_version": "2"})
    assert refused["detail"].startswith("metadata.slipway_version names a version: the user 'cleo' lacks")
    await desk.run(user="ann", headers=header)
    await desk.run(user="ann", metadata={"slipway_version": "2"})


async def test_an_unknown_version_is_rejected_with_the_known_ones(desk: Desk) -> None:
    rejected = await desk.run(422, user="ann", headers={"x-slipway-version": "4"})
    assert (rejected["field"], rejected["known"]) == ("x-slipway-version", ["1", "2", "3"])
    assert rejected["detail"] == "x-slipway-version: graph 'desk' has no version '4'; choose one of: 1, 2, 3"


async def test_a_rule_lets_testers_name_the_ramping_version(desk: Desk) -> None:
    services = desk.served.services
    await desk.send(
        "PUT",
        "/ops/rollouts/desk",
        json={"versions": {"2": 0}, "testers": [{"header": "x-slipway-version", "value": "2"}]},
    )
    await services.rollout_watch.refresh()
    await desk.run(headers={"x-slipway-version": "2"})
    await desk.run(403, headers={"x-slipway-version": "3"})


def test_a_stored_request_without_headers_is_one_of_earlier_releases() -> None:
    request = RunRequest(assistant_id="desk", options=RunOptions())
    assert "version_headers" not in request.stored()
    named = replace(request, version_headers={"x-tester": "yes"})
    assert run_request_from(named.stored()) == named
    assert run_request_from(request.stored()) == request
