"""The catalogue of keys and fields is complete, and every entry is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

import pytest

from slipway.redis import hash_fields
from slipway.redis.catalogue.declarations import Field, KeyKind, RedisType
from slipway.redis.catalogue.key_kinds import KEY_KINDS, KINDS_BY_SECTION
from tests.catalogue.lua_use import UNNAMED, Use
from tests.catalogue.page import PAGE, page
from tests.catalogue.scripts import uses

ROOT = Path(__file__).parents[2]
HASHES = [kind for kind in KEY_KINDS.values() if kind.type is RedisType.HASH]


def test_the_page_of_keys_is_current() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.catalogue`"


def test_no_two_key_kinds_share_a_name_or_a_template() -> None:
    kinds = [kind for section in KINDS_BY_SECTION.values() for kind in section]
    assert len({kind.name for kind in kinds}) == len({kind.template for kind in kinds}) == len(kinds)


def test_exactly_the_hashes_declare_fields() -> None:
    assert [kind.name for kind in KEY_KINDS.values() if bool(kind.fields) != (kind.type is RedisType.HASH)] == []


def test_every_key_kind_except_channels_declares_its_lifetime() -> None:
    without = [kind.name for kind in KEY_KINDS.values() if not kind.lifetime]
    assert without == [kind.name for kind in KEY_KINDS.values() if kind.type is RedisType.CHANNEL]


def test_every_key_kind_except_channels_belongs_to_a_shard() -> None:
    without = [kind.name for kind in KEY_KINDS.values() if kind.shard is None]
    assert without == [kind.name for kind in KEY_KINDS.values() if kind.type is RedisType.CHANNEL]


def test_every_field_that_a_script_names_is_declared() -> None:
    assert {use for use in uses() if use.field not in (None, UNNAMED) and not _declarations(use)} == set()


def test_scripts_use_computed_field_names_only_in_kinds_that_declare_such_fields() -> None:
    computed = {use.kind for use in uses() if use.field == UNNAMED}
    fixed_names_only = {kind.name for kind in HASHES if not any("*" in field.name for field in kind.fields)}
    received = {"cron", "hook_delivery", "review", "webhook_endpoint"}
    assert computed & fixed_names_only <= received, "their scripts receive names of fields from Python"


def _declarations(use: Use) -> list[Field]:
    return [field for field in KEY_KINDS[use.kind].fields if field.names(use.field or "")]


@pytest.mark.parametrize("kind", HASHES, ids=lambda kind: kind.name)
def test_every_declared_field_is_written_and_read(kind: KeyKind) -> None:
    texts = _texts((*kind.python_readers, "slipway.redis.checkpoint_keys"))
    all_uses = uses()
    for field in kind.fields:
        field_uses = [use for use in all_uses if use.kind == kind.name and use.field and _is_of(field, use.field)]
        copied = field.name == UNNAMED and (
            Use("run_settle", kind.name, None, True) in all_uses or kind.name == "rollout_last"  # a renamed hash
        )
        assert copied or field.python_writers or any(use.writes for use in field_uses), f"no code writes {field.name}"
        if field.scripts_only:
            assert any(not use.writes for use in field_uses), f"no script reads {field.name}"
        elif field.name.strip("*"):
            assert field.name.strip("*") in texts, f"{kind.python_readers} do not read {field.name}"


def _is_of(field: Field, name: str) -> bool:
    return name == UNNAMED if field.name == UNNAMED else field.names(name)


def _texts(packages: Sequence[str]) -> set[str]:
    """All string literals in the source of the packages, and the prefixes of fields that it names."""
    trees = [ast.parse(path.read_text()) for package in packages for path in _modules(package)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    literals = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return literals | {getattr(hash_fields, node.id) for node in nodes if _names_a_prefix(node)}


def _names_a_prefix(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id.endswith("_PREFIX") and hasattr(hash_fields, node.id)


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
