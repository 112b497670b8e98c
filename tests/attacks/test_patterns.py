"""A pattern that a client writes is never executed: there is none that could take for ever, or match too much."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MATCHING = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
GLOBS = {"fnmatch", "fnmatchcase", "translate", "glob", "rglob", "iglob"}
PATTERN_COMMAND = re.compile("[\"'](KEYS|H?SCAN|[SZ]SCAN|PSUBSCRIBE)[\"']|loadstring")
BY_PREFIX = {"app/slipway/health/reads.py", "app/slipway/checkpoints/reads.py"}
"""They look for all keys of one kind, by the deployment's prefix, for an operator's command."""
OPERATORS = {
    "app/slipway/api/header_policy.py": "names of headers, by langgraph.json",
    "app/slipway/api/middleware/origins.py": "http.cors.allow_origin_regex of langgraph.json",
    "app/slipway/serialization/standard_types.py": "a pattern in a graph's state, which is compiled and never matched",
    "examples/quick_answer/arithmetic.py": "a table in the same file",
}
"""Patterns that are no literals, and whose they are."""


def unknown_patterns(tree: ast.AST) -> Iterator[int]:
    """The lines that match by a pattern that is no literal."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re":
            if called.attr in MATCHING and not literal(node.args[0]):
                yield node.lineno
        elif isinstance(called, ast.Name | ast.Attribute):
            name = called.id if isinstance(called, ast.Name) else called.attr
            if name in GLOBS and not any(map(literal, node.args)):
                yield node.lineno


def literal(node: ast.AST) -> bool:
    """Whether a pattern is written there, if in parts, or made of constants of its module."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.JoinedStr):
        return all(literal(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return literal(node.left) and literal(node.right)
    return isinstance(node, ast.Name) and node.id.isupper()


def test_no_pattern_comes_from_a_client() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("app", "workers", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if list(unknown_patterns(ast.parse(path.read_text())))
    }
    assert found == OPERATORS.keys()


def test_redis_receives_no_pattern_and_evaluates_no_text_of_a_client() -> None:
    """Its scripts are the files in `lua/`: what a client sends is an argument, never part of a script."""
    folders = {"app": "*.py", "workers": "*.py", "app/slipway/redis/lua": "*.lua"}
    files = [path for folder, kind in folders.items() for path in (ROOT / folder).rglob(kind)]
    found = {str(path.relative_to(ROOT)) for path in files if PATTERN_COMMAND.search(path.read_text())}
    assert found == BY_PREFIX
