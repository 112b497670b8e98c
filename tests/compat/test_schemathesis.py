"""Requests made at random from /openapi.json: never a 5xx but 503, never a status that the document does not declare,
and every refusal says why in a string."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.compat.conftest import Client
from tests.http.conftest import Served

EXAMPLES: Final = 8
ENDLESS: Final = ("/stream", "/wait", "/join")
"""Endpoints that may never answer a run or thread that exists."""


@dataclass
class Known:
    """What exists, so that requests come further than `unknown id`."""

    thread_id: str
    run_id: str
    assistant_id: str
    checkpoint_id: str = "1ef4f797-8335-6428-8001-8a1503f9b875"
    graph_id: str = "steps"


@dataclass
class Seen:
    """What was answered, and what was wrong with it."""

    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def try_all(document: dict[str, Any], url: str, known: Known) -> Seen:
    """A bounded number of requests to every operation."""
    seen, schema = Seen(), schemathesis.openapi.from_dict(document)
    with requests.Session() as session:
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            try_one(found.ok(), url, known, session, seen)
    return seen


def try_one(operation: Any, url: str, known: Known, session: requests.Session, seen: Seen) -> None:
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    cases = st.one_of(good, good, bad)
    declared = {int(status) for status in operation.definition.raw["responses"]}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real=st.booleans())
    def try_it(case: Any, real: bool) -> None:
        if real and operation.method != "delete" and not operation.path.endswith(ENDLESS):
            for name in case.path_parameters or {}:
                case.path_parameters[name] = getattr(known, name, case.path_parameters[name])
        if isinstance(case.body, dict):
            if "assistant_id" in case.body and not operation.path.endswith(ENDLESS):
                case.body["assistant_id"] = known.assistant_id
            if "graph_id" in case.body:
                case.body["graph_id"] = known.graph_id
        answer = case.call(base_url=url, session=session, timeout=10)
        seen.statuses[answer.status_code] += 1
        what = f"{operation.method.upper()} {case.formatted_path} {str(case.body)[:200]}: {answer.status_code}"
        if answer.status_code not in declared or (answer.status_code >= 500 and answer.status_code != 503):
            seen.problems.append(f"{what} {answer.text[:200]}")
        elif answer.status_code >= 400 and not isinstance(
            answer.json().get("detail", answer.json().get("ready")), str | bool
        ):
            seen.problems.append(f"{what} has no detail: {answer.text[:200]}")

    try_it()


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("worker")
async def test_what_is_declared_is_what_is_answered(served: Served, sdk: Client, client: httpx.AsyncClient) -> None:
    thread = (await sdk.threads.create(graph_id="steps"))["thread_id"]
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    assistant = await sdk.assistants.create("steps")
    known = Known(thread, (await sdk.runs.list(thread))[0]["run_id"], assistant["assistant_id"])
    document = (await client.get("/openapi.json")).json()
    seen = await asyncio.to_thread(try_all, document, served.url, known)
    assert not seen.problems, "\n".join(seen.problems[:20])
    assert seen.statuses[200] > 50
    assert seen.statuses[422] + seen.statuses[404] > 50
    assert seen.statuses.total() > 300
