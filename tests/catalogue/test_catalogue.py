"""The catalogue of keys and fields is complete, and nothing in it is without a use."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from slipway.redis.catalogue.declarations import Field, KeyKind, RedisType
from slipway.redis.catalogue.key_kinds import GROUPS, KEY_KINDS
from tests.catalogue.lua_use import UNNAMED, Use
from tests.catalogue.page import PAGE, page
from tests.catalogue.scripts import uses

ROOT = Path(__file__).parents[2]
HASHES = [kind for kind in KEY_KINDS.values() if kind.type is RedisType.HASH]


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.catalogue`"


def test_every_kind_has_a_name_and_a_template_of_its_own() -> None:
    kinds = [kind for group in GROUPS.values() for kind in group]
    assert len({kind.name for kind in kinds}) == len({kind.template for kind in kinds}) == len(kinds)


def test_every_hash_has_fields_and_nothing_else_has() -> None:
    assert [kind.name for kind in KEY_KINDS.values() if bool(kind.fields) != (kind.type is RedisType.HASH)] == []


def test_every_key_says_how_long_it_exists() -> None:
    without = [kind.name for kind in KEY_KINDS.values() if not kind.lifetime]
    assert without == [kind.name for kind in KEY_KINDS.values() if kind.type is RedisType.CHANNEL]


def test_every_field_that_a_script_names_is_declared() -> None:
    assert {use for use in uses() if use.field not in (None, UNNAMED) and not _declarations(use)} == set()


def test_scripts_use_fields_whose_names_are_data_only_where_some_are_declared() -> None:
    named = {use.kind for use in uses() if use.field == UNNAMED}
    without_data = {kind.name for kind in HASHES if not any("*" in field.name for field in kind.fields)}
    assert named & without_data <= {"cron"}, "`cron_save` gets the names of the fields from Python"


def _declarations(use: Use) -> list[Field]:
    return [field for field in KEY_KINDS[use.kind].fields if field.names(use.field or "")]


@pytest.mark.parametrize("kind", HASHES, ids=lambda kind: kind.name)
def test_every_declared_field_is_written_and_read(kind: KeyKind) -> None:
    texts = _texts((*kind.python_readers, "slipway.redis.checkpoint_keys"))
    for field in kind.fields:
        found = [use for use in uses() if use.kind == kind.name and use.field and _is_of(field, use.field)]
        copied = field.name == UNNAMED and Use("run_settle", kind.name, None, True) in uses()
        assert copied or field.python_writers or any(use.writes for use in found), f"nobody writes {field.name}"
        if field.scripts_only:
            assert any(not use.writes for use in found), f"nobody reads {field.name}"
        elif field.name.strip("*"):
            assert field.name.strip("*") in texts, f"{kind.python_readers} do not read {field.name}"


def _is_of(field: Field, name: str) -> bool:
    return name == UNNAMED if field.name == UNNAMED else field.names(name)


def _texts(packages: Sequence[str]) -> set[str]:
    """All texts in the source of the packages."""
    trees = [ast.parse(path.read_text()) for package in packages for path in _modules(package)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _modules(package: str) -> Iterator[Path]:
    for folder in ("app", "workers"):
        path = ROOT / folder / package.replace(".", "/")
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")] if folder == "app" else []


def test_the_packages_that_use_a_key_are_declared() -> None:
    for folder in ("app", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            package = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts[:2])
            for kind in _kinds_used(path) if package != "slipway.redis" else ():
                assert package in kind.python_writers + kind.python_readers, f"{path} uses {kind.name}"


def _kinds_used(path: Path) -> Iterator[KeyKind]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute) or node.attr not in KEY_KINDS:
            continue
        if ast.unparse(node.value).rpartition(".")[2] in ("keys", "_keys"):
            yield KEY_KINDS[node.attr]
