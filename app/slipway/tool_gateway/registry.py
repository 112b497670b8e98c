"""All tools of a project, and the policy of who may call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import ToolArgumentsInvalid, ToolRefused, ToolResultInvalid
from slipway.graphs.tools_section import ApprovalPolicySection
from slipway.json_schemas import SchemaValidator, joined_path
from slipway.tool_gateway.definition import Args, ToolDefinition
from slipway.tool_gateway.grant_nodes import UncheckedNodes
from slipway.tool_gateway.grants import Policy
from slipway.tool_gateway.target import ToolTarget
from slipway.value_problems import did_you_mean


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredTool:
    """A tool: its definition, the function or LangChain tool, and its compiled schemas."""

    definition: ToolDefinition
    target: ToolTarget
    args_validators: Sequence[SchemaValidator]
    result_validators: Sequence[SchemaValidator]

    @property
    def name(self) -> str:
        return self.definition.name

    def check_args(self, args: Args) -> None:
        """Raises `ToolArgumentsInvalid`, which names the argument."""
        for validator in self.args_validators:
            if (problem := validator.problem(dict(args))) is not None:
                path = joined_path(problem.path) or "arguments"
                raise ToolArgumentsInvalid(f"tool {self.name!r}: {path}: {problem.message}", self.name)

    def check_result(self, result: object) -> None:
        """Raises `ToolResultInvalid`. `result` is JSON."""
        for validator in self.result_validators:
            if (problem := validator.problem(result)) is not None:
                path = joined_path(problem.path) or "result"
                raise ToolResultInvalid(f"tool {self.name!r} returned {path}: {problem.message}", self.name)


class ToolRegistry:
    """The tools of a project by name. Immutable."""

    def __init__(
        self,
        tools: Mapping[str, RegisteredTool],
        policy: Policy,
        approval_policies: Mapping[str, ApprovalPolicySection],
        unchecked_nodes: UncheckedNodes,
    ) -> None:
        self.tools, self.policy, self.approval_policies = tools, policy, approval_policies
        self.unchecked_nodes = unchecked_nodes
        self._by_langchain_name = {tool.target.langchain_tool.name: tool.name for tool in tools.values()}

    def name_of(self, langchain_name: str) -> str | None:
        """The name under which a LangChain tool with this name is registered. None if it is not."""
        return langchain_name if langchain_name in self.tools else self._by_langchain_name.get(langchain_name)

    def find(self, name: str) -> RegisteredTool:
        """Raises `ToolRefused` for a name that is not registered, with a similar one."""
        try:
            return self.tools[name]
        except KeyError:
            hint = did_you_mean(name, self.tools)
            raise ToolRefused(f"there is no tool {name!r} in this project{hint}", name) from None


NO_TOOLS = ToolRegistry({}, Policy(None), {}, {})
