"""All calls that log an event, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway.runs.logged_run import LoggedRun

ROOT: Final = Path(__file__).parent.parent.parent
SOURCES: Final = (ROOT / "app" / "slipway", ROOT / "workers" / "slipway_workers")

_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "exception": "error",
}
_TRACEBACKS: Final = frozenset({"exc_info", "exception"})


_OF_A_RUN: Final = tuple(LoggedRun("run", "thread", "graph", "trace").log_fields())


@dataclass(frozen=True, slots=True)
class LogCall:
    """One call. `where` is the file and the line."""

    where: str
    level: str
    event: str | None
    """None: it is no literal."""
    fields: tuple[str, ...]
    has_exception: bool
    unknown: tuple[str, ...]
    """The expressions after `**` whose names the source does not say."""


def log_calls() -> list[LogCall]:
    """In the order of the files."""
    return [call for folder in SOURCES for path in sorted(folder.rglob("*.py")) for call in _calls_in(path)]


def _calls_in(path: Path) -> Iterator[LogCall]:
    text = path.read_text()
    if "structlog" not in text:
        return
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if not isinstance(node.func.value, ast.Name) or node.func.value.id != "log" or node.func.attr not in _LEVELS:
            continue
        around = [each for each in functions if each.lineno <= node.lineno <= (each.end_lineno or 0)]
        yield _call(f"{path.relative_to(ROOT)}:{node.lineno}", node, node.func.attr, around)


def _call(where: str, node: ast.Call, method: str, around: list[ast.FunctionDef | ast.AsyncFunctionDef]) -> LogCall:
    first = node.args[0] if len(node.args) == 1 else None
    event = str(first.value) if isinstance(first, ast.Constant) else None
    names: list[str] = []
    unknown: list[str] = []
    for keyword in node.keywords:
        if keyword.arg is not None:
            names.append(keyword.arg)
        elif (found := _names_of(keyword.value, around)) is not None:
            names += found
        else:
            unknown.append(ast.unparse(keyword.value))
    fields = tuple(name for name in names if name not in _TRACEBACKS)
    has_exception = method == "exception" or bool(_TRACEBACKS & set(names))
    return LogCall(where, _LEVELS[method], event, fields, has_exception, tuple(unknown))


def _names_of_part(
    key: ast.expr | None, value: ast.expr, around: list[ast.FunctionDef | ast.AsyncFunctionDef]
) -> list[str] | None:
    """The names that a member of a literal gives, or those of the dictionary after its `**`."""
    if key is None:
        return _names_of(value, around)
    return [str(key.value)] if isinstance(key, ast.Constant) else None


def _names_of(value: ast.expr, around: list[ast.FunctionDef | ast.AsyncFunctionDef]) -> list[str] | None:
    """The keys of a dictionary: of a literal, of a `LoggedRun`, or of a variable that the function assigns one to."""
    if isinstance(value, ast.Dict):
        parts = [_names_of_part(key, each, around) for key, each in zip(value.keys, value.values, strict=True)]
        return [name for part in parts for name in part or ()] if None not in parts else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "log_fields":
        return list(_OF_A_RUN)
    if isinstance(value, ast.IfExp):
        first, second = _names_of(value.body, around), _names_of(value.orelse, around)
        return None if first is None or second is None else [*first, *second]
    if not isinstance(value, ast.Name):
        return None
    found: list[str] = []
    for statement in (each for function in around[-1:] for each in ast.walk(function)):
        if not isinstance(statement, ast.Assign):
            continue
        target = statement.targets[0]
        if isinstance(target, ast.Name) and target.id == value.id:
            names = _names_of(statement.value, around)
            if names is None:
                return None
            found += names
        elif isinstance(target, ast.Subscript) and ast.unparse(target.value) == value.id:
            if not isinstance(target.slice, ast.Constant):
                return None
            found.append(str(target.slice.value))
    return found or None
