"""Loads the object that `./file.py:attribute` or `package.module:attribute` names, and explains failures.

A file is imported under the module name by which other code imports it: the name that its folders and `sys.path` give
it. Then its classes are the same classes for all code. If importing that name would load another file (two files with
one name, a folder that is not on `sys.path`, the name of an installed package), the module name is derived from the
path of the file, relative to langgraph.json. Stored states name their classes by module, so the name must be the same
in every process, on every machine and in every release.

Importing executes the project's code, which may block: nothing here may run on the event loop.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from slipway.graphs.current_project import set_current_project
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.modules import SLIPWAY_PACKAGES
from slipway.value_problems import did_you_mean

REASON_CHARS = 1000


class CannotLoad(Exception):
    """The source cannot be loaded, for a reason other than an exception of the project's code. The message is the
    complete reason."""


def prepare(config: LangGraphJson) -> None:
    """Sets the environment variables and the `sys.path` of the project. Called once, before its code is imported."""
    for name, value in config.env.items():
        os.environ.setdefault(name, value)
    existing = set(sys.path)
    sys.path.extend(str(path) for path in config.search_paths if str(path) not in existing)
    importlib.invalidate_caches()
    set_current_project(config)


def load(source: str, config: LangGraphJson) -> object:
    """The object that `source` names. Raises `CannotLoad`, or any exception of the project's code."""
    where, _, attribute = source.rpartition(":")
    module = load_module(where, config)
    target: object = module
    for name in attribute.split("."):
        if not hasattr(target, name):
            hint = did_you_mean(name, [n for n in vars(module) if not n.startswith("_")])
            raise CannotLoad(f"{where} has no attribute {name!r}{hint if 'mean' in hint else ''}")
        target = getattr(target, name)
    return target


def load_module(where: str, config: LangGraphJson) -> ModuleType:
    """The module that `./file.py` or `package.module` names. Raises as `load`."""
    return _load_file(where, config) if _is_file(where) else _load_module(where)


def reason(error: BaseException, config: LangGraphJson) -> str:
    """Why loading failed, in one paragraph: exception type, message, and file and line of the project's code."""
    if isinstance(error, CannotLoad):
        return str(error)
    message = (error.msg if isinstance(error, SyntaxError) else str(error)) or "no message"
    text = " ".join(f"{type(error).__name__}: {message}".split())[:REASON_CHARS]
    line = _project_line(error, config)
    hint = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"; {_remedy(error.name, config)}"
    return f"{text}{f' ({line})' if line else ''}{hint}"


def _remedy(module: str, config: LangGraphJson) -> str:
    """What to do about a module that does not exist. Its package may be installed: then the version may be wrong."""
    package = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return f'install {package!r}, or add its folder to "dependencies" in {config.file.name}'
    home = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    where = _displayed_path(home, config)
    return f"{package!r} is installed ({where}) without this module: check its version, or the name"


def _project_line(error: BaseException, config: LangGraphJson) -> str | None:
    """File and number of the innermost line of the traceback that is in a folder of the project and not in an installed
    package."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_displayed_path(error.filename, config)}:{error.lineno}"
    homes = [path.resolve() for path in (config.folder, *config.search_paths)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if "site-packages" not in file.parts and any(file.is_relative_to(home) for home in homes):
            return f"{_displayed_path(frame.filename, config)}:{frame.lineno}"
    return None


def _displayed_path(filename: str, config: LangGraphJson) -> str:
    file, home = Path(filename).resolve(), config.folder.resolve()
    return str(file.relative_to(home)) if file.is_relative_to(home) else str(file)


def _is_file(where: str) -> bool:
    return "/" in where or "\\" in where or where.endswith(".py")


def _load_module(name: str) -> ModuleType:
    top = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if top in SLIPWAY_PACKAGES and error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise CannotLoad(
                f"there is no module {name!r}: the name {top!r} belongs to Slipway itself; "
                f"name the file instead, as in './{name.replace('.', '/')}.py:…'"
            ) from error
        raise


def _load_file(where: str, config: LangGraphJson) -> ModuleType:
    home = config.folder.resolve()
    file = (home / where).resolve()
    if file.suffix != ".py":
        raise CannotLoad(f"{where} is not a Python file; only Python graphs can be served")
    if not file.is_file():
        near = did_you_mean(file.name, [path.name for path in file.parent.glob("*.py")])
        raise CannotLoad(f"there is no file {where} ({file}){near}")
    top = _outermost_package(file)
    for root in dict.fromkeys((top.parent, *config.search_paths)):
        if file.is_relative_to(root) and _imports_file(_module_name(file, root), file, root):
            return importlib.import_module(_module_name(file, root))
    if not top.is_dir():
        return _execute(_unique_name(file, home), file, None)
    package = _unique_name(top, home)
    _execute(package, top / "__init__.py", [str(top)])
    inside = _module_name(file, top)
    return importlib.import_module(f"{package}.{inside}" if inside else package)


def _outermost_package(file: Path) -> Path:
    """The folder of the outermost package that contains `file`, or the file itself."""
    top = file
    while (top.parent / "__init__.py").exists():
        top = top.parent
    return top


def _module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_file(name: str, file: Path, root: Path) -> bool:
    """Whether importing `name` loads this file.

    The first part of the name is resolved before the rest. That executes nothing; resolving the complete name at once
    could execute another package.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    first = root / parts[0]
    start = first / "__init__.py" if (first / "__init__.py").exists() else file if len(parts) == 1 else None
    spec = _spec(parts[0])
    if spec is None or (Path(spec.origin).resolve() if spec.origin else None) != start:
        return False
    if len(parts) > 1:
        spec = _spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):  # a parent that is not a package; a module without a spec
        return None


def _unique_name(path: Path, home: Path) -> str:
    """A module name that is derived from the path relative to `home`, or from the absolute path if another project in
    this process uses that name."""
    relative = os.path.relpath(path, home)
    name = _name_from(path.stem, relative)
    existing_module = sys.modules.get(name)
    file = path / "__init__.py" if path.is_dir() else path
    if existing_module is not None and Path(getattr(existing_module, "__file__", None) or "").resolve() != file:
        return _name_from(path.stem, str(path))
    return name


def _name_from(stem: str, path: str) -> str:
    digest = hashlib.sha256(path.encode()).hexdigest()[:8]
    return f"graph_file_{re.sub(r'[^0-9A-Za-z_]', '_', stem)}_{digest}"


def _execute(name: str, file: Path, package_folders: list[str] | None) -> ModuleType:
    """Imports `file` as the module `name`, once. A module whose import fails is removed from `sys.modules`."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=package_folders)
    if spec is None or spec.loader is None:
        raise CannotLoad(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
