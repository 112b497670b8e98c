"""What a graph reads as its run's context, by kind of schema and by how the context was sent (protocol 4.6)."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from tests.compat.conftest import Client, new_thread

pytestmark = pytest.mark.usefixtures("worker")

KNOWN: Final = {"model": "large", "other": 1}
DATA, MODEL = "Data(model='{}', inner=Inner(depth={}))", "Model(model='{}', inner=Inner(depth={}), size={})"


@pytest.mark.parametrize(
    ("schema", "sent", "read"),
    [
        ("none", None, "None"),
        ("none", {}, "None"),
        ("none", KNOWN, "{'model': 'large', 'other': 1}"),
        ("keys", None, "None"),
        ("keys", {"other": 1}, "None"),
        ("keys", KNOWN, "{'model': 'large'}"),
        ("data", None, DATA.format("small", 1)),
        ("data", {}, DATA.format("small", 1)),
        ("data", {"other": 1}, DATA.format("small", 1)),
        ("data", KNOWN, DATA.format("large", 1)),
        ("needs_data", KNOWN, "NeedsData(model='large')"),
        ("model", None, MODEL.format("small", 1, 1)),
        ("model", {"other": 1}, MODEL.format("small", 1, 1)),
        ("model", KNOWN | {"inner": {"depth": 5}}, MODEL.format("large", 5, 1)),
        ("model", {"modelSize": 7}, MODEL.format("small", 1, 7)),
        ("model", {"size": 7}, MODEL.format("small", 1, 7)),
        ("strict", KNOWN, "Strict(model='large')"),
        ("none", {"ceilings": {"max_steps": 9}}, "None"),
    ],
)
async def test_each_kind_of_schema_gets_its_form(
    sdk: Client, schema: str, sent: dict[str, Any] | None, read: str
) -> None:
    by_context = await sdk.runs.wait(None, f"context_{schema}", input={}, context=sent)
    assert by_context == {"context": read, "inside": read}
    if sent:
        configured = {"configurable": sent}
        assert await sdk.runs.wait(None, f"context_{schema}", input={}, config=configured) == by_context


@pytest.mark.parametrize("sent", [None, {}, {"other": 1}])
@pytest.mark.parametrize(
    ("graph", "error", "words"),
    [
        ("context_needs_data", "TypeError", "missing 1 required positional argument: 'model'"),
        ("context_strict", "ValidationError", "model: Field required"),
        ("context_declared", "TypeError", "missing 1 required positional argument: 'model'"),
    ],
)
async def test_a_required_field_that_is_missing_fails_the_run_at_once(
    sdk: Client, graph: str, error: str, words: str, sent: dict[str, Any] | None
) -> None:
    thread = await new_thread(sdk)
    answer = await sdk.runs.wait(thread, graph, input={}, context=sent, raise_error=False)
    assert answer["__error__"]["error"] == error
    assert words in answer["__error__"]["message"]
    (run,) = await sdk.runs.list(thread)
    assert (run["status"], run["attempt"]) == ("error", 1)


async def test_the_assistants_context_is_below_the_requests(sdk: Client) -> None:
    for mine in ({"context": KNOWN}, {"config": {"configurable": KNOWN}}):
        ident = (await sdk.assistants.create("context_none", **mine))["assistant_id"]
        assert (await sdk.runs.wait(None, ident, input={}))["context"] == str(KNOWN)
        over = await sdk.runs.wait(None, ident, input={}, context={"model": "huge"})
        assert over["context"] == str(KNOWN | {"model": "huge"})
    ident = (await sdk.assistants.create("context_data", context=KNOWN))["assistant_id"]
    assert (await sdk.runs.wait(None, ident, input={}))["context"] == DATA.format("large", 1)


async def test_headers_that_are_handed_to_graphs_are_no_context(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "context_none", "input": {}}
    answer = await client.post("/runs/wait", json=body, headers={"baggage": "langsmith-project=x"})
    assert answer.json()["context"] == "None"


async def test_a_run_of_the_event_protocol_gets_its_context(sdk: Client, client: httpx.AsyncClient) -> None:
    for graph, read in (("context_none", str(KNOWN)), ("context_data", DATA.format("large", 1))):
        thread = await new_thread(sdk)
        params = {"assistant_id": graph, "input": {}, "config": {"configurable": KNOWN}}
        command = {"id": 1, "method": "run.start", "params": params}
        started = (await client.post(f"/threads/{thread}/commands", json=command)).json()
        values = await sdk.runs.join(thread, started["result"]["run_id"])
        assert values["context"] == read


async def test_a_factory_gets_the_class_that_it_declares_or_the_mapping(sdk: Client) -> None:
    declared = await sdk.runs.wait(None, "context_declared", input={}, context=KNOWN)
    assert declared["factory"] == "NeedsData(model='large')"
    assert (await sdk.runs.wait(None, "context_undeclared", input={}))["factory"] == "{}"
    undeclared = await sdk.runs.wait(None, "context_undeclared", input={}, config={"configurable": KNOWN})
    assert undeclared["factory"] == str(KNOWN)
