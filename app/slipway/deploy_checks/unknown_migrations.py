"""Migrations that carry no thread, because nobody knows the version from which they lead: mostly a misspelt name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.graph_versions.record import KnownVersions
from slipway.graphs.interface import Graphs
from slipway.graphs.migration_set import MigrationSet, Pair, place_of
from slipway.migrations import Migration
from slipway.value_problems import did_you_mean

CODE: Final = "migration.version_unknown"


@dataclass(frozen=True, slots=True)
class UnknownMigration:
    """A migration whose `from_version` is neither declared nor registered, and to which no other migration leads."""

    graph_id: str
    migration: Migration
    known: Collection[str]
    """The versions of the graph that are known, in their order."""

    def __str__(self) -> str:
        old = self.migration.from_version
        return (
            f"{place_of(self.migration)}: migration {self.migration.name} carries no thread: langgraph.json does not "
            f"declare version {old!r} of graph {self.graph_id!r}, and no process has ever served it (known: "
            f"{', '.join(self.known)}){did_you_mean(old, self.known)}. Correct from_version, or delete the migration"
        )

    def public(self) -> dict[str, Any]:
        """A line of JSON."""
        migration = self.migration
        return {
            "warning": CODE,
            "graph_id": self.graph_id,
            "migration": migration.name,
            "from_version": migration.from_version,
            "to_version": migration.to_version,
            "file": migration.file,
            "line": migration.line,
            "text": str(self),
        }


def unknown_migrations(
    graphs: Graphs, migrations: Mapping[str, MigrationSet], known: KnownVersions
) -> Iterator[UnknownMigration]:
    """Those of the graphs of which some version is registered. Of others nobody knows which versions there were."""
    for graph_id, found in migrations.items():
        registered = [version.name for version in known.of_graph(graph_id)]
        if not registered:
            continue
        declared = [version.name for version in graphs.spec(graph_id).versions]
        names = list(dict.fromkeys([*registered, *declared]))
        reached = _reached(names, found.steps)
        for (old, _), step in found.steps.items():
            if old not in reached:
                yield from (UnknownMigration(graph_id, each, names) for each in step.by_subgraph.values())


def _reached(names: Iterable[str], steps: Collection[Pair]) -> set[str]:
    """The versions, and those to which migrations lead from them."""
    reached = set(names)
    while added := {new for old, new in steps if old in reached} - reached:
        reached |= added
    return reached
