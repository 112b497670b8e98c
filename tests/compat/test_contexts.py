"""Which context a graph receives, for each kind of context schema and each way to send it."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from tests.compat.conftest import Client, new_thread

pytestmark = pytest.mark.usefixtures("worker")

CONTEXT: Final = {"model": "large", "other": 1}
DATA, MODEL = "Data(model='{}', inner=Inner(depth={}))", "Model(model='{}', inner=Inner(depth={}), size={})"


@pytest.mark.parametrize(
    ("schema", "sent", "received"),
    [
        ("none", None, "None"),
        ("none", {}, "None"),
        ("none", CONTEXT, "{'model': 'large', 'other': 1}"),
        ("keys", None, "None"),
        ("keys", {"other": 1}, "None"),
        ("keys", CONTEXT, "{'model': 'large'}"),
        ("data", None, DATA.format("small", 1)),
        ("data", {}, DATA.format("small", 1)),
        ("data", {"other": 1}, DATA.format("small", 1)),
        ("data", CONTEXT, DATA.format("large", 1)),
        ("required_data", CONTEXT, "RequiredData(model='large')"),
        ("model", None, MODEL.format("small", 1, 1)),
        ("model", {"other": 1}, MODEL.format("small", 1, 1)),
        ("model", CONTEXT | {"inner": {"depth": 5}}, MODEL.format("large", 5, 1)),
        ("model", {"modelSize": 7}, MODEL.format("small", 1, 7)),
        ("model", {"size": 7}, MODEL.format("small", 1, 7)),
        ("strict", CONTEXT, "Strict(model='large')"),
        ("none", {"ceilings": {"max_steps": 9}}, "None"),
    ],
)
async def test_the_context_has_the_type_of_its_schema(
    sdk: Client, schema: str, sent: dict[str, Any] | None, received: str
) -> None:
    by_context = await sdk.runs.wait(None, f"context_{schema}", input={}, context=sent)
    assert by_context == {"context": received, "subgraph": received}
    if sent:
        configured = {"configurable": sent}
        assert await sdk.runs.wait(None, f"context_{schema}", input={}, config=configured) == by_context


@pytest.mark.parametrize("sent", [None, {}, {"other": 1}])
@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        ("context_required_data", "TypeError", "missing 1 required positional argument: 'model'"),
        ("context_strict", "ValidationError", "model: Field required"),
        ("context_declared", "TypeError", "missing 1 required positional argument: 'model'"),
    ],
)
async def test_a_missing_required_field_fails_the_run_at_its_first_attempt(
    sdk: Client, graph: str, error: str, message: str, sent: dict[str, Any] | None
) -> None:
    thread = await new_thread(sdk)
    result = await sdk.runs.wait(thread, graph, input={}, context=sent, raise_error=False)
    assert result["__error__"]["error"] == error
    assert message in result["__error__"]["message"]
    (run,) = await sdk.runs.list(thread)
    assert (run["status"], run["attempt"]) == ("error", 1)


async def test_the_context_of_a_request_overrides_that_of_the_assistant(sdk: Client) -> None:
    for defaults in ({"context": CONTEXT}, {"config": {"configurable": CONTEXT}}):
        assistant_id = (await sdk.assistants.create("context_none", **defaults))["assistant_id"]
        assert (await sdk.runs.wait(None, assistant_id, input={}))["context"] == str(CONTEXT)
        overridden = await sdk.runs.wait(None, assistant_id, input={}, context={"model": "huge"})
        assert overridden["context"] == str(CONTEXT | {"model": "huge"})
    assistant_id = (await sdk.assistants.create("context_data", context=CONTEXT))["assistant_id"]
    assert (await sdk.runs.wait(None, assistant_id, input={}))["context"] == DATA.format("large", 1)


async def test_headers_for_graphs_do_not_appear_in_the_context(client: httpx.AsyncClient) -> None:
    body = {"assistant_id": "context_none", "input": {}}
    response = await client.post("/runs/wait", json=body, headers={"baggage": "langsmith-project=x"})
    assert response.json()["context"] == "None"


async def test_a_run_of_the_event_protocol_receives_its_context(sdk: Client, client: httpx.AsyncClient) -> None:
    for graph, received in (("context_none", str(CONTEXT)), ("context_data", DATA.format("large", 1))):
        thread = await new_thread(sdk)
        params = {"assistant_id": graph, "input": {}, "config": {"configurable": CONTEXT}}
        command = {"id": 1, "method": "run.start", "params": params}
        started = (await client.post(f"/threads/{thread}/commands", json=command)).json()
        values = await sdk.runs.join(thread, started["result"]["run_id"])
        assert values["context"] == received


async def test_a_factory_receives_the_declared_class_or_a_dict(sdk: Client) -> None:
    declared = await sdk.runs.wait(None, "context_declared", input={}, context=CONTEXT)
    assert declared["factory"] == "RequiredData(model='large')"
    assert (await sdk.runs.wait(None, "context_undeclared", input={}))["factory"] == "{}"
    undeclared = await sdk.runs.wait(None, "context_undeclared", input={}, config={"configurable": CONTEXT})
    assert undeclared["factory"] == str(CONTEXT)
