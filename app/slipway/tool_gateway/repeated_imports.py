"""A module with tools that is imported again, by `importlib.reload` or under another name, has new functions, which
nobody has registered: they become the same tools. A declaration in the code needs no help, as it is executed again."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from langchain_core.tools import BaseTool

from slipway.tool_gateway.instrumentation import entrance_of
from slipway.tool_gateway.target import ToolTarget, origin_of

_EXECUTE: Final[Any] = SourceFileLoader.exec_module
_TARGETS: Final[dict[tuple[str, str], list[ToolTarget]]] = {}
"""The tools of this process by the file and the name of their functions."""
_FILES: Final[set[str]] = set()
"""The names of these files, without their folders."""


def register_again(targets: Iterable[ToolTarget]) -> None:
    """From now on, functions that are the same as those of these tools are tools. Those of modules that are imported
    already become tools now."""
    for target in targets:
        known = _TARGETS.setdefault(target.origin, [])
        _FILES.add(Path(target.origin[0]).name)
        if all(each.name != target.name for each in known):
            known.append(target)
    for module in list(sys.modules.values()):
        _register_in(module)
    setattr(SourceFileLoader, "exec_module", _execute)  # noqa: B010  mypy knows no replaced method


@functools.wraps(_EXECUTE)
def _execute(loader: SourceFileLoader, module: ModuleType) -> None:
    _EXECUTE(loader, module)
    _register_in(module)


def _register_in(module: ModuleType) -> None:
    members = getattr(module, "__dict__", {})  # packages put objects of other classes into `sys.modules`
    file = members.get("__file__")
    if isinstance(file, str) and file.rpartition(os.sep)[2] in _FILES:
        for found in list(members.values()):
            for target in _same_tools(found):
                ToolTarget(target.name, found)


def _same_tools(found: object) -> list[ToolTarget]:
    """The tools that an object of a module would be, if it is none yet."""
    functions = _functions_of(found)
    if any(entrance_of(each) is not None for each in functions):
        return []
    same = [target for each in functions for target in _TARGETS.get(origin_of(each), ())]
    return [each for each in same if not isinstance(found, BaseTool) or found.name == each.langchain_tool.name]


def _functions_of(found: object) -> list[object]:
    if isinstance(found, BaseTool):
        own = [found.__dict__.get(name) for name in ("coroutine", "func")]
        return [each for each in own if each is not None] or [getattr(found, name) for name in ("_run", "_arun")]
    return [found] if isinstance(found, FunctionType) else []
