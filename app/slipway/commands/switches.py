"""The commands of switches: `slipway node`, `slipway tool`, `slipway graph`, `slipway pause`, `slipway unpause` and
`slipway switches`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, TypeVar

import typer

from slipway.clock import Clock
from slipway.commands.lists import printable
from slipway.commands.operator_commands import By, Config, Reason, execute, opened, operator, operator_settings
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.run_operations.operations import Operator
from slipway.settings import Settings
from slipway.switches.record import EVERYTHING, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore

_Result = TypeVar("_Result")

FindTarget = Callable[[Settings], Awaitable[Target]]

node: Final = typer.Typer(no_args_is_help=True, help="Switches nodes of graphs off and on.")
tool: Final = typer.Typer(no_args_is_help=True, help="Switches tools off and on.")
graph: Final = typer.Typer(no_args_is_help=True, help="Switches graphs off and on, and compares versions.")

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="The name of the graph in langgraph.json.")]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The name of the node, also of one in a subgraph.")]
Tool = Annotated[str, typer.Argument(metavar="TOOL", help="The name of the tool.")]


def add_to(cli: typer.Typer) -> None:
    """Adds these commands to the command line."""
    for name, group in (("node", node), ("tool", tool), ("graph", graph)):
        cli.add_typer(group, name=name)
    for command in (pause, unpause, switches):
        cli.command()(command)


@node.command("disable")
def disable_node(graph_id: Graph, name: Node, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """Runs of the graph pause before the node, within a second, until it is enabled."""
    _switch_off(config, _node(graph_id, name), operator(by, reason))


@node.command("enable")
def enable_node(graph_id: Graph, name: Node, by: By = None, config: Config = None) -> None:
    """The runs that have paused before the node continue."""
    _switch_on(config, _node(graph_id, name), operator(by, None))


@tool.command("disable")
def disable_tool(name: Tool, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """Runs of all graphs pause before they call the tool, within a second, until it is enabled."""
    _switch_off(config, _tool(name), operator(by, reason))


@tool.command("enable")
def enable_tool(name: Tool, by: By = None, config: Config = None) -> None:
    """The runs that have paused before the tool continue."""
    _switch_on(config, _tool(name), operator(by, None))


@graph.command("disable")
def disable_graph(graph_id: Graph, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """All runs of the graph pause before their next superstep, and no new ones are accepted."""
    _switch_off(config, _graph(graph_id), operator(by, reason))


@graph.command("enable")
def enable_graph(graph_id: Graph, by: By = None, config: Config = None) -> None:
    """The runs of the graph continue."""
    _switch_on(config, _graph(graph_id), operator(by, None))


def pause(reason: Reason = None, by: By = None, config: Config = None) -> None:
    """All runs pause before their next superstep. New ones are accepted, and wait."""
    _switch_off(config, _everything, operator(by, reason))


def unpause(by: By = None, config: Config = None) -> None:
    """All runs continue that `slipway pause` has paused."""
    _switch_on(config, _everything, operator(by, None))


def switches(config: Config = None) -> None:
    """Lists what is switched off, by whom and why."""
    settings = load_settings_and_logs("switches", config)
    off = execute(lambda: _with_store(settings, lambda store: store.all()))
    lines = [printable(f"{switch.off_since}  {switch}") for switch in off.all()]
    typer.echo("\n".join(lines) or "nothing is switched off")


def _node(graph_id: str, name: str) -> FindTarget:
    async def find(settings: Settings) -> Target:
        from slipway.graphs.registry import Registry
        from slipway.run_operations.switch_targets import node_target

        return await node_target(await Registry.load(settings.config, release=settings.release), graph_id, name)

    return find


def _tool(name: str) -> FindTarget:
    async def find(settings: Settings) -> Target:
        from slipway.graphs.langgraph_json import read
        from slipway.graphs.registry import Registry
        from slipway.mcp_servers.project_registry import load_project_tools
        from slipway.run_operations.switch_targets import tool_target

        graphs = await Registry.load(settings.config, release=settings.release)
        tools = await load_project_tools(read(settings.config), graphs)
        return tool_target(tools.registry, name)

    return find


def _graph(graph_id: str) -> FindTarget:
    async def find(settings: Settings) -> Target:
        from slipway.graphs.registry import Registry
        from slipway.run_operations.switch_targets import graph_target

        return graph_target(await Registry.load(settings.config, release=settings.release), graph_id)

    return find


async def _everything(settings: Settings) -> Target:
    return EVERYTHING


def _switch_off(config: Config, find: FindTarget, who: Operator) -> None:
    settings = operator_settings("switches", config)

    async def switch_off() -> str:
        target = await find(settings)
        result = await _with_store(
            settings, lambda store: store.switch_off(target, by=who.by, reason=who.reason), may_be_first=True
        )
        since = "" if result.changed else f" since {result.switch.off_since}"
        return f"{result.switch}{since}{_pending(result.pending_shards, 'pause')}"

    typer.echo(execute(switch_off))


def _switch_on(config: Config, find: FindTarget, who: Operator) -> None:
    settings = operator_settings("switches", config)

    async def switch_on() -> str:
        target = await find(settings)
        result = await _with_store(settings, lambda store: store.switch_on(target, by=who.by))
        text = f"{target} is on" if result.changed else f"{target} was on (nothing to change)"
        return text + _pending(result.pending_shards, "continue")

    typer.echo(execute(switch_on))


def _pending(shards: Sequence[int], does: str) -> str:
    """A line about shards that could not be reached, if there are any."""
    if not shards:
        return ""
    return f"\nshards {', '.join(map(str, shards))} could not be reached: their runs {does} when they can be"


async def _with_store(
    settings: Settings, operation: Callable[[SwitchStore], Awaitable[_Result]], *, may_be_first: bool = False
) -> _Result:
    async with opened(settings, "switches", may_be_first=may_be_first) as (pipeline, shards):
        return await operation(SwitchStore(SwitchScripts(pipeline, shards), Clock()))
