"""Finds the modules that graphs use. Stored objects are restored only to classes of these modules.

Graphs use a module

- if it was imported when the graphs were loaded, or later;
- if its file is in a folder of the project;
- if it belongs to Python or to LangChain's packages, which LangGraph imports;
- if the project's code refers to its package.

Slipway's own modules do not count, and neither do other modules that Slipway imported before it loaded the graphs.

A module of the project that is not imported yet is imported here only if the project's code names it in an `import`
statement, such as one inside a node: the graphs would import it themselves. A name in stored data never causes an
import.
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

SLIPWAY_PACKAGES: Final = frozenset({"slipway", "slipway_workers"})
"""The importable packages of Slipway. Graphs and classes of stored objects are never in them."""

_NOT_FOR_GRAPHS: Final = frozenset({"TYPE_CHECKING", "__name__"})
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class GraphModules:
    """Finds modules by name. `folders` are the folders of the project; `before` are the names of the modules that were
    imported before its graphs were loaded."""

    def __init__(self, folders: Sequence[Path], before: Collection[str]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._before = frozenset(before)
        self._scanned_count = 0
        self._packages: set[str] = set()
        self._importable: dict[str, ModuleSpec] = {}
        self._imports: dict[str, set[str]] = {}
        self._failed: set[str] = set()

    def __call__(self, name: str) -> types.ModuleType | None:
        """The module if graphs use it, else None. Imports only modules that the project's code imports as well."""
        if name == "__main__" or _is_of_slipway(name):
            return None
        module = imported_module(name)
        if module is None:
            return self._import_of_project(name) if name not in sys.modules else None
        if name not in self._before or is_library(name) or self._is_of_project(module_file(module)):
            return module
        self._scan_project()
        return module if name.partition(".")[0] in self._packages else None

    def _is_of_project(self, file: str | None) -> bool:
        return file is not None and is_of_project(file, self._folders)

    def _import_of_project(self, name: str) -> types.ModuleType | None:
        if name in self._failed:
            return None
        self._scan_project()
        if name not in self._importable:
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
        if self._scanned_count == len(sys.modules):
            return
        self._scanned_count = len(sys.modules)
        modules = {name: found for name in tuple(sys.modules) if (found := imported_module(name)) is not None}
        project_modules = {name: module for name, module in modules.items() if self._is_of_project(module_file(module))}
        self._packages = {
            package
            for name, module in modules.items()
            if not _is_of_slipway(name) and (name in project_modules or name not in self._before)
            for package in _packages_of(module)
        }
        self._importable = self._not_imported(project_modules)

    def _not_imported(self, project_modules: dict[str, types.ModuleType]) -> dict[str, ModuleSpec]:
        """The modules of the project that its `import` statements name and that are not imported yet."""
        specs: dict[str, ModuleSpec] = {}
        unread_modules = [
            (name, file, "__path__" in module_dict(module))
            for name, module in project_modules.items()
            if (file := module_file(module)) is not None
        ]
        while unread_modules:
            for name in sorted(self._imported_by(*unread_modules.pop())):  # parents first
                if name in sys.modules or name in specs:
                    continue
                spec = self._spec(name, specs)
                if spec is not None and spec.origin is not None and self._is_of_project(spec.origin):
                    specs[name] = spec
                    unread_modules.append((name, spec.origin, spec.submodule_search_locations is not None))
        return specs

    def _imported_by(self, name: str, file: str, is_package: bool) -> set[str]:
        if file not in self._imports:
            package = name if is_package else name.rpartition(".")[0]
            self._imports[file] = set(imports_of(Path(file), package))
        return self._imports[file]

    def _spec(self, name: str, specs: dict[str, ModuleSpec]) -> ModuleSpec | None:
        """Finds the file of the module without importing anything."""
        parent = name.rpartition(".")[0]
        if not parent:
            return PathFinder.find_spec(name, [str(folder) for folder in self._folders])
        module = imported_module(parent)
        search_folders = specs[parent].submodule_search_locations if parent in specs else None
        if module is not None:
            search_folders = module_dict(module).get("__path__")
        return None if search_folders is None else PathFinder.find_spec(name, list(search_folders))


def any_module(name: str) -> types.ModuleType | None:
    """The module if this process has imported it and it is not one of Slipway's modules, else None."""
    return None if name == "__main__" or _is_of_slipway(name) else imported_module(name)


def is_of_project(file: str, folders: Sequence[Path]) -> bool:
    """Whether a file is in one of these folders, and not in an installed package."""
    path = Path(file)
    return not _INSTALLED.intersection(path.parts) and any(path.is_relative_to(folder) for folder in folders)


def _is_of_slipway(name: str) -> bool:
    return name.partition(".")[0] in SLIPWAY_PACKAGES


def _packages_of(module: types.ModuleType) -> Iterator[str]:
    """The top-level packages that the global variables of a module refer to."""
    for value in tuple(module_dict(module).values()):
        if isinstance(value, types.ModuleType):
            yield module_name(value).partition(".")[0]
        elif isinstance(value, type):
            yield name_of(value)[0].partition(".")[0]
        elif type(value) is types.FunctionType:
            yield str(value.__module__).partition(".")[0]


def imports_of(file: Path, package: str) -> Iterator[str]:
    """The modules that the `import` statements of the file may import when graphs run, with their parent packages.
    Includes imports inside functions."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_name(node, package)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names if base and alias.name != "*")


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node`, without the blocks that only type checkers read (`if TYPE_CHECKING`) or only scripts
    execute (`if __name__ == ...`)."""
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


def _absolute_name(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".") if name else []
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])
