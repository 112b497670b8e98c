"""`slipway graph diff` says in words what differs between two versions of a graph, and what can hold stored threads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from slipway.commands.graph_structures import (
    default_structures,
    structure_of_version,
    structures_of_file,
    write_json,
)
from slipway.commands.operator_commands import Config, execute
from slipway.errors import ConfigError
from slipway.graphs.structure_diff import Difference, Severity, differences
from slipway.processes.settings_and_logs import load_settings_and_logs

if TYPE_CHECKING:
    from slipway.graphs.structure import GraphStructure
    from slipway.settings import Settings

CAN_HOLD: Final = 1
"""The exit code if a difference can hold stored threads."""

_HEADINGS: Final = {
    Severity.THREADS: "can hold stored threads",
    Severity.CLIENTS: "can break clients",
    Severity.NONE: "changes nothing that is stored",
}

Pair = tuple[str, str, "GraphStructure", "GraphStructure"]
"""The names of an old and a new graph, and their structures."""

Old = Annotated[str, typer.Argument(metavar="OLD", help="A graph, graph@version, or the path of a langgraph.json.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="What to compare it with, in the same form.")]


def add_to(graph: typer.Typer) -> None:
    """Adds these commands to the group `slipway graph`."""
    graph.command()(diff)
    graph.command(hidden=True)(structures)


def diff(
    old: Old,
    new: New,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each difference.")] = False,
) -> None:
    """Says in words what differs between two versions of a graph. Exit code 1: a difference can hold stored threads."""
    if _is_file(old) != _is_file(new):
        raise ConfigError("compare two versions, or two paths of langgraph.json, not one with the other")
    if _is_file(old):
        pairs = execute(lambda: _pairs_of_files(old, new))
    else:
        settings = load_settings_and_logs("graph diff", config)
        pairs = execute(lambda: _pair_of_versions(settings, old, new))
    found = [(first, second, differences(before, after)) for first, second, before, after in pairs]
    for each in found:
        typer.echo(_as_json(*each) if json else as_text(*each))
    if any(each.severity is Severity.THREADS for _, _, listed in found for each in listed):
        raise typer.Exit(CAN_HOLD)


def structures(config: Config = None) -> None:
    """Prints the structures of the default versions of all graphs as JSON."""
    settings = load_settings_and_logs("graph structures", config)

    async def read() -> None:
        from slipway.graphs.registry import Registry

        write_json(await default_structures(await Registry.load(settings.config, release=settings.release)))

    asyncio.run(read())


async def _pairs_of_files(old: str, new: str) -> list[Pair]:
    before, after = await asyncio.gather(structures_of_file(Path(old)), structures_of_file(Path(new)))
    if only := sorted(before.keys() ^ after.keys()):
        typer.echo(f"only one of the files has: {', '.join(only)}", err=True)
    return [(name, name, before[name], after[name]) for name in before if name in after]


async def _pair_of_versions(settings: Settings, old: str, new: str) -> list[Pair]:
    from slipway.graphs.registry import Registry

    graphs = await Registry.load(settings.config, release=settings.release)
    return [
        (old, new, await structure_of_version(settings, graphs, old), await structure_of_version(settings, graphs, new))
    ]


def _is_file(name: str) -> bool:
    return name.endswith(".json")


def as_text(old: str, new: str, found: Sequence[Difference]) -> str:
    """A heading, and a line for each difference below the heading of its severity."""
    title = old if old == new else f"{old} → {new}"
    if not found:
        return f"{title}: no differences"
    lines = [f"{title}:"]
    for severity, heading in _HEADINGS.items():
        listed = [each for each in found if each.severity is severity]
        lines += [f"  {heading}:"] if listed else []
        lines += [f"    {each.text} ({each.code})" for each in listed]
    return "\n".join(lines)


def _as_json(old: str, new: str, found: Sequence[Difference]) -> str:
    members = (
        {"old": old, "new": new, "code": each.code, "severity": each.severity, "text": each.text} for each in found
    )
    return "\n".join(orjson.dumps(each).decode() for each in members)
