"""A request that makes sense for every route, and what becomes of it when what it names is somebody else's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RUN = {"assistant_id": "greet", "input": {"text": "hi"}, "after_seconds": 3600}
CRON = RUN | {"schedule": "0 0 1 1 *", "after_seconds": None}
NEW = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"


@dataclass(frozen=True, slots=True)
class Sample:
    """`hidden` is the status, and `says` the JSON, that somebody else gets; None does not matter."""

    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    hidden: int = 404
    says: Any = None


def samples(ids: dict[str, str]) -> dict[str, Sample]:
    """By method and path. `ids` are of things that exist."""
    thread, assistant, run = ids["thread_id"], ids["assistant_id"], ids["run_id"]
    item = {"namespace": ["n"], "key": "k"}
    return {
        # new things of one's own are fine for everybody; those that exist are in the way
        "POST /threads": Sample({"thread_id": thread, "if_exists": "do_nothing"}, hidden=409),
        "POST /assistants": Sample(
            {"graph_id": "greet", "assistant_id": assistant, "if_exists": "do_nothing"}, hidden=409
        ),
        "POST /threads/{thread_id}/copy": Sample(hidden=409),
        # lists and counts without the others'
        "POST /threads/search": Sample({}, hidden=200, says=[]),
        "POST /threads/count": Sample({}, hidden=200, says=0),
        "POST /assistants/search": Sample({"metadata": {"owner": "ann"}}, hidden=200, says=[]),
        "POST /assistants/count": Sample({"metadata": {"owner": "ann"}}, hidden=200, says=0),
        "POST /runs/crons/search": Sample({}, hidden=200, says=[]),
        "POST /runs/crons/count": Sample({}, hidden=200, says=0),
        "POST /threads/prune": Sample({"thread_ids": [thread]}, hidden=200, says={"pruned_count": 0}),
        "POST /runs/cancel": Sample({"thread_id": thread, "run_ids": [run]}),
        # the store is asked below everybody's own namespace
        "PUT /store/items": Sample(item | {"value": {"text": "dog"}}, hidden=204),
        "GET /store/items": Sample(query={"namespace": "n", "key": "k"}, hidden=200),
        "DELETE /store/items": Sample(item, hidden=204),
        "POST /store/items/search": Sample({"namespace_prefix": []}, hidden=200, says={"items": []}),
        "POST /store/namespaces": Sample({}, hidden=200, says={"namespaces": []}),
        # bodies
        "PATCH /threads/{thread_id}": Sample({"metadata": {"a": 1}}),
        "POST /threads/{thread_id}/state": Sample({"values": {"text": "x"}, "as_node": "say"}),
        "PATCH /threads/{thread_id}/state": Sample({"metadata": {"a": 1}}),
        "POST /threads/{thread_id}/state/checkpoint": Sample({"checkpoint": {}}),
        "POST /threads/{thread_id}/history": Sample({}),
        "PATCH /assistants/{assistant_id}": Sample({"name": "another"}),
        "POST /assistants/{assistant_id}/versions": Sample({}),
        "POST /assistants/{assistant_id}/latest": Sample({"version": 1}),
        "PATCH /runs/crons/{cron_id}": Sample({"enabled": False}),
        # runs: somebody else's thread, or somebody else's assistant
        "POST /threads/{thread_id}/runs": Sample(RUN),
        "POST /threads/{thread_id}/runs/stream": Sample(RUN),
        "POST /threads/{thread_id}/commands": Sample({"id": 1, "method": "agent.getTree", "params": {}}),
        "POST /threads/{thread_id}/stream/events": Sample({"channels": ["values"]}),
        "POST /threads/{thread_id}/runs/wait": Sample(RUN),
        "POST /threads/{thread_id}/runs/crons": Sample(CRON),
        "POST /runs": Sample(RUN | {"assistant_id": assistant}),
        "POST /runs/stream": Sample(RUN | {"assistant_id": assistant}),
        "POST /runs/wait": Sample(RUN | {"assistant_id": assistant}),
        "POST /runs/batch": Sample([RUN | {"assistant_id": assistant}]),
        "POST /runs/crons": Sample(CRON | {"assistant_id": assistant}),
        # pages
        "GET /": Sample(hidden=200),
        "GET /ui/recent": Sample(hidden=200),
        "GET /ui/graphs/{graph_id}": Sample(query={"from": run}),
        "GET /ui/threads/{thread_id}/runs/{run_id}/now": Sample(hidden=200, says={"gone": True}),
    }
