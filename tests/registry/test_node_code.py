"""What is read from the code of nodes: where they pause, and which prompts and models they declare."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Annotated, Any

import langgraph.types
import pytest
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from typing_extensions import TypedDict

import tests.registry.conftest
from slipway.errors import ConfigError
from slipway.graphs.read_structure import structure_of
from slipway.graphs.structure import GraphStructure, NodeStructure
from slipway.nodes import uses
from slipway.tool_gateway.instrumentation import instrument_function, instrument_tool


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def node_of(code: Any) -> NodeStructure:
    graph = StateGraph(State).add_node("node", code).add_edge(START, "node").compile()
    return structure_of(graph).nodes["node"]


@task
def price(item: str) -> int:
    return len(item)


@task
def approve(item: str) -> Any:
    return interrupt(item)


def ask(question: str) -> Any:
    return interrupt(question)


def once(state: State) -> Any:
    return {"log": [interrupt("a")]}


async def once_async(state: State) -> Any:
    return {"log": [interrupt("a")]}


def through_the_module(state: State) -> Any:
    return {"log": [langgraph.types.interrupt("a")]}


def imported_inside(state: State) -> Any:
    from langgraph.types import interrupt as wait_for_answer

    return {"log": [wait_for_answer("a")]}


def through_a_function(state: State) -> Any:
    return {"log": [ask("a"), price("b"), ask("c")]}


def in_every_block(state: State) -> Any:
    answers = [interrupt(each) for each in state["log"]]
    while not interrupt("more"):
        answers.append(lambda: interrupt("never"))
    try:
        answers.append(interrupt("try"))
    except ValueError:
        answers.append(price("x"))
    finally:
        answers.append(interrupt("finally"))
    return {"log": answers}


def calls_itself(state: State) -> Any:
    interrupt("a")
    return calls_itself(state) if state else {}


def through_a_class(state: State) -> Any:
    return Desk.node(DESK, state)


def through_a_package(state: State) -> Any:
    return {"log": [tests.registry.conftest.SIMPLE, tests.registry.test_node_code.ask("a")]}


TABLE: dict[str, Callable[[State], Any]] = {"a": once, "b": through_a_function}


def from_a_table(state: State) -> Any:
    return TABLE["a"](state)


def with_keyword(state: State, *, question: Callable[[str], Any]) -> Any:
    return {"log": [question("a")]}


def decorated_by_project(function: Callable[[State], Any]) -> Callable[[State], Any]:
    @functools.wraps(function)
    def wrapped(state: State) -> Any:
        return function(state)

    return wrapped


class Desk:
    def __init__(self) -> None:
        self.helper = ask

    def node(self, state: State) -> Any:
        return {"log": [self.first(), self.helper("b")]}

    def first(self) -> Any:
        return interrupt("first")

    @staticmethod
    def static(state: State) -> Any:
        return interrupt("static")

    @property
    def costly(self) -> Any:
        raise AssertionError("properties of the project are not called")


class Callee:
    def __call__(self, state: State) -> Any:
        return {"log": [interrupt("called")]}


class OwnRunnable(Runnable[Any, Any]):
    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return {"log": [interrupt("invoked"), DESK.costly]}


DESK = Desk()


@pytest.mark.parametrize(
    ("code", "pauses"),
    [
        (once, ("interrupt",)),
        (once_async, ("interrupt",)),
        (through_the_module, ("interrupt",)),
        (imported_inside, ("interrupt",)),
        (through_a_function, ("interrupt", "task price", "interrupt")),
        (in_every_block, ("interrupt",) * 4 + ("task price", "interrupt")),
        (calls_itself, ("interrupt",)),
        (through_a_class, ("interrupt",)),
        (through_a_package, ("interrupt",)),
        (from_a_table, ("interrupt", "interrupt", "task price", "interrupt")),
        (functools.partial(with_keyword, question=interrupt), ("interrupt",)),
        (decorated_by_project(once), ("interrupt",)),
        (DESK.node, ("interrupt", "interrupt")),
        (DESK.static, ("interrupt",)),
        (Callee(), ("interrupt",)),
        (OwnRunnable(), ("interrupt",)),
        (RunnableLambda(once) | RunnableLambda(once_async), ("interrupt", "interrupt")),
        (RunnableParallel(a=RunnableLambda(once), b=RunnableLambda(lambda state: 1)), ("interrupt",)),
        (RunnableLambda(once).with_config(tags=["a"]), ("interrupt",)),
        (RunnableLambda(once).with_fallbacks([RunnableLambda(once)]), ("interrupt", "interrupt")),
        (lambda state: approve("x"), ("task approve (interrupt)",)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_pauses_of_a_node_are_read_in_the_order_of_its_text(code: Any, pauses: tuple[str, ...]) -> None:
    assert node_of(code).pauses == pauses


def test_the_tools_of_a_tool_node_pause_under_their_names() -> None:
    @tool
    def refund(amount: int) -> str:
        """Refunds."""
        return str(interrupt(amount))

    @tool
    def look_up(order: str) -> str:
        """Looks up."""
        return order

    assert node_of(ToolNode([refund, look_up])).pauses == ("tool refund: interrupt",)


def test_a_function_whose_calls_pass_the_gateway_has_the_pauses_of_its_own_code() -> None:
    def pay(amount: int) -> Any:
        return interrupt(amount)

    def node(state: State) -> Any:
        return {"log": [pay(3)]}

    before = node_of(node)
    instrument_function(pay)
    assert node_of(node) == before
    assert before.pauses == ("interrupt",)

    @tool
    def refund(amount: int) -> str:
        """Refunds."""
        return str(interrupt(amount))

    tools = node_of(ToolNode([refund]))
    instrument_tool(refund)
    assert node_of(ToolNode([refund])) == tools


def test_an_entrypoint_has_the_order_of_its_tasks() -> None:
    @entrypoint()
    def flow(item: str) -> Any:
        cost = price(item).result()
        interrupt(cost)
        return approve(item).result()

    structure = structure_of(flow)
    assert structure.api == "functional"
    assert structure.nodes["flow"].pauses == ("task price", "interrupt", "task approve (interrupt)")


def test_a_graph_that_a_function_calls_is_a_pause() -> None:
    child = StateGraph(State).add_node("leaf", once).add_edge(START, "leaf").compile(name="child")

    def node(state: State) -> Any:
        interrupt("before")
        return child.invoke(state)

    found = node_of(node)
    assert found.pauses == ("interrupt", "subgraph child")
    assert found.subgraph is not None
    assert found.subgraph.nodes["leaf"].pauses == ("interrupt",)


def test_comments_docstrings_and_lines_do_not_count() -> None:
    text = "def node(state):\n    interrupt('a')\n    price('b')\n"
    moved = (
        "\ndef node(state):\n    'Asks.'\n\n    # first\n    answer = interrupt('other')\n    return price(answer)\n"
    )
    found = []
    for each in (text, moved):
        names: dict[str, Any] = {"interrupt": interrupt, "price": price, "__name__": "project"}
        exec(compile(each, "project.py", "exec"), names)
        found.append(node_of(names["node"]).pauses)
    assert found[0] == found[1] == ("interrupt", "task price")


def test_a_changed_order_changes_the_fingerprint() -> None:
    def first(state: State) -> Any:
        interrupt("a")
        price("b")

    def second(state: State) -> Any:
        price("b")
        interrupt("a")

    one, two = (
        structure_of(StateGraph(State).add_node("node", code).add_edge(START, "node").compile())
        for code in (first, second)
    )
    assert one.fingerprint != two.fingerprint


# prompts and models


@uses(prompts={"shared": "2"})
def shared() -> None:
    pass


@uses(prompts={"letter": "7"}, models=["openai:gpt-5"])
def draft(state: State) -> Any:
    shared()
    return {}


@uses(models=["anthropic:claude"])
class Drafter(Runnable[Any, Any]):
    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return {}


@uses(prompts={"letter": "7"}, models=["openai:gpt-5"])
async def draft_async(state: State) -> Any:
    return {}


@pytest.mark.parametrize(
    ("code", "prompts", "models"),
    [
        (draft, {"letter": "7", "shared": "2"}, ("openai:gpt-5",)),
        (draft_async, {"letter": "7"}, ("openai:gpt-5",)),
        (functools.partial(draft), {"letter": "7", "shared": "2"}, ("openai:gpt-5",)),
        (uses(models=["a:b"])(functools.partial(once)), {}, ("a:b",)),
        (decorated_by_project(draft), {"letter": "7", "shared": "2"}, ("openai:gpt-5",)),
        (Drafter(), {}, ("anthropic:claude",)),
        (uses(models=["a:b"])(RunnableLambda(once)), {}, ("a:b",)),
        (RunnableLambda(draft) | RunnableLambda(once), {"letter": "7", "shared": "2"}, ("openai:gpt-5",)),
        (uses(models=["a:b"])(uses(models=["c:d"])(Callee())), {}, ("a:b", "c:d")),
    ],
)
def test_declared_prompts_and_models_are_read(code: Any, prompts: dict[str, str], models: tuple[str, ...]) -> None:
    found = node_of(code)
    assert (found.prompts, found.models) == (prompts, models)


def test_prompts_and_models_do_not_change_the_fingerprint_but_the_structure_has_them() -> None:
    def graph(version: str) -> GraphStructure:
        @uses(prompts={"letter": version}, models=["openai:gpt-5"])
        def node(state: State) -> Any:
            return {}

        return structure_of(StateGraph(State).add_node("node", node).add_edge(START, "node").compile())

    old, new = graph("1"), graph("2")
    assert old != new
    assert old.fingerprint == new.fingerprint
    assert GraphStructure.from_json(new.to_json()) == new


def test_a_declaration_that_cannot_be_read_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"models is a string: write \['openai:gpt-5'\]"):
        uses(models="openai:gpt-5")
    with pytest.raises(ConfigError, match=r"prompts\['letter'\] is 7: expected its version"):
        uses(prompts={"letter": 7})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match=r"method Desk\.node cannot be marked"):
        uses(models=["a:b"])(DESK.node)
    with pytest.raises(ConfigError, match="an object of type int cannot be marked"):
        uses(models=["a:b"])(3)
