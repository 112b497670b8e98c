"""Migrations as the project registers them: which chain is found, and what is rejected with file and line."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.graphs.migration_set import migration_set
from slipway.migrations import Migration, StoredState, migration, migrations_in

VERSIONS = ["1", "2", "3", "4"]


def between(old: Any, new: Any, subgraph: str = "", *, takes: int = 1) -> Callable[..., StoredState]:
    def migrate(stored: StoredState) -> StoredState:
        return stored

    def wrong() -> StoredState:
        return StoredState({})

    register: Callable[[Any], Any] = migration(from_version=old, to_version=new, for_subgraph=subgraph)
    function: Callable[..., StoredState] = register(migrate if takes else wrong)
    return function


def registered(*functions: Any) -> list[Migration]:
    return migrations_in(SimpleNamespace(**{f"f{number}": each for number, each in enumerate(functions)}))


def test_the_shortest_chain_is_found() -> None:
    found = migration_set(
        registered(between("1", "2"), between("2", "3"), between("3", "4"), between("2", "4")), VERSIONS
    )

    assert found.path("1", "4") == (("1", "2"), ("2", "4"))
    assert found.path("1", "2") == (("1", "2"),)
    assert found.path("4", "1") == ()
    assert found.path("2", "2") == ()


def test_an_earlier_version_need_not_be_declared() -> None:
    """The code of a release has its own version only."""
    found = migration_set(registered(between("1", "2"), between("2", "3")), ["3"])

    assert found.path("1", "3") == (("1", "2"), ("2", "3"))


def test_a_subgraph_has_a_migration_of_its_own() -> None:
    found = migration_set(registered(between("1", "2"), between("1", "2", "review|check")), VERSIONS)

    step = found.steps["1", "2"]
    assert step.of("review|check") is not None
    assert step.of("") is not None
    assert step.of("review") is None


def test_one_function_may_be_several_migrations() -> None:
    function = migration(from_version="2", to_version="3")(between("1", "2"))

    assert migration_set(registered(function), VERSIONS).path("1", "3") == (("1", "2"), ("2", "3"))


@pytest.mark.parametrize(
    ("functions", "problem"),
    [
        ([between("1", "5")], "leads to the unknown version '5'"),
        ([between("1", "2"), between("0", "12")], "leads to the unknown version '12'"),
        ([between("1", "1")], "to itself"),
        ([between(1, 2)], "from_version: expected the name of a version, such as '1', found 1"),
        ([between("1", "2 ")], "to_version: '2 ' is not the name of a version"),
        ([between("1", "2"), between("1", "2")], "two migrations from '1' to '2'"),
        ([between("1", "2", "review"), between("1", "2", "review")], "two migrations of subgraph 'review'"),
        ([between("1", "2"), between("2", "3"), between("3", "1")], "in a circle: 1 → 2 → 3 → 1"),
        ([between("1", "2", takes=0)], "must take one argument"),
    ],
)
def test_what_cannot_work_is_rejected_with_its_line(functions: list[Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=r"test_migration_set\.py:\d+: .*" + problem.replace("'", ".")):
        migration_set(registered(*functions), VERSIONS)


def test_a_node_has_one_new_name() -> None:
    stored = StoredState({"a": 1})
    stored.rename_node("review", "human_review")
    stored.rename_channel("a", "b")

    assert stored.values == {"b": 1}
    with pytest.raises(ValueError, match="'review' is renamed twice"):
        stored.rename_node("review", "other")
