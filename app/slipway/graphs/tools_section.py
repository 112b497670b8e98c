"""The members of `slipway` in `langgraph.json` that say which tools exist, who may call them and who must approve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from slipway.graphs.official_sections import Whole
from slipway.graphs.project_objects import Source, Text
from slipway.graphs.review_sections import ReviewPolicySection
from slipway.graphs.strict_section import PositiveNumber, StrictSection

Access = Literal["read", "write"]

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""


def _approval(text: str) -> str:
    text = text.strip()
    if ":" in text and not all(text.rpartition(":")[::2]):
        raise ValueError(f"expected 'always', 'never', the name of a policy, or './file.py:function', found {text!r}")
    return text


Approval = Annotated[Text, AfterValidator(_approval)]
"""`always`, `never`, the name of a policy in `slipway.approval_policies`, or a predicate `./file.py:function`."""


class ToolSection(StrictSection):
    """`slipway.tools.NAME`: see `ToolDefinition` for what each member means. A member that is absent has the value that
    the project's code declares."""

    source: Source | None = None
    """The function or the LangChain tool. None if the project's code declares the tool with the decorator."""
    version: Text | None = None
    access: Access | None = None
    secrets: list[EnvironmentName] | None = None
    timeout_s: PositiveNumber | None = None
    retries: Annotated[Whole, Field(ge=0, le=10)] | None = None
    args_schema: dict[str, Any] | None = None
    result_schema: dict[str, Any] | None = None
    redact: list[Text] | None = None
    approval: Approval | None = None
    fallback: Text | None = None


class GrantSection(StrictSection):
    """One rule of `slipway.grants`."""

    effect: Literal["permit", "forbid"]
    graph: Text
    """A graph, or `*` for all."""
    nodes: Annotated[list[Text], Field(min_length=1)] | None = None
    """Nodes of the graph, with everything inside them. `agent/tools` is a node of the subgraph that the node `agent`
    executes. None means all nodes."""
    if_present: bool = False
    """The graph may lack the nodes, because its factory makes different graphs. Without it that is an error."""
    tools: Annotated[list[Text], Field(min_length=1)]
    """Tools, or `*` for all."""


class ApprovalPolicySection(ReviewPolicySection):
    """`slipway.approval_policies.NAME`: who must approve a call of a tool, and until when."""

    when: Source | None = None
    """A predicate over the arguments: `./file.py:function`. None means that each call needs approval."""
