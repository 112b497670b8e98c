"""Finds modules of another version that the code of a version has imported instead of its own.

Python has one module of each name in a process. If `v1/` and `v2/` both have a `helpers.py` that their graphs import as
`helpers`, the graph of `v2/` gets the module of `v1/`, without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from slipway.graphs.modules import imports_of, is_of_project
from slipway.serialization.data_classes import imported_module, module_file


def shadowed_module(module: ModuleType, folders: Sequence[Path]) -> str | None:
    """The problem with the first module beside the file of `module` whose name means another file of the project.
    `folders` are those of the project. None if there is none."""
    waiting, seen = [module], set[str]()
    while waiting:
        importer = waiting.pop()
        file = module_file(importer)
        if file is None or file in seen:
            continue
        seen.add(file)
        for name in sorted({each.partition(".")[0] for each in imports_of(Path(file), importer.__package__ or "")}):
            own, used = _beside(Path(file), name), imported_module(name)
            used_file = None if used is None else module_file(used)
            if own is None or used is None or used_file is None:
                continue
            if Path(used_file).resolve() == own:
                waiting.append(used)
            elif is_of_project(used_file, folders):
                return (
                    f"{file} imports {name!r} and gets {used_file} instead of {own}, because a process has one module "
                    f"of each name: add an __init__.py to {Path(file).parent}, and import it as '.{name}'"
                )
    return None


def _beside(file: Path, name: str) -> Path | None:
    """The module of that name in the folder of a file."""
    for candidate in (file.parent / f"{name}.py", file.parent / name / "__init__.py"):
        if candidate.is_file():
            return candidate.resolve()
    return None
