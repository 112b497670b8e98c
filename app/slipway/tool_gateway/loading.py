"""Loads the tools of a project: what `langgraph.json` says and what the code declares, together, and all checks of
them. Every error names file and line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.graphs.known_graphs import known_graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.tools_section import GrantSection, ToolSection
from slipway.json_schemas import InvalidSchema, SchemaValidator
from slipway.tool_gateway.declarations import NO_OPTIONS, Declaration, ToolOptions, declarations_in
from slipway.tool_gateway.definition import Approval, Predicate, ToolDefinition
from slipway.tool_gateway.grant_nodes import UncheckedNodes, check_nodes_of_grants
from slipway.tool_gateway.grants import ALL, Grant, Policy
from slipway.tool_gateway.instrumentation import CannotInstrument
from slipway.tool_gateway.node_executions import follow_nodes
from slipway.tool_gateway.registry import RegisteredTool, ToolRegistry
from slipway.tool_gateway.repeated_imports import register_again
from slipway.tool_gateway.secrets import take_secrets
from slipway.tool_gateway.target import ToolTarget, prepare_tools_in
from slipway.value_problems import did_you_mean

_STRICTNESS: Final = {"never": 0, "predicate": 1, "always": 2}


async def load_tools(config: LangGraphJson, graphs: Graphs, others: Sequence[Declaration] = ()) -> ToolRegistry:
    """The tools of the project, and `others` that it gets from elsewhere. Its graphs are loaded already, so that their
    decorators were executed. Raises `ConfigError`."""
    unchecked = await check_nodes_of_grants(config, graphs)
    registry = await asyncio.to_thread(_ToolLoader(config, graphs.load_object, others, unchecked).load)
    if registry.tools or registry.policy.grants is not None:
        follow_nodes()
        register_again(tool.target for tool in registry.tools.values())
    _check_grants(config, registry)
    for graph_id in graphs.names():
        for graph in (await known_graphs(graphs, graph_id)).graphs:
            prepare_tools_in(graph)
    return registry


class _ToolLoader:
    def __init__(
        self,
        config: LangGraphJson,
        load_object: Callable[[str], object],
        others: Sequence[Declaration],
        unchecked: UncheckedNodes,
    ) -> None:
        self._config, self._load_object, self._others, self._unchecked = config, load_object, others, unchecked
        self._policies = config.tools.policies

    def load(self) -> ToolRegistry:
        sections, declared = self._config.tools.tools, self._declared()
        tools = {name: self._tool(name, sections.get(name), declared.get(name)) for name in [*declared, *sections]}
        for tool in tools.values():
            self._check_fallback(tool, tools)
        self._check_functions(tools.values())
        self._check_secrets([tool.definition for tool in tools.values()])
        take_secrets({name for tool in tools.values() for name in tool.definition.secrets})
        grants = [self._grant(index, section) for index, section in enumerate(self._config.tools.grants)]
        policy = Policy(grants if self._config.tools.has_policy else None)
        return ToolRegistry(tools, policy, self._policies, self._unchecked)

    def _reject(self, *path: str | int, problem: str) -> NoReturn:
        key = "slipway"
        for part in path:
            key += f"[{part}]" if isinstance(part, int) else f".{part}"
        raise ConfigError(f"{self._config.where('slipway', *path)}: {key}: {problem}")

    def _declared(self) -> dict[str, Declaration]:
        folders = [self._config.folder, *self._config.search_paths]
        declared: dict[str, Declaration] = {}
        for each in (*declarations_in(folders, self._config.file.name), *self._others):
            name = each.target.name
            if name in declared and declared[name].target.where != each.target.where:
                first, second = declared[name].target.where, each.target.where
                raise ConfigError(f"tool {name!r} is declared twice: {first} and {second}")
            if name in declared and declared[name].options.text != each.options.text:
                raise ConfigError(f"tool {name!r} is declared twice at {each.target.where}, with different options")
            declared[name] = each
        return declared

    def _tool(self, name: str, section: ToolSection | None, declared: Declaration | None) -> RegisteredTool:
        target = self._target(name, section, declared)
        definition = self._definition(name, section or ToolSection(), declared, target)
        try:
            args = [SchemaValidator(schema) for schema in definition.args_schemas]
            results = [SchemaValidator(schema) for schema in definition.result_schemas]
        except InvalidSchema as error:
            raise ConfigError(f"{definition.declared_at}: tool {name!r}: invalid schema: {error}") from None
        return RegisteredTool(definition, target, args, results)

    def _target(self, name: str, section: ToolSection | None, declared: Declaration | None) -> ToolTarget:
        source = None if section is None else section.source
        if source is None:
            if declared is None:
                self._reject(
                    "tools",
                    name,
                    problem="no code declares this tool: name it with source, as in './tools.py:function', or "
                    "decorate it with @slipway.tools.tool",
                )
            return declared.target
        try:
            found = self._load_object(source)
        except ConfigError as error:
            self._reject("tools", name, "source", problem=f"{source} cannot be loaded: {error}")
        if declared is not None:
            if found is not declared.target.target:
                where = declared.target.where
                self._reject("tools", name, "source", problem=f"{source} is not the tool that {where} declares")
            return declared.target
        try:
            return ToolTarget(name, found)
        except CannotInstrument as error:
            self._reject("tools", name, "source", problem=f"{source} cannot be a tool: {error}")

    def _definition(
        self, name: str, section: ToolSection, declared: Declaration | None, target: ToolTarget
    ) -> ToolDefinition:
        in_file, code = name in self._config.tools.tools, NO_OPTIONS if declared is None else declared.options
        if declared and section.secrets is not None and (more := set(section.secrets) - set(code.secrets)):
            self._reject("tools", name, "secrets", problem=f"the code must declare {sorted(more)[0]!r} as well")
        if code.access == "write" and section.access == "read":
            self._reject("tools", name, "access", problem="must be 'write', as the code declares")
        return ToolDefinition(
            name=name,
            declared_at=self._config.where("slipway", "tools", name) if in_file else target.where,
            version=section.version or code.version or "1",
            access=section.access or code.access or "write",
            secrets=frozenset(code.secrets if section.secrets is None else section.secrets),
            timeout_s=_least(section.timeout_s, code.timeout_s),
            retries=int(_least(section.retries, code.retries) or 0),
            args_schemas=_both(section.args_schema, code.args_schema),
            result_schemas=_both(section.result_schema, code.result_schema),
            redact=tuple(dict.fromkeys([*(section.redact or ()), *code.redact])),
            approval=self._approval(name, section, code),
            fallback=section.fallback or code.fallback,
            fingerprint=code.fingerprint,
        )

    def _approval(self, name: str, section: ToolSection, code: ToolOptions) -> Approval:
        of_code = self._rule(name, code.approval or "never")
        if section.approval is None:
            return of_code
        of_file = self._rule(name, section.approval)
        if _STRICTNESS[of_file.kind] < _STRICTNESS[of_code.kind]:
            problem = f"{section.approval!r} is less strict than {of_code.text!r}, which the code declares"
            self._reject("tools", name, "approval", problem=problem)
        return of_file

    def _rule(self, name: str, rule: str | Predicate) -> Approval:
        if not isinstance(rule, str):
            return Approval(getattr(rule, "__qualname__", "a function"), "predicate", rule)
        if rule in ("always", "never"):
            return Approval(rule, "always" if rule == "always" else "never")
        if ":" in rule:
            return Approval(rule, "predicate", self._predicate(rule, "tools", name, "approval"))
        policy = self._policies.get(rule)
        if policy is None:
            hint = did_you_mean(rule, ["always", "never", *self._policies])
            self._reject("tools", name, "approval", problem=f"there is no policy {rule!r}{hint}")
        if policy.when is None:
            return Approval(rule, "always", None, policy, rule)
        return Approval(
            rule, "predicate", self._predicate(policy.when, "approval_policies", rule, "when"), policy, rule
        )

    def _predicate(self, source: str, *path: str) -> Predicate:
        try:
            found: Any = self._load_object(source)
        except ConfigError as error:
            self._reject(*path, problem=f"{source} cannot be loaded: {error}")
        if not callable(found):
            self._reject(*path, problem=f"{source} must be a function of the arguments")
        predicate: Predicate = found
        return predicate

    def _check_functions(self, tools: Iterable[RegisteredTool]) -> None:
        """A function is one tool. Otherwise its calls could not be told apart."""
        names: dict[int, str] = {}
        for tool in tools:
            for entrance in tool.target.entrances:
                first = names.setdefault(id(entrance), tool.name)
                if first != tool.name:
                    problem = f"its function is the tool {first!r} already"
                    raise ConfigError(f"{tool.definition.declared_at}: tool {tool.name!r}: {problem}")

    def _check_fallback(self, tool: RegisteredTool, tools: Mapping[str, RegisteredTool]) -> None:
        fallback = tool.definition.fallback
        if fallback is None:
            return
        if fallback not in tools:
            problem = f"there is no tool {fallback!r}{did_you_mean(fallback, tools)}"
            self._reject("tools", tool.name, "fallback", problem=problem)
        if fallback == tool.name or tools[fallback].definition.fallback is not None:
            problem = "a fallback is another tool, and has none itself"
            self._reject("tools", tool.name, "fallback", problem=problem)

    def _check_secrets(self, definitions: Iterable[ToolDefinition]) -> None:
        """A secret of a tool that reads is no secret of one that writes, unless the file names it for both."""
        reads: dict[str, str] = {}
        writes: dict[str, str] = {}
        for definition in definitions:
            for secret in definition.secrets:
                (writes if definition.writes else reads)[secret] = definition.name
        for secret in sorted(reads.keys() & writes.keys()):
            pair = (reads[secret], writes[secret])
            if not all(secret in (self._section_secrets(name) or ()) for name in pair):
                self._reject(
                    "tools",
                    next((name for name in pair if name in self._config.tools.tools), pair[0]),
                    "secrets",
                    problem=f"{secret} is a secret of {pair[0]!r}, which reads, and of {pair[1]!r}, which writes: give "
                    "each its own identity, or name the secret in the sections of both",
                )

    def _section_secrets(self, name: str) -> Sequence[str] | None:
        section = self._config.tools.tools.get(name)
        return None if section is None else section.secrets

    def _grant(self, index: int, section: GrantSection) -> Grant:
        nodes = None if section.nodes is None else tuple(tuple(node.split("/")) for node in section.nodes)
        where = self._config.where("slipway", "grants", index)
        return Grant(index, where, section.effect, section.graph, nodes, frozenset(section.tools))


def _least(*limits: float | None) -> float | None:
    """The strictest of the limits that are set."""
    return min((limit for limit in limits if limit is not None), default=None)


def _both(*schemas: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    return tuple(schema for schema in schemas if schema is not None)


def _check_grants(config: LangGraphJson, registry: ToolRegistry) -> None:
    """Raises `ConfigError` for a tool or a graph that does not exist."""

    def reject(index: int, member: str, *rest: int, problem: str) -> NoReturn:
        at = "".join(f"[{part}]" for part in rest)
        where = config.where("slipway", "grants", index, member, *rest)
        raise ConfigError(f"{where}: slipway.grants[{index}].{member}{at}: {problem}")

    for index, section in enumerate(config.tools.grants):
        for place, tool in enumerate(section.tools):
            if tool not in (ALL, *registry.tools):
                reject(index, "tools", place, problem=f"there is no tool {tool!r}{did_you_mean(tool, registry.tools)}")
        if section.graph not in (ALL, *config.graphs):
            hint = did_you_mean(section.graph, config.graphs)
            reject(index, "graph", problem=f"there is no graph {section.graph!r}{hint}")
