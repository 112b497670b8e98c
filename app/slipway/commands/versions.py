"""The commands of graph versions: `slipway versions` and `slipway drain`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from slipway.commands.lists import text_table
from slipway.commands.operator_commands import NOT_POSSIBLE, Config, execute, opened
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.graph_versions.needs_reads import VersionNeeds
    from slipway.graph_versions.record import KnownVersions

_AGAIN_S: Final = 2.0
"""Seconds between two reads of a drain that waits."""

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="The name of the graph in langgraph.json.")]
AnyGraph = Annotated[str | None, typer.Argument(metavar="GRAPH", help="By default all graphs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]


def add_to(cli: typer.Typer) -> None:
    """Adds these commands to the command line."""
    for command in (versions, drain):
        cli.command()(command)


def versions(graph_id: AnyGraph = None, as_json: AsJson = False, config: Config = None) -> None:
    """Lists the versions of graphs: how many live workers serve each, and how many runs wait for one."""
    settings = load_settings_and_logs("versions", config)
    known = execute(lambda: _read(settings))
    shown = [known.public(version) for version in known.versions if graph_id in (None, version.graph_id)]
    if as_json:
        typer.echo("\n".join(dumps(each).decode() for each in shown))
        return
    typer.echo(_table(shown) if shown else "no worker or web process has registered a version yet")
    unserved = [lane for lane in known.lanes if not lane.is_served and graph_id in (None, lane.graph_id)]
    for lane in unserved:
        name = lane.graph_id if lane.version is None else f"{lane.graph_id}@{lane.version}"
        typer.echo(f"no live worker serves {name}: {lane.jobs} waiting, the oldest for {lane.oldest_s:.0f} s")


def drain(
    graph_id: Graph,
    version: Annotated[str, typer.Option(help="The version whose workers are to be stopped.")],
    wait: Annotated[bool, typer.Option("--wait", help="Waits until nothing needs the version.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Says what still needs a version. The exit code is 0 when nothing does: then its workers can be stopped for
    good."""
    settings = load_settings_and_logs("drain", config)

    def show(needs: VersionNeeds) -> None:
        typer.echo(dumps(needs.public()).decode() if as_json else _sentence(graph_id, version, needs))

    needs = execute(lambda: _drained(settings, graph_id, version, wait, show))
    if needs.total:
        sys.exit(NOT_POSSIBLE)


async def _read(settings: Settings) -> KnownVersions:
    from slipway.graph_versions.scripts import VersionScripts

    async with opened(settings, "versions", seals=False) as (pipeline, shards):
        return await VersionScripts(pipeline, shards).read()


async def _drained(
    settings: Settings, graph_id: str, version: str, wait: bool, show: Callable[[VersionNeeds], None]
) -> VersionNeeds:
    """What needs the version; with `wait`, nothing does any more. `show` is called for each change."""
    from slipway.graph_versions.needs_reads import NeedsReads
    from slipway.graph_versions.scripts import VersionScripts
    from slipway.graphs.langgraph_json import read
    from slipway.run_operations.rollout_versions import VersionNeed

    graphs = read(settings.config).graphs
    async with opened(settings, "drain", seals=False) as (pipeline, shards):
        (await VersionScripts(pipeline, shards).read()).get(graph_id, version)
        need, before = VersionNeed(graphs, NeedsReads(pipeline, shards)), None
        while True:
            needs = await need.of(graph_id, version)
            if needs != before:
                show(needs)
            if not wait or not needs.total:
                return needs
            before = needs
            await asyncio.sleep(_AGAIN_S)


def _sentence(graph_id: str, version: str, needs: VersionNeeds) -> str:
    """What needs the version, for people."""
    if not needs.total:
        return f"nothing needs {graph_id}@{version}: its workers can be stopped"
    parts = (
        (needs.queued, "queued"),
        (needs.running, "running"),
        (needs.paused, "paused"),
        (needs.waiting, "waiting for an answer"),
    )
    runs = ", ".join(f"{count} {what}" for count, what in parts if count)
    texts = [f"runs: {runs}"] if runs else []
    texts += [f"threads that are pinned to it: {needs.threads}"] if needs.threads else []
    way = f"slipway threads move --graph {graph_id} --from {version} --to VERSION"
    return f"{graph_id}@{version} is still needed: {'; '.join(texts)}. Wait for them, or move their threads: {way}"


def _table(shown: Sequence[dict[str, object]]) -> str:
    columns = ("graph", "version", "since", "workers", "waiting_runs", "schema", "build")
    rows = [tuple("-" if each[name] is None else str(each[name]) for name in columns) for each in shown]
    return text_table([tuple(name.replace("_", " ") for name in columns), *rows])
