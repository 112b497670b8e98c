"""`slipway tools` lists the tools of the project; `slipway tools pin` stores and compares the list of an MCP server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from slipway.commands.operator_commands import NOT_POSSIBLE, Config, execute
from slipway.commands.tool_list import as_json, as_table, read_tools
from slipway.errors import ConfigError, SecretMissing
from slipway.processes.settings_and_logs import load_settings_and_logs

if TYPE_CHECKING:
    from slipway.graphs.langgraph_json import LangGraphJson
    from slipway.mcp_servers.pinned_list import PinnedList

tools: Final = typer.Typer(invoke_without_command=True, help="Lists tools, and pins the lists of MCP servers.")


@tools.callback()
def list_all(
    context: typer.Context,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each tool.")] = False,
) -> None:
    """Lists the tools of the project: who may call them, and whether calls are made now; or pins a list."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings_and_logs("tools", config)
    found = execute(lambda: read_tools(settings))
    typer.echo(as_json(found) if json else as_table(found))


@tools.command()
def pin(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="The name of the server in slipway.mcp.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare; exit code 1 if the list has changed.")] = False,
    config: Config = None,
) -> None:
    """Stores the tools that an MCP server offers now, and prints the hash to set as `pinned`. Read the file first: its
    texts reach the model."""
    settings = load_settings_and_logs("tools pin", config)
    from slipway.graphs import loading
    from slipway.graphs.langgraph_json import read
    from slipway.mcp_servers.connection import require_mcp
    from slipway.mcp_servers.pinned_list import PinnedList
    from slipway.value_problems import did_you_mean

    project = read(settings.config)
    if server not in project.mcp:
        raise ConfigError(f"there is no MCP server {server!r} in slipway.mcp{did_you_mean(server, project.mcp)}")
    require_mcp()
    loading.prepare(project)
    try:
        found = asyncio.run(_list_of(project, server))
    except (ConnectionError, SecretMissing) as error:
        typer.echo(f"slipway: {error}", err=True)
        raise typer.Exit(NOT_POSSIBLE) from error
    before = _stored(project, server)
    difference = (before or PinnedList(())).difference_to(found)
    if check:
        if difference:
            typer.echo(f"slipway: the list of {server} is not the pinned one: {difference}", err=True)
            raise typer.Exit(NOT_POSSIBLE)
        typer.echo(f"the list of {server} is the pinned one")
        return
    file = found.write(project.folder, server)
    typer.echo(f"{difference or 'nothing changed'}; stored in {file}")
    typer.echo(f'set in slipway.mcp.{server} of {project.file.name}: "pinned": "{found.hash}"')


async def _list_of(project: LangGraphJson, server: str) -> PinnedList:
    from slipway.mcp_servers.connection import McpConnection
    from slipway.mcp_servers.servers import secrets_of

    section = project.mcp[server]
    connection = McpConnection(server, section, project.folder, secrets_of(server, section))
    await connection.open()
    try:
        return await connection.list_tools()
    finally:
        await connection.close()


def _stored(project: LangGraphJson, server: str) -> PinnedList | None:
    """None if none is pinned."""
    from slipway.mcp_servers.pinned_list import read_pinned

    try:
        return read_pinned(project.folder, server, project.file.name, project.mcp[server].pinned)
    except ConfigError:
        return None
