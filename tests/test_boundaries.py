"""The boundaries between the parts, kept by reading the source: who may import whom, and what may run at import."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for package in ("app", "workers") for path in (ROOT / package).rglob("*.py"))
MAY_IMPORT_WORKERS = {"app.inline", "app.dev", "app.cli"}
LUA_WORDS = ("redis.call(", "redis.pcall(", "KEYS[", "ARGV[")

Rule = Callable[[str, ast.Module], list[str]]
"""What in a module, given its name and source, is against the rule."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, inside functions too; `from a import b` counts as `a` and as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that importing a module executes: no bodies of functions, but their decorators and defaults."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield part
                yield from run_at_import(part)
        elif not isinstance(child, ast.Lambda) and not _is_main_guard(child):
            yield child
            yield from run_at_import(child)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def starlette_stays_in_the_web_layer(name: str, tree: ast.Module) -> list[str]:
    return [] if within(name, "app.http") else [found for found in imports(tree) if within(found, "starlette")]


def workers_know_no_http(name: str, tree: ast.Module) -> list[str]:
    return [found for found in imports(tree) if within(found, "app.http")] if within(name, "workers") else []


def the_domain_knows_no_workers(name: str, tree: ast.Module) -> list[str]:
    if within(name, "workers") or name in MAY_IMPORT_WORKERS:
        return []
    return [found for found in imports(tree) if within(found, "workers")]


def the_domain_knows_no_http(name: str, tree: ast.Module) -> list[str]:
    if within(name, "workers") or within(name, "app.http") or name == "app.cli":
        return []
    return [found for found in imports(tree) if within(found, "app.http")]


def lua_lives_in_the_keyspace(name: str, tree: ast.Module) -> list[str]:
    if within(name, "app.keyspace"):
        return []
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if any(word in text for word in LUA_WORDS)]


def key_names_live_in_the_keyspace(name: str, tree: ast.Module) -> list[str]:
    """Nobody else puts the prefix in front of something."""
    if within(name, "app.keyspace"):
        return []
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return [ast.unparse(text) for text in texts if any(_names_a_prefix(part) for part in text.values)]


def _names_a_prefix(part: ast.expr) -> bool:
    if not isinstance(part, ast.FormattedValue) or not isinstance(part.value, ast.Attribute):
        return False
    return part.value.attr == "key_prefix" or ast.unparse(part.value).endswith("keys.prefix")


def nothing_is_read_or_connected_at_import(name: str, tree: ast.Module) -> list[str]:
    nodes = [node for node in run_at_import(tree) if isinstance(node, ast.Attribute | ast.Call)]
    return [
        ast.unparse(node)
        for node in nodes
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "asyncio.run"))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "Settings", "Settings.load", "Wire"))
    ]


def no_module_is_a_drawer_for_everything(name: str, tree: ast.Module) -> list[str]:
    return [part for part in name.split(".") if part in {"utils", "util", "helpers", "common", "misc"}]


def every_module_says_what_it_is(name: str, tree: ast.Module) -> list[str]:
    return [] if ast.get_docstring(tree) else ["no docstring"]


RULES: tuple[Rule, ...] = (
    starlette_stays_in_the_web_layer,
    workers_know_no_http,
    the_domain_knows_no_workers,
    the_domain_knows_no_http,
    lua_lives_in_the_keyspace,
    key_names_live_in_the_keyspace,
    nothing_is_read_or_connected_at_import,
    no_module_is_a_drawer_for_everything,
    every_module_says_what_it_is,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    findings = {name_of(path): rule(name_of(path), tree_of(path)) for path in MODULES}
    assert {name: found for name, found in findings.items() if found} == {}


def part_of(module: str) -> str:
    """The package right under `app` that a module is in, or the module itself where it is in none."""
    return ".".join(module.split(".")[:2])


def test_the_parts_of_the_domain_do_not_go_in_a_circle() -> None:
    names = {name_of(path) for path in MODULES}
    needed = {part_of(name): set[str]() for name in names if within(name, "app")}
    for path in MODULES:
        if within(name := name_of(path), "app"):
            needed[part_of(name)] |= {
                part_of(found) for found in imports(tree_of(path)) if found in names
            } & needed.keys()
    order = TopologicalSorter({part: others - {part, "app"} for part, others in needed.items()})
    order.prepare()  # raises CycleError, which names the circle


def test_there_is_something_to_check() -> None:
    assert {"app", "app.settings", "app.keyspace.names", "workers"} <= {name_of(path) for path in MODULES}


def test_lua_files_live_in_the_keyspace() -> None:
    folders = {path.parent for package in ("app", "workers") for path in (ROOT / package).rglob("*.lua")}
    assert folders <= {ROOT / "app" / "keyspace" / "lua"}


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (starlette_stays_in_the_web_layer, "app.runs.runs", "from starlette.requests import Request"),
        (workers_know_no_http, "workers.main", "def f():\n    import app.http.sse"),
        (the_domain_knows_no_workers, "app.runs.runs", "from workers import registry"),
        (the_domain_knows_no_http, "app.runs.runs", "from app import http"),
        (lua_lives_in_the_keyspace, "app.runs.runs", "X = \"return redis.call('GET', 'a')\""),
        (key_names_live_in_the_keyspace, "app.runs.runs", "def f(keys): return f'{keys.prefix}:run'"),
        (nothing_is_read_or_connected_at_import, "app.runs.runs", "import os\nclass A:\n    b = os.environ['C']"),
        (no_module_is_a_drawer_for_everything, "app.utils", ""),
        (every_module_says_what_it_is, "app.runs.runs", "A = 1"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_rule_notices(rule: Rule, name: str, source: str) -> None:
    assert rule(name, ast.parse(source))
