"""A valid request for every route, and the response to it if the records belong to another user."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RUN = {"assistant_id": "greet", "input": {"text": "hi"}, "after_seconds": 3600}
CRON = RUN | {"schedule": "0 0 1 1 *", "after_seconds": None}
NEW = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"


@dataclass(frozen=True, slots=True)
class Sample:
    """The body and query of a request. Another user gets the status `hidden_status`, and the JSON `hidden_json` unless
    it is None."""

    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    hidden_status: int = 404
    hidden_json: Any = None


def samples(ids: dict[str, str]) -> dict[str, Sample]:
    """The samples by method and path. `ids` are those of existing records."""
    thread, assistant, run = ids["thread_id"], ids["assistant_id"], ids["run_id"]
    item = {"namespace": ["n"], "key": "k"}
    return {
        # every user may create records, but not with an id that exists
        "POST /threads": Sample({"thread_id": thread, "if_exists": "do_nothing"}, hidden_status=409),
        "POST /assistants": Sample(
            {"graph_id": "greet", "assistant_id": assistant, "if_exists": "do_nothing"}, hidden_status=409
        ),
        "POST /threads/{thread_id}/copy": Sample(hidden_status=409),
        # lists and counts without records of other users
        "POST /threads/search": Sample({}, hidden_status=200, hidden_json=[]),
        "POST /threads/count": Sample({}, hidden_status=200, hidden_json=0),
        "POST /assistants/search": Sample({"metadata": {"owner": "ann"}}, hidden_status=200, hidden_json=[]),
        "POST /assistants/count": Sample({"metadata": {"owner": "ann"}}, hidden_status=200, hidden_json=0),
        "GET /ops/runs": Sample(hidden_status=200, hidden_json={"runs": [], "next": None}),
        "POST /runs/crons/search": Sample({}, hidden_status=200, hidden_json=[]),
        "POST /runs/crons/count": Sample({}, hidden_status=200, hidden_json=0),
        "POST /threads/prune": Sample({"thread_ids": [thread]}, hidden_status=200, hidden_json={"pruned_count": 0}),
        "POST /runs/cancel": Sample({"thread_id": thread, "run_ids": [run]}),
        # each user has a namespace of the store
        "PUT /store/items": Sample(item | {"value": {"text": "dog"}}, hidden_status=204),
        "GET /store/items": Sample(query={"namespace": "n", "key": "k"}, hidden_status=200),
        "DELETE /store/items": Sample(item, hidden_status=204),
        "POST /store/items/search": Sample({"namespace_prefix": []}, hidden_status=200, hidden_json={"items": []}),
        "POST /store/namespaces": Sample({}, hidden_status=200, hidden_json={"namespaces": []}),
        # operators
        "POST /ops/runs/{run_id}/pause": Sample({}),
        "POST /ops/runs/{run_id}/resume": Sample({}),
        "POST /ops/runs/{run_id}/cancel": Sample({}),
        "POST /ops/runs/{run_id}/retry": Sample({}),
        "POST /ops/runs/{run_id}/ceilings": Sample({"limits": {"max_steps": 1000}}),
        "POST /ops/runs/{run_id}/skip-node": Sample({"node": "say"}),
        "POST /ops/runs/{run_id}/edit-state": Sample({"values": {"text": "x"}, "as_node": "say"}),
        "PUT /ops/graphs/{graph_id}/nodes/{node}": Sample({}),
        "PUT /ops/graphs/{graph_id}": Sample({}),
        "PUT /ops/tools/{tool}": Sample({}),
        "PUT /ops/pause": Sample({}),
        "POST /ops/keys": Sample({"scopes": ["runs:read"]}),
        "PUT /ops/rollouts/{graph_id}": Sample({"versions": {"2": 10}}),
        "POST /ops/rollouts/{graph_id}/promote": Sample({"version": "2"}),
        "POST /ops/rollouts/{graph_id}/rollback": Sample({}),
        "DELETE /ops/rollouts/{graph_id}": Sample({}),
        "POST /ops/hooks/{hook}/deliveries/{delivery}/replay": Sample({}),
        "POST /ops/deliveries/replay": Sample({"type": "run.failed"}),
        "POST /ops/deliveries/{delivery_id}/replay": Sample({}),
        "POST /ops/webhooks": Sample({"url": "https://hooks.example.com/", "types": ["run.*"]}),
        "PATCH /ops/webhooks/{endpoint_id}": Sample({"types": ["run.failed"]}),
        "POST /ops/webhooks/{endpoint_id}/rotate": Sample({}),
        "POST /ops/webhooks/{endpoint_id}/enable": Sample({}),
        "POST /ops/webhooks/{endpoint_id}/disable": Sample({}),
        "POST /ops/webhooks/{endpoint_id}/test": Sample({}),
        "POST /ops/reviews/{review_id}/reassign": Sample({"assignee": "bob"}),
        "POST /ops/reviews/{review_id}/comment": Sample({"text": "why?"}),
        "POST /ops/reviews/{review_id}/request-information": Sample({"text": "which one?"}),
        "POST /ops/reviews/{review_id}/decide": Sample({"kind": "approve"}),
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
        # runs: on a thread, or with an assistant, of another user
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
        "GET /": Sample(hidden_status=200),
        "GET /ui/recent": Sample(hidden_status=200),
        "GET /ui/graphs/{graph_id}": Sample(query={"from": run}),
        "GET /ui/threads/{thread_id}/runs/{run_id}/now": Sample(hidden_status=200, hidden_json={"deleted": True}),
    }
