"""Ceilings: whether something stops a loop, a retry, a run that takes too long, and a bill."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from slipway.accounting.limits import Limits, ceilings_of
from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.known_structures import KnownStructure, known_structures
from slipway.go_live.line import Line, failed, passed, warned
from slipway.graphs.recursion_limit import default_recursion_limit
from slipway.graphs.spec import GraphSpec

MANY_STEPS: Final = 2000
"""Supersteps above which a loop costs much before it is stopped."""
MANY_ATTEMPTS: Final = 20
MANY_RETRIES: Final = 200
LONG_S: Final = 24 * 3600.0
MANY_TOOL_CALLS: Final = 1000

_PROVIDERS: Final = (
    *("langchain_openai", "langchain_anthropic", "langchain_google_genai", "langchain_google_vertexai"),
    *("langchain_aws", "langchain_mistralai", "langchain_groq", "langchain_ollama", "langchain_cohere"),
    *("langchain_deepseek", "langchain_xai", "langchain_fireworks", "langchain_together", "langchain_litellm"),
    *("openai", "anthropic", "litellm", "google.genai", "mistralai", "groq", "ollama", "cohere"),
)
"""Packages whose import says that the project's code may call models on its own."""


async def _graphs(inputs: Inputs) -> Sequence[Line]:
    failures = inputs.loaded.graphs.failures()
    lines = [
        failed(
            "project.graphs",
            f"cannot be served: {' '.join(why.split())}",
            "mend the code, then `slipway release`",
            name,
        )
        for name, why in failures.items()
    ]
    if lines:
        return lines
    names = inputs.loaded.graphs.names()
    return [passed("project.graphs", f"all graphs load: {', '.join(names)}")]


def _limits(inputs: Inputs, graph_id: str) -> Limits:
    return ceilings_of(inputs.settings, inputs.project.graphs[graph_id].ceilings, {})


def _member(graph_id: str, name: str, value: object) -> str:
    return f'"slipway": {{"graphs": {{"{graph_id}": {{"ceilings": {{"{name}": {value}}}}}}}}}'


async def _loops(inputs: Inputs) -> Sequence[Line]:
    lines, fine = [], []
    async for known in known_structures(inputs):
        if problem := _loop_problem(inputs, known):
            lines.append(problem)
        else:
            fine.append(known)
    if lines or not fine:
        return lines or [_no_graph("ceilings.loops")]
    looping = sorted({each.graph_id for each in fine if each.loops})
    limits = sorted({f"{_limits(inputs, each.graph_id)['max_steps']:g}" for each in fine}, key=float)
    which = f"; with loops: {', '.join(looping)}" if looping else ""
    return [passed("ceilings.loops", f"at most {' or '.join(limits)} supersteps a chain of runs{which}")]


def _loop_problem(inputs: Inputs, known: KnownStructure) -> Line | None:
    code, graph_id = "ceilings.loops", known.graph_id
    limit = _limits(inputs, graph_id)["max_steps"]
    recursion, where = _recursion_limit(inputs.project.graphs[graph_id], known)
    if recursion < limit:
        found = (
            f"{where} is {recursion}, below max_steps {limit:g}: LangGraph ends the run with GraphRecursionError, "
            "which no ceiling code names"
        )
        return warned(code, found, _member(graph_id, "max_steps", recursion), graph_id)
    if known.loops and limit > MANY_STEPS:
        found = f"a loop executes {limit:g} supersteps before it is stopped"
        return warned(code, found, _member(graph_id, "max_steps", 200), graph_id)
    return None


def _recursion_limit(spec: GraphSpec, known: KnownStructure) -> tuple[int, str]:
    """What LangGraph uses for a run whose request names none, and who says so."""
    of_graph: Any = None if known.graph is None else (known.graph.config or {}).get("recursion_limit")
    if of_assistant := spec.config.get("recursion_limit"):
        return int(of_assistant), "recursion_limit in LANGGRAPH_CONFIG"
    if of_graph:
        return int(of_graph), "recursion_limit of the graph (with_config)"
    return default_recursion_limit(), "LANGGRAPH_DEFAULT_RECURSION_LIMIT"


async def _retries(inputs: Inputs) -> Sequence[Line]:
    code, lines, seen = "ceilings.retries", [], set()
    async for known in known_structures(inputs):
        limits, graph_id = _limits(inputs, known.graph_id), known.graph_id
        seen.add(f"{limits['max_attempts']:g} attempts of a run and {limits['max_retries']:g} retries of nodes")
        if limits["max_attempts"] > MANY_ATTEMPTS:
            found = f"a run that kills its worker is tried {limits['max_attempts']:g} times"
            lines.append(warned(code, found, _member(graph_id, "max_attempts", 5), graph_id))
        elif limits["max_retries"] > MANY_RETRIES:
            found = f"nodes are retried {limits['max_retries']:g} times in a chain of runs"
            lines.append(warned(code, found, _member(graph_id, "max_retries", 20), graph_id))
        elif known.retries() - 1 > limits["max_retries"]:
            found = (
                f"a retry policy permits {known.retries() - 1} retries, and max_retries {limits['max_retries']:g} ends "
                "the run before"
            )
            lines.append(warned(code, found, _member(graph_id, "max_retries", known.retries() - 1), graph_id))
    return lines or ([passed(code, "at most " + " or ".join(sorted(seen)))] if seen else [_no_graph(code)])


async def _time(inputs: Inputs) -> Sequence[Line]:
    code, lines, seen = "ceilings.time", [], set()
    for graph_id in inputs.project.graphs:
        limits = _limits(inputs, graph_id)
        seen.add(f"{limits['max_step_s']:g} s a superstep and {limits['max_active_s']:g} s a chain of runs")
        if limits["max_active_s"] > LONG_S:
            found = f"a chain of runs may work for {limits['max_active_s'] / 3600:g} hours"
            lines.append(warned(code, found, _member(graph_id, "max_active_s", 3600), graph_id))
        elif limits["max_step_s"] > limits["max_active_s"]:
            found = (
                f"max_step_s {limits['max_step_s']:g} is above max_active_s {limits['max_active_s']:g}, so nothing "
                "ends a superstep that hangs before the whole chain ends"
            )
            lines.append(warned(code, found, _member(graph_id, "max_step_s", 600), graph_id))
    return lines or [passed(code, "at most " + " or ".join(sorted(seen)))]


async def _spend(inputs: Inputs) -> Sequence[Line]:
    code, lines = "ceilings.spend", []
    for graph_id in inputs.project.graphs:
        limits = _limits(inputs, graph_id)
        if limits["max_tool_calls"] > MANY_TOOL_CALLS:
            found = f"a chain of runs may make {limits['max_tool_calls']:g} calls of tools"
            lines.append(warned(code, found, _member(graph_id, "max_tool_calls", 100), graph_id))
        if _is_limited(inputs, graph_id):
            continue
        if reason := _models_of(inputs, graph_id):
            found = f"nothing limits what models cost: {reason}"
            lines.append(warned(code, found, _member(graph_id, "max_tokens", 200_000), graph_id))
    if lines:
        return lines
    limited = [name for name in inputs.project.graphs if _is_limited(inputs, name)]
    unlimited = [name for name in inputs.project.graphs if name not in limited]
    what = [f"tokens or money are limited for: {', '.join(limited)}"] if limited else []
    what += [f"no model and no known package of a provider is used by: {', '.join(unlimited)}"] if unlimited else []
    return [passed(code, "; ".join([*what, "calls of tools are limited"]))]


def _is_limited(inputs: Inputs, graph_id: str) -> bool:
    limits = _limits(inputs, graph_id)
    return "max_tokens" in limits or "max_cost_usd" in limits or _has_budget(inputs, graph_id)


def _has_budget(inputs: Inputs, graph_id: str) -> bool:
    """Whether a budget limits the tokens or the money of the graph, or of each owner."""
    budgets = inputs.project.budgets
    periods = [budgets.owner, budgets.graphs.get(graph_id, budgets.graph)]
    limits = [limit for each in periods for limit in (*each.day.limits(), *each.month.limits())]
    return "tokens" in limits or "cost_usd" in limits


def _models_of(inputs: Inputs, graph_id: str) -> str:
    """Why the graph may call models; empty if nothing says so."""
    if inputs.settings.model is not None:
        return "SLIPWAY_MODEL is set"
    if inputs.project.models.by_graph.get(graph_id) or inputs.project.models.routes:
        return "langgraph.json has model routes"
    if loaded := _imported(_PROVIDERS):
        return f"the project imports {loaded}"
    return ""


def _imported(packages: Iterable[str]) -> str:
    return next((name for name in packages if name in sys.modules), "")


def _no_graph(code: str) -> Line:
    return warned(code, "not checked: no graph could be loaded", "mend the line project.graphs")


PART: Final = Part(
    "ceilings",
    "Loops, retries and costs",
    (
        Check({"project.graphs": "Whether every graph of langgraph.json can be loaded."}, _graphs),
        Check(
            {
                "ceilings.loops": "Whether something ends a loop: `max_steps` of each graph, compared with LangGraph's "
                "`recursion_limit`."
            },
            _loops,
        ),
        Check(
            {"ceilings.retries": "Attempts of runs, retries of nodes, and the retry policies of the code."}, _retries
        ),
        Check({"ceilings.time": "Seconds of a superstep and of a chain of runs."}, _time),
        Check({"ceilings.spend": "Tokens, money and calls of tools, where models can be called."}, _spend),
    ),
    needs_code=True,
)
