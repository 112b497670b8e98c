"""The migrations of one graph: checked when its project is loaded, and found by the versions that they connect."""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.graphs.version_names import checked_version_name
from slipway.migrations import Migration, migrations_in
from slipway.value_problems import did_you_mean

Pair = tuple[str, str]
"""The version from which a migration leads, and the one to which it leads."""


@dataclass(frozen=True, slots=True)
class Step:
    """The migrations from one version to another: of the graph, and of subgraphs by the nodes that lead to them."""

    by_subgraph: Mapping[str, Migration]

    def of(self, subgraph: str) -> Migration | None:
        """`subgraph` is empty for the graph itself."""
        return self.by_subgraph.get(subgraph)


@dataclass(frozen=True, slots=True)
class MigrationSet:
    """All migrations of a graph."""

    steps: Mapping[Pair, Step] = field(default_factory=dict)

    def path(self, old: str, new: str) -> tuple[Pair, ...]:
        """The shortest chain of migrations from one version to another. Empty if there is none."""
        reached: dict[str, tuple[Pair, ...]] = {old: ()}
        waiting = deque([old])
        while waiting and new not in reached:
            version = waiting.popleft()
            for start, end in self.steps:
                if start == version and end not in reached:
                    reached[end] = (*reached[version], (start, end))
                    waiting.append(end)
        return reached.get(new, ())


NO_MIGRATIONS: Final = MigrationSet()


def load_migrations(graphs: Graphs, graph_id: str) -> MigrationSet:
    """Imports the file with the migrations of a graph, and checks them. May block. Raises `ConfigError`, with file and
    line, if the file does not import, a version is unknown, two migrations lead from one version to the same other one,
    or a chain of migrations leads back to where it began."""
    spec = graphs.spec(graph_id)
    if spec.migrations is None:
        return NO_MIGRATIONS
    key = f"slipway.graphs.{graph_id}.migrations"
    try:
        module = graphs.load_module(spec.migrations)
    except ConfigError as error:
        raise ConfigError(f"{key}: {spec.migrations} cannot be loaded: {error}") from error
    found = migrations_in(module)
    if not found:
        raise ConfigError(f"{key}: {spec.migrations} has no function with @migration: add one, or delete the member")
    try:
        return migration_set(found, [version.name for version in spec.versions])
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error


def migration_set(migrations: Sequence[Migration], versions: Sequence[str]) -> MigrationSet:
    """The checked set. `versions` are the names of the versions that langgraph.json declares. Earlier versions need not
    be declared, but each migration must lead to a declared one, directly or by others. Raises `ConfigError` with file
    and line."""
    steps: dict[Pair, dict[str, Migration]] = {}
    for each in migrations:
        _check(each)
        others = steps.setdefault((each.from_version, each.to_version), {})
        other = others.setdefault(each.subgraph, each)
        if other is not each:
            of = f" of subgraph {each.subgraph!r}" if each.subgraph else ""
            raise ConfigError(
                f"{place_of(each)}: there are two migrations{of} from {each.from_version!r} to {each.to_version!r}: "
                f"{other.name} ({place_of(other)}) and {each.name}; delete one"
            )
    _reject_cycle(steps)
    found = MigrationSet({pair: Step(by_subgraph) for pair, by_subgraph in steps.items()})
    for each in migrations:
        if not any(each.to_version == version or found.path(each.to_version, version) for version in versions):
            raise ConfigError(
                f"{place_of(each)}: migration {each.name} leads to the unknown version "
                f"{each.to_version!r}{did_you_mean(each.to_version, list(versions))}"
            )
    return found


def place_of(migration: Migration) -> str:
    """File and line, the file relative to the current folder if it is below it."""
    file = Path(migration.file)
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f"{shown}:{migration.line}"


def _check(migration: Migration) -> None:
    for member in ("from_version", "to_version"):
        try:
            checked_version_name(getattr(migration, member))
        except ValueError as error:
            raise ConfigError(f"{place_of(migration)}: migration {migration.name}: {member}: {error}") from None
    if migration.from_version == migration.to_version:
        raise ConfigError(
            f"{place_of(migration)}: migration {migration.name} leads from version {migration.from_version!r} to itself"
        )
    try:
        inspect.signature(migration.function).bind(None)
    except TypeError as error:
        raise ConfigError(
            f"{place_of(migration)}: migration {migration.name} must take one argument, a StoredState: {error}"
        ) from error


def _reject_cycle(steps: Mapping[Pair, Mapping[str, Migration]]) -> None:
    """A chain that leads back would let a thread be migrated for ever."""
    for (first, second), by_subgraph in steps.items():
        back = MigrationSet({pair: Step(others) for pair, others in steps.items()}).path(second, first)
        if back:
            circle = " → ".join([first, second, *(end for _, end in back)])
            migration = next(iter(by_subgraph.values()))
            raise ConfigError(
                f"{place_of(migration)}: migrations lead in a circle: {circle}; delete one of them. To go back, "
                "threads continue from the checkpoint that was kept"
            )
