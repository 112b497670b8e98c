"""No pattern of a client is executed, so that none can run without end or match too much."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MATCHING = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
GLOBS = {"fnmatch", "fnmatchcase", "translate", "glob", "rglob", "iglob"}
PATTERN_COMMAND = re.compile("[\"'](KEYS|H?SCAN|[SZ]SCAN|PSUBSCRIBE)[\"']|loadstring")
LISTINGS = {
    "app/slipway/deploy_checks/reads.py": "all members of one key, without a pattern",
    "app/slipway/encryption_at_rest/scripts.py": "all keys and fields, without a pattern, for a rotation",
    "app/slipway/graph_versions/needs_reads.py": "all members of one key, without a pattern",
    "app/slipway/health/reads.py": "all members of one key, without a pattern",
    "app/slipway/checkpoints/reads.py": "all keys of one kind under the prefix of the deployment, for operators",
    "app/slipway/redis/cluster_pipeline.py": "a set of commands, which lists nothing",
    "app/slipway/redis/cluster_slots.py": "a set of commands, which lists nothing",
    "app/slipway/redis/key_scan.py": "all keys of one kind under the prefix of the deployment, for operators",
    "app/slipway/redis/read_stubs.py": "all members of one key, without a pattern",
    "app/slipway/runs/index_reads.py": "all members of one key, without a pattern",
    "app/slipway/threads/index_reads.py": "all members of one key, without a pattern",
}
"""The files with commands that could have a pattern, and what they list."""
OTHER_PATTERNS = {
    "app/slipway/api/header_policy.py": "names of headers, by langgraph.json",
    "app/slipway/api/middleware/origins.py": "http.cors.allow_origin_regex of langgraph.json",
    "app/slipway/graphs/redaction_section.py": "slipway.redaction.patterns of langgraph.json",
    "app/slipway/redaction/rules.py": "slipway.redaction of langgraph.json",
    "app/slipway/redis/encrypted_keys.py": "the templates of the names of keys",
    "app/slipway/serialization/standard_types.py": "a pattern in a graph's state, which is compiled and never matched",
    "examples/quick_answer/arithmetic.py": "a table in the same file",
}
"""The files with patterns that are not literals, and where these come from."""


def unknown_patterns(tree: ast.AST) -> Iterator[int]:
    """The lines that use a pattern that is not a literal."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re":
            if called.attr in MATCHING and not is_literal(node.args[0]):
                yield node.lineno
        elif isinstance(called, ast.Name | ast.Attribute):
            name = called.id if isinstance(called, ast.Name) else called.attr
            if name in GLOBS and not any(map(is_literal, node.args)):
                yield node.lineno


def is_literal(node: ast.AST) -> bool:
    """Whether an expression is a literal, or is built from literals and constants of its module."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.JoinedStr):
        return all(is_literal(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return is_literal(node.left) and is_literal(node.right)
    if isinstance(node, ast.Attribute) and node.attr == "pattern":
        return is_literal(node.value)
    return isinstance(node, ast.Name) and node.id.isupper()


def test_no_pattern_comes_from_a_client() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("app", "workers", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if list(unknown_patterns(ast.parse(path.read_text())))
    }
    assert found == OTHER_PATTERNS.keys()


def test_redis_receives_no_pattern_and_evaluates_no_text_of_a_client() -> None:
    """Scripts are the files in `lua/`. Values of clients are arguments, never a part of a script."""
    folders = {"app": "*.py", "workers": "*.py", "app/slipway/redis/lua": "*.lua"}
    files = [path for folder, kind in folders.items() for path in (ROOT / folder).rglob(kind)]
    found = {str(path.relative_to(ROOT)) for path in files if PATTERN_COMMAND.search(path.read_text())}
    assert found == LISTINGS.keys()
