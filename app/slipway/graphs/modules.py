"""Which modules graphs use. Stored objects are rebuilt only as classes of these modules.

Graphs use a module if it was imported while they were loaded or later, if its file is in a folder of the project, if it
belongs to Python or to LangChain's packages (which LangGraph imports), or if the project's code refers to its package.
Slipway's own modules, and other modules that Slipway imported before, do not count.

A module of the project that is not imported yet is imported here only if the project's code names it in an `import`
statement, such as one inside a node: the graphs would import it themselves. Names in stored data never cause an import.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Collection, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

import structlog

from slipway.graphs.annotations import is_library
from slipway.serialization.data_classes import imported_module, module_dict, module_file, module_name, name_of

OWN_PACKAGES: Final = frozenset({"slipway", "slipway_workers"})
"""The importable packages of Slipway: no graph and no class of a stored object is in them."""

_NOT_FOR_GRAPHS: Final = frozenset({"TYPE_CHECKING", "__name__"})
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class GraphModules:
    """Finds modules by name. `folders` are those of the project; `before` are the modules that were imported before its
    graphs were loaded."""

    def __init__(self, folders: Sequence[Path], before: Collection[str]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._before = frozenset(before)
        self._counted = 0
        self._packages: set[str] = set()
        self._late: dict[str, ModuleSpec] = {}
        self._imports: dict[str, set[str]] = {}
        self._failed: set[str] = set()

    def __call__(self, name: str) -> types.ModuleType | None:
        """The module if graphs use it, else None. Imports only modules that the project's code imports too."""
        if name == "__main__" or _is_ours(name):
            return None
        module = imported_module(name)
        if module is None:
            return self._imported_late(name) if name not in sys.modules else None
        if name not in self._before or is_library(name) or self._is_of_project(module_file(module)):
            return module
        self._scan_project()
        return module if name.partition(".")[0] in self._packages else None

    def _is_of_project(self, file: str | None) -> bool:
        if file is None:
            return False
        path = Path(file)
        return not _INSTALLED.intersection(path.parts) and any(path.is_relative_to(folder) for folder in self._folders)

    def _imported_late(self, name: str) -> types.ModuleType | None:
        if name in self._failed:
            return None
        self._scan_project()
        if name not in self._late:
            return None
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:  # the project's code may raise anything
            self._failed.add(name)
            log.warning("state.module_not_imported", module=name, error=type(error).__name__)
            return None

    def _scan_project(self) -> None:
        """Finds the packages that the project's code refers to. Does nothing if no module was imported since the last
        scan."""
        if self._counted == len(sys.modules):
            return
        self._counted = len(sys.modules)
        modules = {name: found for name in tuple(sys.modules) if (found := imported_module(name)) is not None}
        own = {name: module for name, module in modules.items() if self._is_of_project(module_file(module))}
        self._packages = {
            package
            for name, module in modules.items()
            if not _is_ours(name) and (name in own or name not in self._before)
            for package in _packages_of(module)
        }
        self._late = self._not_imported(own)

    def _not_imported(self, own: dict[str, types.ModuleType]) -> dict[str, ModuleSpec]:
        """Modules of the project that its code names in imports and that are not imported yet."""
        found: dict[str, ModuleSpec] = {}
        waiting = [
            (name, file, "__path__" in module_dict(module))
            for name, module in own.items()
            if (file := module_file(module)) is not None
        ]
        while waiting:
            for name in sorted(self._named_in(*waiting.pop())):  # parents first
                if name in sys.modules or name in found:
                    continue
                spec = self._spec(name, found)
                if spec is not None and spec.origin is not None and self._is_of_project(spec.origin):
                    found[name] = spec
                    waiting.append((name, spec.origin, spec.submodule_search_locations is not None))
        return found

    def _named_in(self, name: str, file: str, is_package: bool) -> set[str]:
        if file not in self._imports:
            package = name if is_package else name.rpartition(".")[0]
            self._imports[file] = set(_imports_of(Path(file), package))
        return self._imports[file]

    def _spec(self, name: str, found: dict[str, ModuleSpec]) -> ModuleSpec | None:
        """Locates the module without importing anything."""
        parent = name.rpartition(".")[0]
        if not parent:
            return PathFinder.find_spec(name, [str(folder) for folder in self._folders])
        module = imported_module(parent)
        places = found[parent].submodule_search_locations if parent in found else None
        if module is not None:
            places = module_dict(module).get("__path__")
        return None if places is None else PathFinder.find_spec(name, list(places))


def any_module(name: str) -> types.ModuleType | None:
    """The module if this process has imported it and it is not Slipway's own, else None."""
    return None if name == "__main__" or _is_ours(name) else imported_module(name)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in OWN_PACKAGES


def _packages_of(module: types.ModuleType) -> Iterator[str]:
    """The top-level packages that the names of a module refer to."""
    for value in tuple(module_dict(module).values()):
        if isinstance(value, types.ModuleType):
            yield module_name(value).partition(".")[0]
        elif isinstance(value, type):
            yield name_of(value)[0].partition(".")[0]
        elif type(value) is types.FunctionType:
            yield str(value.__module__).partition(".")[0]


def _imports_of(file: Path, package: str) -> Iterator[str]:
    """All modules that the `import` statements of the file may name when graphs run, also those inside functions, each
    with its parents."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names if base and alias.name != "*")


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node`, without blocks that only a type checker reads or only a script executes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _NOT_FOR_GRAPHS.intersection(_names_in(child.test)):
            yield from _executed(ast.Module(child.orelse, []))
        else:
            yield child
            yield from _executed(child)


def _names_in(test: ast.expr) -> set[str]:
    nodes = list(ast.walk(test))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".") if name else []
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])
