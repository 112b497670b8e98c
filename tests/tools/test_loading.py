"""The sections of langgraph.json: what is wrong is an error at the start, with file and line."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError, ToolRefused
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.health.release_checks import project_problems
from slipway.reviews.node_check import check_review_nodes
from slipway.tool_gateway.loading import load_tools
from slipway.tool_gateway.registry import ToolRegistry

CODE = '''
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
import slipway.tools

async def pay(order: str) -> str:
    """Pay."""
    return order

@slipway.tools.tool(access="write", approval="always", secrets=["A"], timeout_s=5, version="2")
async def strict(order: str) -> str:
    """Strict."""
    return order

def rule(args):
    return args["order"] == "x"

value = 5

def endless(order: str):
    yield order

inner = StateGraph(dict).add_node("act", lambda s: {}).add_edge(START, "act").compile()
def make():
    return StateGraph(dict).add_node("made", lambda s: {}).add_edge(START, "made").compile()

graph = StateGraph(dict).add_node("chat", lambda s: {}).add_node("team", inner).add_edge(START, "chat").compile()
'''


def project(folder: Path, *, graph: str = "graph", **slipway: Any) -> Path:
    """A project with these sections. Each member of the file has a line of its own."""
    name = f"code_{abs(hash(str(folder)))}"
    (folder / f"{name}.py").write_text(CODE)
    text = json.dumps({"graphs": {"desk": f"./{name}.py:{graph}"}, "slipway": slipway}, indent=1)
    (folder / "langgraph.json").write_text(text.replace("./c.py", f"./{name}.py"))
    return folder / "langgraph.json"


async def load(folder: Path, **slipway: Any) -> ToolRegistry:
    """The tools of a project with these sections."""
    config = project(folder, **slipway)
    return await load_tools(read(config), await Registry.load(config))


GRANT = {"effect": "permit", "graph": "desk", "tools": ["pay"]}
PAY = {"source": "./c.py:pay", "access": "write"}


STRICT_READ = {"source": "./c.py:pay", "access": "read", "secrets": ["A"]}


def grants(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"tools": {"pay": PAY}, "grants": [GRANT | change for change in changes]}


def tools(**changes: dict[str, Any]) -> dict[str, Any]:
    return {"tools": changes}


@pytest.mark.parametrize(
    ("sections", "line", "problem"),
    [
        (grants({}, {"tools": ["pay", "pai"]}), 25, "slipway.grants[1].tools[1]: there is no tool 'pai'; did you mean"),
        (grants({"graph": "desc"}), 15, "slipway.grants[0].graph: there is no graph 'desc'; did you mean 'desk'?"),
        (
            grants({"nodes": ["chatt"]}),
            20,
            "grants[0].nodes[0]: there is no node 'chatt' in 'desk'; did you mean 'chat'",
        ),
        (grants({"nodes": ["team/akt"]}), 20, "there is no node 'team/akt' in 'desk'; did you mean 'act'?"),
        (tools(pay={"access": "read"}), 7, "slipway.tools.pay: no code declares this tool"),
        (tools(pay={"source": "./c.py:value"}), 8, "slipway.tools.pay.source: "),
        (tools(pay={"source": "./c.py:endless"}), 8, "a generator cannot be a tool"),
        (tools(pay={"source": "./c.py:payy"}), 8, "cannot be loaded"),
        (tools(pay=PAY | {"approval": "nobody"}), 10, "slipway.tools.pay.approval: there is no policy 'nobody'"),
        (tools(pay=PAY | {"approval": "./c.py:value"}), 10, "must be a function of the arguments"),
        (tools(pay=PAY | {"fallback": "pai"}), 10, "slipway.tools.pay.fallback: there is no tool 'pai'; did you mean"),
        (tools(pay=PAY | {"args_schema": {"type": "number!"}}), 7, "invalid schema"),
        (tools(strict={"access": "read"}), 8, "slipway.tools.strict.access: must be 'write', as the code declares"),
        (tools(strict={"approval": "never"}), 8, "'never' is less strict than 'always', which the code declares"),
        (tools(strict={"secrets": ["B"]}), 8, "slipway.tools.strict.secrets: the code must declare 'B' as well"),
        (tools(strict={}, pay=STRICT_READ), 11, "A is a secret of 'pay', which reads, and of 'strict', which writes"),
        (tools(pay=PAY, other=PAY), 11, "tool 'other': its function is the tool 'pay' already"),
    ],
)
async def test_errors_name_file_and_line(tmp_path: Path, sections: dict[str, Any], line: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)) as raised:
        await load(tmp_path, **sections)
    assert str(raised.value).startswith(f"langgraph.json:{line}: ")


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"tools": {"pay": {"acess": "read"}}}, "slipway.tools.pay.acess: unknown key; did you mean 'access'?"),
        ({"tools": {"pay": {"access": "reads"}}}, "slipway.tools.pay.access: unknown 'reads'; did you mean 'read'?"),
        ({"grants": [GRANT | {"effect": "allow"}]}, "slipway.grants[0].effect: unknown 'allow'"),
        ({"grants": [{"effect": "permit", "graph": "desk"}]}, "slipway.grants[0].tools: is required"),
    ],
)
async def test_errors_of_the_format_name_the_key(tmp_path: Path, sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        await load(tmp_path, **sections)


@pytest.mark.parametrize("graph", ["desk", "*"])
async def test_a_release_checks_the_nodes_of_a_graph_with_a_factory(tmp_path: Path, graph: str) -> None:
    rules = grants({"graph": graph, "nodes": ["made"]}, {"graph": graph, "nodes": ["mad"]})
    config = project(tmp_path, graph="make", **rules)
    [problem] = await project_problems(read(config), await Registry.load(config))
    where = "slipway.grants[1].nodes[0]: there is no node 'mad' in 'desk'; did you mean 'made'?"
    assert where in problem
    assert problem.startswith("langgraph.json:")


async def test_a_function_of_a_module_that_was_imported_twice_is_the_same_tool(tmp_path: Path) -> None:
    """As `tools` and as `src.tools`, for example. Outside of a run, no tool is executed."""
    config = project(tmp_path, tools={"pay": PAY})
    graphs = await Registry.load(config)
    (file,) = tmp_path.glob("*.py")
    spec = importlib.util.spec_from_file_location("imported_twice", file)
    assert spec is not None
    assert spec.loader is not None
    twin = importlib.util.module_from_spec(spec)
    sys.modules[twin.__name__] = twin
    spec.loader.exec_module(twin)
    assert await twin.pay("a") == "a"
    await load_tools(read(config), graphs)
    with pytest.raises(ToolRefused, match="tool 'pay' was called outside of a run"):
        await twin.pay("a")
    spec.loader.exec_module(twin)  # as `importlib.reload` does
    with pytest.raises(ToolRefused, match="tool 'pay' was called outside of a run"):
        await twin.pay("a")
    del sys.modules[twin.__name__]


async def test_two_tools_of_one_line_with_one_name_are_an_error(tmp_path: Path) -> None:
    config = project(tmp_path)
    (file,) = tmp_path.glob("*.py")
    twice = (
        "\ndef make(access):\n    async def same(order: str) -> str: ...\n    slipway.tools.tool(access=access)(same)\n"
    )
    file.write_text(CODE + twice + 'make("read")\nmake("write")\n')
    with pytest.raises(ConfigError, match=r"tool 'same' is declared twice at .*\.py:\d+, with different options"):
        await load_tools(read(config), await Registry.load(config))


async def test_the_file_adds_to_what_the_code_declares(tmp_path: Path) -> None:
    more = {"timeout_s": 9, "retries": 1, "redact": ["order"], "secrets": []}
    tools = await load(tmp_path, tools={"strict": more, "pay": {"source": "./c.py:pay", "approval": "./c.py:rule"}})
    strict, pay = tools.find("strict").definition, tools.find("pay").definition
    assert (strict.version, strict.timeout_s, strict.retries, strict.redact) == ("2", 5, 1, ("order",))
    assert (strict.approval.kind, strict.secrets, strict.writes) == ("always", frozenset(), True)
    assert (pay.access, pay.approval.kind) == ("write", "predicate"), "a tool that does not say so counts as write"


async def test_without_sections_there_is_no_policy(tmp_path: Path) -> None:
    tools = await load(tmp_path)
    assert tools.policy.decide("desk", ("chat",), "strict").permitted
    with_grants = await load(tmp_path, grants=[])
    assert not with_grants.policy.decide("desk", ("chat",), "strict").permitted


async def test_a_secret_of_both_identities_must_be_named_twice(tmp_path: Path) -> None:
    read_tool = {"source": "./c.py:pay", "access": "read", "secrets": ["A"]}
    tools = await load(tmp_path, tools={"strict": {"secrets": ["A"]}, "pay": read_tool})
    assert tools.find("pay").definition.secrets == tools.find("strict").definition.secrets == {"A"}


async def test_the_policy_of_reviews_of_an_unknown_node_is_an_error_with_its_line(tmp_path: Path) -> None:
    policies = {"desk": {"nodes": {"chat": {"due_s": 5}, "chatt": {"quorum": 2}}}}
    await load(tmp_path, reviews=policies)
    config = read(tmp_path / "langgraph.json")
    problem = r"^langgraph\.json:12: slipway\.reviews\.desk\.nodes\.chatt: .* did you mean 'chat'\?"
    with pytest.raises(ConfigError, match=problem):
        await check_review_nodes(config, await Registry.load(config.file))
