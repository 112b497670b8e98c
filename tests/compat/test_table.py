"""docs/protocol.md has a row for each endpoint, and each row names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from tests.js.test_node import cases

TESTS = Path(__file__).parent.parent
TABLE = TESTS.parent / "docs" / "protocol.md"
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \|(.*)\| `(\S+\.py)::(\w+)` \| (?:`(\S+\.test\.js)::(.+)` )?\|$", re.MULTILINE)
METHOD = re.compile(r"`((?:assistants|threads|runs|crons|store)\.\w+)")
ONLY_IN_PYTHON = {("GET", "/runs/crons/{cron_id}")}
"""Endpoints whose client method only the Python client has."""


def rows() -> list[tuple[str, str, str, str]]:
    """Method, path, and the file and name of the test in Python."""
    return [(method, path, file, name) for method, path, _, file, name, *_ in ROW.findall(TABLE.read_text())]


def test_every_endpoint_has_a_row() -> None:
    listed = [(method, path) for method, path, _, _ in rows()]
    assert sorted(listed) == sorted((endpoint.method, plain_path(endpoint.path)) for endpoint in ENDPOINTS)


def test_every_row_names_an_existing_test() -> None:
    for _, path, file, name in rows():
        tree = ast.parse((TESTS / file).read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in names, f"{path}: {file} has no {name}"


def test_every_row_of_a_javascript_method_names_an_existing_test() -> None:
    existing = set(cases())
    for method, path, methods, _, _, file, name in ROW.findall(TABLE.read_text()):
        if METHOD.search(methods) and (method, path) not in ONLY_IN_PYTHON:
            assert (file, name) in existing, f"{method} {path}"
        else:
            assert not name, f"{method} {path}"
