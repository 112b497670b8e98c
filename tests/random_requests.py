"""Random requests generated from /openapi.json, to every operation of a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

EXAMPLES: Final = 8
ENDLESS: Final = ("/stream", "/wait", "/join")
"""Endpoints whose response may last as long as an existing run or thread."""


@dataclass
class ExistingIds:
    """Ids of records that exist, so that requests reach more code than the check for unknown ids."""

    thread_id: str
    run_id: str
    assistant_id: str
    checkpoint_id: str = "1ef4f797-8335-6428-8001-8a1503f9b875"
    graph_id: str = "steps"


@dataclass
class Responses:
    """Number of responses by status code, and the problems found in them."""

    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    forbidden: str | None = None
    """A text that no response may have, except where the request had it."""


def request_all(
    document: dict[str, Any],
    url: str,
    ids: ExistingIds,
    headers: Mapping[str, str] | None = None,
    forbidden: str | None = None,
    examples: int = EXAMPLES,
) -> Responses:
    """Sends `examples` requests to each operation, with these headers."""
    responses, schema = Responses(forbidden=forbidden), schemathesis.openapi.from_dict(document)
    with requests.Session() as session:
        session.headers.update(headers or {})
        for operation in schema.get_all_operations():
            assert isinstance(operation, Ok), operation
            request_one(operation.ok(), url, ids, session, responses, examples)
    return responses


def request_one(
    operation: Any, url: str, ids: ExistingIds, session: requests.Session, responses: Responses, examples: int
) -> None:
    valid, invalid = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    cases = st.one_of(valid, valid, invalid)
    declared = {int(status) for status in operation.definition.raw["responses"]}

    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, use_existing_ids=st.booleans())
    def request(case: Any, use_existing_ids: bool) -> None:
        if use_existing_ids and operation.method != "delete" and not operation.path.endswith(ENDLESS):
            for name in case.path_parameters or {}:
                case.path_parameters[name] = getattr(ids, name, case.path_parameters[name])
        if isinstance(case.body, dict):
            if "assistant_id" in case.body and not operation.path.endswith(ENDLESS):
                case.body["assistant_id"] = ids.assistant_id
            if "graph_id" in case.body:
                case.body["graph_id"] = ids.graph_id
        response = case.call(base_url=url, session=session, timeout=30)
        responses.statuses[response.status_code] += 1
        if responses.forbidden is not None and responses.forbidden in response.text:
            responses.problems.append(f"{operation.method} {operation.path} reveals {responses.forbidden}")
        description = f"{operation.method.upper()} {case.formatted_path} {str(case.body)[:200]}: {response.status_code}"
        if response.status_code not in declared or (response.status_code >= 500 and response.status_code != 503):
            responses.problems.append(f"{description} {response.text[:200]}")
        elif response.status_code >= 400 and not isinstance(
            response.json().get("detail", response.json().get("ready")), str | bool
        ):
            responses.problems.append(f"{description} has no text in `detail`: {response.text[:200]}")

    request()
