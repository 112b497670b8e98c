"""What people can do about a run, with the exact command and route, and the permission that the route needs."""

from __future__ import annotations

import json
import shlex
from typing import Any, Final
from urllib.parse import quote

from slipway.access.operators import OPERATE, REVIEW
from slipway.errors import limit_name
from slipway.reviews.questions import DecisionKind
from slipway.reviews.record import Review
from slipway.runs.record import Phase, Run
from slipway.switches.record import Kind, Target
from slipway.waiting_reasons.record import Act

_OPERATOR: Final = "an operator"
_DEPLOYER: Final = "whoever deploys"


def _operation(run_id: str, name: str, body: str = "") -> str:
    return f"POST /ops/runs/{run_id}/{name}{f' {body}' if body else ''}"


def start_worker() -> Act:
    return Act("start a worker", _DEPLOYER, command="slipway worker")


def start_more_workers() -> Act:
    return Act("start more workers", _DEPLOYER, command="slipway worker --processes N")


def cancel(run: Run) -> Act:
    """Whoever may change the thread, or an operator, cancels the run."""
    return Act("cancel it", _OPERATOR, f"slipway runs cancel {run.run_id}", _operation(run.run_id, "cancel"), OPERATE)


def cancel_other(run_id: str) -> Act:
    return Act("cancel that run", _OPERATOR, f"slipway runs cancel {run_id}", _operation(run_id, "cancel"), OPERATE)


def pause(run: Run) -> Act:
    return Act("pause it", _OPERATOR, f"slipway runs pause {run.run_id}", _operation(run.run_id, "pause"), OPERATE)


def resume(run: Run) -> Act:
    return Act("resume it", _OPERATOR, f"slipway runs resume {run.run_id}", _operation(run.run_id, "resume"), OPERATE)


def resume_on(run: Run, version: str) -> Act:
    """Continues a paused run on one version of its graph."""
    command = f"slipway runs resume {run.run_id} --version {shlex.quote(version)}"
    route = _operation(run.run_id, "resume", '{"version": …}')
    return Act(f"resume it on version {version}", _OPERATOR, command, route, OPERATE)


def serve(graph_id: str, version: str | None) -> Act:
    """Workers that serve a version come from a checkout whose langgraph.json has it."""
    what = f"graph {graph_id}" if version is None else f"version {version} of graph {graph_id}"
    return Act(
        f"deploy workers that serve {what}", _DEPLOYER, command="slipway worker --config CHECKOUT/langgraph.json"
    )


def continue_on(run: Run, version: str) -> Act:
    """A queued run is paused first, then it continues on the version."""
    command = f"slipway runs pause {run.run_id} && {resume_on(run, version).command}"
    route = f'{_operation(run.run_id, "pause")}, then {_operation(run.run_id, "resume")} {{"version": …}}'
    return Act(f"let it continue on version {version}, which is served", _OPERATOR, command, route, OPERATE)


def move_thread(run: Run, to: str) -> Act:
    """Moves the thread with its queued and paused runs, if the verdict permits it."""
    graph, version = shlex.quote(run.graph_id), shlex.quote(to)
    command = f"slipway threads move --graph {graph} --to {version} --thread {run.thread_id}"
    return Act(f"move its thread to version {to}, which is served", _OPERATOR, command)


def switch_on(target: Target) -> Act:
    """Switches on what the run is paused before."""
    name, graph = quote(target.name, safe=""), quote(target.graph, safe="")
    route = {
        Kind.NODE: f"DELETE /ops/graphs/{graph}/nodes/{name}",
        Kind.TOOL: f"DELETE /ops/tools/{name}",
        Kind.GRAPH: f"DELETE /ops/graphs/{name}",
        Kind.ALL: "DELETE /ops/pause",
    }[target.kind]
    return Act(f"switch {target} on", _OPERATOR, target.command_to_enable, route, OPERATE)


def raise_limit(run: Run) -> Act | None:
    """Doubles the ceiling that ended the run, and continues it. None if no ceiling did, if its chain has continued, or
    if it was a budget."""
    error = (run.public_error if run.phase is Phase.FAILED and not run.resumed_by else None) or {}
    kind, _, code = str(error.get("code", "")).partition(".")
    name = limit_name(code)
    if kind != "ceiling" or name not in run.ceilings or error.get("scope"):
        return None
    limit = _plain(max(run.ceilings[name] * 2, run.ceilings[name] + 1))
    command = f"slipway runs raise-ceiling {run.run_id} --limit {name}={limit} --resume"
    body = f'{{"limits": {{"{name}": {limit}}}, "resume": true}}'
    return Act(f"raise {name} and continue it", _OPERATOR, command, _operation(run.run_id, "ceilings", body), OPERATE)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def retry(run: Run) -> Act:
    """Continues the chain from the last checkpoint, as a new run."""
    command, route = f"slipway runs retry {run.run_id}", _operation(run.run_id, "retry")
    return Act("retry it from its last checkpoint", _OPERATOR, command, route, OPERATE)


def skip_node(run: Run, node: str) -> Act:
    command = f"slipway runs skip-node {run.run_id} {shlex.quote(node)}"
    return Act(f"continue it without node {node}", _OPERATOR, command, _operation(run.run_id, "skip-node"), OPERATE)


def decide(review: Review, who: str) -> Act:
    """Decides a review, or votes, with the first kinds of decisions that its question allows."""
    question = review.question
    decisions = [_decision(question.allowed(number)[0]) for number in range(question.decisions)]
    body = decisions[0] if len(decisions) == 1 else {"decisions": decisions}
    text = json.dumps(body, ensure_ascii=False)
    argument = body["kind"] if set(body) == {"kind"} else shlex.quote(text)
    command = f"slipway reviews decide {review.review_id} {argument}"
    return Act("decide the review", who, command, f"POST /ops/reviews/{review.review_id}/decide {text}", REVIEW)


def _decision(kind: DecisionKind) -> dict[str, Any]:
    more = {DecisionKind.ANSWER: {"value": "…"}, DecisionKind.RESPOND: {"message": "…"}}
    return {"kind": kind.value} | more.get(kind, {})


def answer(run: Run) -> Act:
    """A new run on the thread, with the answer."""
    route = f'POST /threads/{run.thread_id}/runs {{"assistant_id": "{run.assistant_id}", "command": {{"resume": …}}}}'
    return Act("answer it", "a client of its owner", route=route, permission="threads:create_run")


def continue_from_breakpoint(run: Run) -> Act:
    """A new run on the thread, without input."""
    route = f'POST /threads/{run.thread_id}/runs {{"assistant_id": "{run.assistant_id}", "input": null}}'
    return Act("continue it", "a client of its owner", route=route, permission="threads:create_run")


def repair() -> Act:
    return Act("repair the records", _DEPLOYER, command="slipway doctor --repair")


def more_memory() -> Act:
    return Act(
        "give Redis more memory, or free some", _DEPLOYER, command="slipway checkpoints prune --dry-run --keep 5"
    )
