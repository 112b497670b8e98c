"""LangChain's `create_agent`, with the middleware and without it."""

from __future__ import annotations

import json
from typing import Any

from slipway.graphs.registry import Registry
from tests.tools.conftest import Ended, Runs


async def talk(runs: Runs, graph: str, *calls: tuple[str, dict[str, Any]]) -> Ended:
    return await runs.execute(graph, messages=[{"role": "user", "content": json.dumps(calls)}])


def tool_messages(ended: Ended) -> dict[str, tuple[str, str]]:
    """The status and the text of the message for each call, by the name of the tool."""
    messages = [message for message in ended.values["messages"] if message["type"] == "tool"]
    return {message["name"]: (message["status"], message["content"]) for message in messages}


async def test_an_agent_calls_its_tools_through_the_gateway(runs: Runs) -> None:
    for graph in ("agent", "plain_agent"):
        ended = await talk(runs, graph, ("issue_refund", {"order": "a"}), ("lookup_customer", {"name": "ann"}))
        assert ended.code is None
        messages = tool_messages(ended)
        assert messages["issue_refund"] == ("success", "refunded a: 1.0")
        assert json.loads(messages["lookup_customer"][1]) == {"name": "ann"}
        assert sorted(name for name, _ in ended.effects) == ["issue_refund", "lookup_customer"]
        assert sorted(ended.actions()) == ["tool.called", "tool.called", "tool.permitted", "tool.permitted"]


async def test_a_model_is_offered_what_the_agent_may_call(runs: Runs, graphs: Registry) -> None:
    offered: list[list[str]] = graphs.load_object("./agents.py:offered")  # type: ignore[assignment]
    offered.clear()
    await talk(runs, "agent")
    assert offered == [["issue_refund", "lookup_customer", "place_order"]]


async def test_errors_become_messages_for_the_model(runs: Runs) -> None:
    ended = await talk(runs, "agent", ("send_mail", {"to": "x"}), ("place_order", {"items": [], "note": "broken"}))
    messages = tool_messages(ended)
    assert messages["send_mail"][0] == messages["place_order"][0] == "error"
    assert messages["send_mail"][1].startswith("no rule of slipway.grants permits tool 'send_mail'")
    assert messages["place_order"][1].startswith("tool 'place_order' returned id")
    assert [name for name, _ in ended.effects] == ["place_order"]


async def test_without_the_middleware_a_refused_call_fails_the_run(runs: Runs) -> None:
    ended = await talk(runs, "plain_agent", ("send_mail", {"to": "x"}))
    assert (ended.code, ended.effects) == ("tool.denied", [])
