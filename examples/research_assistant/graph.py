"""The research-assistant graph."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from examples.research_assistant.nodes import after_rank, assign_documents, compare, extract, plan, rank, widen
from examples.research_assistant.state import Context, DocumentTask, Input, Output, State
from examples.research_assistant.write import write


def build() -> CompiledStateGraph[State, Context, Input, Output]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    builder.add_node("plan", plan)
    builder.add_node("extract", extract, input_schema=DocumentTask)
    builder.add_node("compare", compare)
    builder.add_node("rank", rank)
    builder.add_node("widen", widen)
    builder.add_node("write", write)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", assign_documents, ["extract", "compare"])
    builder.add_edge("extract", "rank")
    builder.add_edge("compare", "rank")
    builder.add_conditional_edges("rank", after_rank, ["widen", "write"])
    builder.add_conditional_edges("widen", assign_documents, ["extract", "compare"])
    builder.add_edge("write", END)
    return builder.compile(name="research_assistant")


graph = build()
