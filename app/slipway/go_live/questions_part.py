"""Questions and answers: whether a run that asks a person can wait, is answered in time, and can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from slipway.deploy_checks.run_check import run_check
from slipway.go_live.check import Check, Part
from slipway.go_live.counted import counted
from slipway.go_live.inputs import Inputs
from slipway.go_live.known_structures import known_structures
from slipway.go_live.line import Line, failed, passed, warned
from slipway.graphs.review_policy import ReviewPolicy
from slipway.graphs.verdict import VerdictKind
from slipway.runs.search import RunQuery, RunSearch

MOST_THREADS: Final = 20_000
THREADS_WITHIN_S: Final = 15.0
"""So many stored threads are compared with the code, in so many seconds at most."""

RECENT_RUNS: Final = 100
_CHECKS: Final = 2000


async def _checkpointer(inputs: Inputs) -> Sequence[Line]:
    code, lines, asking, unread = "interrupts.checkpointer", [], [], []
    async for known in known_structures(inputs):
        if known.structure is None:
            unread.append(known.graph_id)
        if known.pausing_nodes():
            asking.append(known.graph_id)
        for name in known.forgetful_nodes():
            found = f"the subgraph {name} has checkpointer=False: what it had done is repeated after an answer"
            lines.append(warned(code, found, "compile it without checkpointer=False", known.graph_id))
    lines += [_unread(code, graph_id) for graph_id in dict.fromkeys(unread)]
    names = ", ".join(dict.fromkeys(asking))
    what = f"interrupts are stored for: {names}" if names else "no graph asks people with interrupt()"
    return lines or [passed(code, f"{what}; Slipway's checkpointer ({inputs.settings.checkpointer}) serves all graphs")]


async def _durability(inputs: Inputs) -> Sequence[Line]:
    """Whether graphs are called with durability `exit`: that is an option of requests, so runs are looked at."""
    code = "durability.runs"
    search = RunSearch(inputs.pipeline, inputs.shards, max_checks=_CHECKS)
    runs = (await search.page(RunQuery(), limit=RECENT_RUNS)).runs
    if not runs:
        return [warned(code, "not checked: there is no run yet, and requests choose their durability", "start a run")]
    graphs = sorted({run.graph_id for run in runs if run.options.durability == "exit"})
    if not graphs:
        return [
            passed(
                code,
                f"{counted(len(runs), 'run')} looked at, the last ones: a checkpoint is stored after each superstep",
            )
        ]
    return [
        warned(
            code,
            "clients start runs with durability exit: a crash repeats them from the start, and tools that write are "
            "refused",
            'leave out "durability", or send "async"',
            graph_id,
        )
        for graph_id in graphs
    ]


async def _policies(inputs: Inputs) -> Sequence[Line]:
    lines: list[Line] = []
    found = 0
    async for name, policy, where in _asked(inputs):
        found += 1
        lines += _policy_lines(name, policy, where)
    codes = {"reviews.policy": "may decide", "reviews.due": "ends", "reviews.escalation": "is reminded of"}
    if not found:
        return [passed(code, "no graph asks people") for code in codes]
    seen = {line.code for line in lines}
    fine = {
        "reviews.policy": "a policy says who decides each question",
        "reviews.due": "each question has a due time",
        "reviews.escalation": "people are reminded of each question, or it is escalated",
    }
    return [*lines, *(passed(code, text) for code, text in fine.items() if code not in seen)]


async def _asked(inputs: Inputs) -> Any:
    """What asks people: its name, its policy, and where the policy is written."""
    seen = set()
    async for known in known_structures(inputs):
        reviews = inputs.project.graphs[known.graph_id].reviews
        for node in known.pausing_nodes():
            if (name := f"{known.graph_id}:{node}") not in seen:
                seen.add(name)
                yield name, reviews.of(node), f"slipway.reviews.{known.graph_id}"
    policies = inputs.project.tools.policies
    for name, section in policies.items():
        yield f"policy {name}", section.policy(name), f"slipway.approval_policies.{name}"
    tools = inputs.loaded.tools
    for tool in () if tools is None else tools.registry.tools.values():
        approval = tool.definition.approval
        decides_without_policy = approval.kind == "predicate" and not policies
        if not approval.policy_name and (approval.kind == "always" or decides_without_policy):
            yield tool.name, approval.policy.policy(), "slipway.approval_policies, and name the policy as its approval"


def _policy_lines(name: str, policy: ReviewPolicy, where: str) -> Iterator[Line]:
    if not policy.guarded:
        found = "whoever may answer runs may decide this question alone"
        yield warned("reviews.policy", found, f'"groups", "quorum" or "four_eyes" in {where}', name)
    if policy.due_s is None:
        yield warned("reviews.due", "waits for ever if nobody answers", f'"due_s" and "default" in {where}', name)
    if policy.remind_s is None and policy.escalate_s is None:
        yield warned("reviews.escalation", "nobody is reminded of it", f'"remind_s" or "escalate_s" in {where}', name)


async def _overdue(inputs: Inputs) -> Sequence[Line]:
    code, waiting = "reviews.overdue", inputs.health.waiting
    if waiting is None:
        return [warned(code, "not checked: Redis did not say which reviews wait", "slipway reviews --state open")]
    overdue = {name: number for name, number in waiting.overdue.items() if number}
    if overdue:
        names = ", ".join(f"{number} of {name}" for name, number in overdue.items())
        return [warned(code, f"their due time has come, and nobody has decided: {names}", "slipway reviews --due")]
    return [passed(code, f"{counted(sum(waiting.undecided.values()), 'review')} undecided, none after its due time")]


async def _resume(inputs: Inputs) -> Sequence[Line]:
    code, graphs = "threads.resume", inputs.loaded.graphs
    if graphs.failures():
        return [warned(code, "not checked: a graph cannot be loaded", "mend the line project.graphs")]
    report, _ = await run_check(
        inputs.settings,
        graphs,
        connection=(inputs.pipeline, inputs.shards),
        most=MOST_THREADS,
        within_s=THREADS_WITHIN_S,
    )
    if report.held:
        reasons = ", ".join(sorted(report.held_reasons()))
        return [
            failed(
                code,
                f"{counted(report.held, 'stored thread')} could not continue with this code: {reasons}",
                "slipway check-deploy",
            )
        ]
    if not report.complete:
        found = f"only {report.read} of {report.total} stored threads were compared with this code, none is held"
        return [warned(code, found, "slipway check-deploy compares all of them")]
    moved = report.count(VerdictKind.MIGRATE)
    migrates = f", {moved} of them after a migration" if moved else ""
    return [
        passed(code, f"{counted(report.read, 'stored thread')} compared, all could continue with this code{migrates}")
    ]


def _unread(code: str, graph_id: str) -> Line:
    return warned(code, "not checked: a factory builds this graph for each run", "read its code", graph_id)


PART: Final = Part(
    "questions",
    "Resuming and questions to people",
    (
        Check({"interrupts.checkpointer": "Whether what asks people can store where it was."}, _checkpointer),
        Check({"durability.runs": "Whether clients start runs that store nothing before their end."}, _durability),
        Check(
            {
                "reviews.policy": "Whether a policy says who may decide each question.",
                "reviews.due": "Whether each question has a due time.",
                "reviews.escalation": "Whether people are reminded of each question, or it is escalated.",
            },
            _policies,
        ),
        Check({"reviews.overdue": "Whether a question waits longer than it should."}, _overdue),
        Check({"threads.resume": "Whether stored threads could continue with the code in this folder."}, _resume),
    ),
    needs_code=True,
)
