"""Reading langgraph.json: the official format as far as it matters at run time, and our own section in it.

    {
      "graphs": {"quick_answer": "./graphs/quick.py:graph",
                 "desk": {"path": "shop.desk:make_graph", "description": "Refunds"}},
      "dependencies": ["."],
      "env": ".env",
      "slipway": {
        "ceilings": {"max_steps": 200},
        "graphs": {"quick_answer": {"execution": "inline", "inline_budget_s": 5, "version": "1",
                                    "ceilings": {"max_steps": 50}}}
      }
    }

Top-level keys that are not ours to use are accepted: the file belongs to other tools as well. Inside "slipway" a key
that nobody knows is an error, for it would be a setting that silently does nothing.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast, get_args

import structlog
from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from slipway.ceilings import NAMES
from slipway.errors import ConfigError
from slipway.graphs.recursion_limit import default_recursion_limit
from slipway.graphs.sections import (
    AuthSection,
    CheckpointerSection,
    ConfigSection,
    HttpSection,
    StoreSection,
    WebhooksSection,
)
from slipway.graphs.spec import ExecutionMode, GraphSpec, Priority
from slipway.settings import NOT_ENFORCED

FRACTIONAL = ("max_active_s", "max_step_s")
EXECUTIONS = ("worker", "inline")
PRIORITIES = get_args(Priority)
GRAPH_KEYS = ("execution", "inline_budget_s", "ceilings", "version", "priority", "max_running_runs")

SECTION_VARIABLES = {
    "graphs": "LANGSERVE_GRAPHS",
    "http": "LANGGRAPH_HTTP",
    "auth": "LANGGRAPH_AUTH",
    "store": "LANGGRAPH_STORE",
    "checkpointer": "LANGGRAPH_CHECKPOINTER",
    "webhooks": "LANGGRAPH_WEBHOOKS",
}
"""Environment variables that stand in for sections of the file."""

DEFAULT_CONFIGS = "LANGGRAPH_CONFIG"
"""The environment variable with the config of the graphs' system assistants: JSON, by graph id."""

Section = TypeVar("Section", bound=BaseModel)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LangGraphJson:
    """The file, checked."""

    file: Path
    graphs: dict[str, GraphSpec]
    search_paths: tuple[Path, ...]
    """Folders for `sys.path`, in order; the file's own is always among them."""
    env: dict[str, str]
    """Environment for the graphs, to be set before they are imported; variables already set win."""
    checkpointer: CheckpointerSection
    store: StoreSection
    webhooks: WebhooksSection
    auth: AuthSection
    http: HttpSection

    @property
    def folder(self) -> Path:
        return self.file.parent


def read(path: Path | str, environment: Mapping[str, str] | None = None) -> LangGraphJson:
    """The graphs and where their code is. A section that the environment has too (`SECTION_VARIABLES`) is the
    environment's, and the file's `env` is below the environment. Raises `ConfigError` that names the key, the
    variable, or the line, at fault."""
    file = Path(path).absolute()
    reader = _Reader(str(path))
    own = dict(os.environ if environment is None else environment)
    needed = not own.get(SECTION_VARIABLES["graphs"]) or file.exists()
    document = reader.mapping("", _parse(file, reader)) if needed else {}
    env = _env(reader, file.parent, document.get("env"))
    document |= _twins(reader, env | own)
    configs = _default_configs(reader, env | own)
    default_recursion_limit(env | own)  # refused now, not by every run
    ours = reader.mapping("slipway", document.get("slipway"))
    reader.known_keys("slipway", ours, ("graphs", "ceilings"))
    return LangGraphJson(
        file=file,
        graphs=_graphs(reader, document, ours, configs),
        search_paths=_search_paths(reader, file.parent, document.get("dependencies")),
        env=env,
        checkpointer=_section(reader, "checkpointer", CheckpointerSection, document.get("checkpointer")),
        store=_section(reader, "store", StoreSection, document.get("store")),
        webhooks=_section(reader, "webhooks", WebhooksSection, document.get("webhooks")),
        auth=_section(reader, "auth", AuthSection, document.get("auth")),
        http=_section(reader, "http", HttpSection, document.get("http")),
    )


def _twins(reader: _Reader, environment: Mapping[str, str]) -> dict[str, Any]:
    """Whole sections, as images carry them: JSON in variables, instead of what the file says."""
    found: dict[str, Any] = {}
    for section, name in SECTION_VARIABLES.items():
        if text := environment.get(name, "").strip():
            found[section] = _json_of(reader, name, text)
    return found


def _json_of(reader: _Reader, variable: str, text: str) -> dict[str, Any]:
    try:
        return reader.mapping(variable, json.loads(text))
    except json.JSONDecodeError as error:
        reader.refuse(variable, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")


def _default_configs(reader: _Reader, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    given = _json_of(reader, DEFAULT_CONFIGS, environment.get(DEFAULT_CONFIGS, "").strip() or "{}")
    return {
        graph_id: _section(reader, f"{DEFAULT_CONFIGS}.{graph_id}", ConfigSection, config).given()
        for graph_id, config in given.items()
    }


class _Reader:
    """Checks of values, each of which names the file and the path of the key when it refuses."""

    def __init__(self, file: str) -> None:
        self._file = file

    def refuse(self, path: str, problem: str) -> NoReturn:
        raise ConfigError(f"{self._file}: {path}: {problem}" if path else f"{self._file}: {problem}")

    def mapping(self, path: str, value: object) -> dict[str, Any]:
        """An object; absent counts as empty."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(path, f"expected an object, found {_kind(value)}")
        return value

    def text(self, path: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self.refuse(path, f"expected a non-empty string, found {_kind(value)}")
        return value

    def number(self, path: str, value: object, *, fraction: bool) -> float:
        """A positive number; whole unless a `fraction` makes sense."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(path, f"expected a number, found {_kind(value)}")
        if not math.isfinite(value) or value <= 0:
            self.refuse(path, f"expected a number above 0, found {value}")
        if not fraction and value != int(value):
            self.refuse(path, f"expected a whole number, found {value}")
        return value

    def known_keys(self, path: str, value: dict[str, Any], known: Iterable[str]) -> None:
        for key in value:
            if key not in known:
                self.refuse(f"{path}.{key}", f"unknown key{did_you_mean(key, known)}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when something is close, else what there is, else nothing."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else ""


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
    return "an empty string" if value == "" else names.get(type(value), f"the string {value!r}")


def _parse(file: Path, reader: _Reader) -> object:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reader.refuse(
            "",
            f"there is no such file ({file}). Create it with "
            '{"dependencies": ["."], "graphs": {"my_graph": "./my_graph.py:graph"}}, or name another one with --config',
        )
    except UnicodeDecodeError as error:
        reader.refuse("", f"not UTF-8 text (byte {error.start})")
    except OSError as error:
        reader.refuse("", f"cannot be read: {error.strerror}")
    try:
        return cast(object, json.loads(text, object_pairs_hook=lambda pairs: _reject_duplicate_keys(reader, pairs)))
    except json.JSONDecodeError as error:
        reader.refuse("", f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")


def _reject_duplicate_keys(reader: _Reader, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice would silently lose the first one, which may be a whole graph."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            reader.refuse(key, "given twice in the same object")
        found[key] = value
    return found


def _graphs(
    reader: _Reader, document: dict[str, Any], ours: dict[str, Any], configs: Mapping[str, dict[str, Any]]
) -> dict[str, GraphSpec]:
    named = reader.mapping("graphs", document.get("graphs"))
    if not named:
        reader.refuse("graphs", 'names no graph; add one, such as {"my_graph": "./my_graph.py:graph"}')
    options = reader.mapping("slipway.graphs", ours.get("graphs"))
    reader.known_keys("slipway.graphs", options, named)
    for_all = _ceilings(reader, "slipway.ceilings", ours.get("ceilings"))
    for graph_id in configs.keys() - named.keys():
        _warn_of_no_graph(graph_id, did_you_mean(graph_id, named))
    return {
        graph_id: replace(
            _graph(
                reader, graph_id, value, reader.mapping(f"slipway.graphs.{graph_id}", options.get(graph_id)), for_all
            ),
            config=configs.get(graph_id, {}),
        )
        for graph_id, value in named.items()
    }


@cache
def _warn_of_no_graph(graph_id: str, hint: str) -> None:
    """Once, however often the environment is read. Images may share the variable, so it is no error."""
    log.warning("graphs.default_config_unused", variable=DEFAULT_CONFIGS, problem=f"no graph {graph_id!r}{hint}")


def _graph(
    reader: _Reader, graph_id: str, value: object, options: dict[str, Any], for_all: dict[str, float]
) -> GraphSpec:
    if not graph_id.strip():
        reader.refuse("graphs", "a graph's name is empty")
    source, description = _source(reader, f"graphs.{graph_id}", value)
    path = f"slipway.graphs.{graph_id}"
    reader.known_keys(path, options, GRAPH_KEYS)
    execution = options.get("execution", "worker")
    if execution not in EXECUTIONS:
        reader.refuse(f"{path}.execution", f"unknown {execution!r}{did_you_mean(str(execution), EXECUTIONS)}")
    priority = options.get("priority", "normal")
    if priority not in PRIORITIES:
        reader.refuse(f"{path}.priority", f"unknown {priority!r}{did_you_mean(str(priority), PRIORITIES)}")
    most, budget_s = options.get("max_running_runs"), options.get("inline_budget_s")
    return GraphSpec(
        graph_id=graph_id,
        source=source,
        description=description,
        execution=cast(ExecutionMode, execution),
        inline_budget_s=None if budget_s is None else reader.number(f"{path}.inline_budget_s", budget_s, fraction=True),
        ceilings=for_all | _ceilings(reader, f"{path}.ceilings", options.get("ceilings")),
        version=reader.text(f"{path}.version", options.get("version", "1")),
        priority=cast(Priority, priority),
        max_running_runs=None if most is None else int(reader.number(f"{path}.max_running_runs", most, fraction=False)),
    )


def _source(reader: _Reader, path: str, value: object) -> tuple[str, str | None]:
    """Source and description, of the string form or of the object form."""
    description = None
    if isinstance(value, dict):
        if value.get("description") is not None:
            description = reader.text(f"{path}.description", value["description"])
        path, value = f"{path}.path", value.get("path")
    source = reader.text(path, value).strip()
    where, _, attribute = source.rpartition(":")
    if not where or not attribute:
        reader.refuse(path, f"expected './file.py:attribute' or 'package.module:attribute', found {source!r}")
    return source, description


def _ceilings(reader: _Reader, path: str, value: object) -> dict[str, float]:
    ceilings = reader.mapping(path, value)
    for name in ceilings.keys() & NOT_ENFORCED.keys():
        reader.refuse(f"{path}.{name}", NOT_ENFORCED[name])
    reader.known_keys(path, ceilings, NAMES)
    return {
        name: reader.number(f"{path}.{name}", limit, fraction=name in FRACTIONAL) for name, limit in ceilings.items()
    }


def _section(reader: _Reader, name: str, model: type[Section], value: object) -> Section:
    try:
        return model.model_validate(reader.mapping(name, value))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        reader.refuse(".".join(map(str, (name, *problem["loc"]))), problem["msg"].removeprefix("Value error, "))


def _search_paths(reader: _Reader, folder: Path, value: object) -> tuple[Path, ...]:
    """Local folders among the dependencies. What does not start with a dot or a slash is a pip requirement."""
    if value is not None and not isinstance(value, list):
        reader.refuse("dependencies", f"expected a list, found {_kind(value)}")
    found: list[Path] = []
    for index, item in enumerate(value or []):
        text = reader.text(f"dependencies[{index}]", item)
        if not text.startswith((".", "/")):
            continue
        local = (folder / text).resolve()
        if not local.is_dir():
            reader.refuse(f"dependencies[{index}]", f"there is no folder {text!r} ({local})")
        found.extend(_import_roots(local))
    return tuple(dict.fromkeys([*found, folder.resolve()]))


def _import_roots(folder: Path) -> list[Path]:
    """What to put on `sys.path` so that the code in `folder` can be imported by the name its author uses."""
    if (folder / "__init__.py").exists():
        return [folder.parent]
    is_project = any((folder / name).exists() for name in ("pyproject.toml", "setup.py"))
    return [folder / "src", folder] if is_project and (folder / "src").is_dir() else [folder]


@cache
def _warn_missing_env_file(file: Path) -> None:
    """Once, however often the file that names it is read."""
    log.warning("graphs.env_file_missing", file=str(file))


def _env(reader: _Reader, folder: Path, value: object) -> dict[str, str]:
    """A dotenv file may be missing: it is seldom deployed, and then the platform sets the variables."""
    if isinstance(value, str):
        file = folder / value
        if not file.is_file():
            _warn_missing_env_file(file)
            return {}
        return {name: text for name, text in dotenv_values(file).items() if text is not None}
    variables = reader.mapping("env", value)
    for name, setting in variables.items():
        if isinstance(setting, bool) or not isinstance(setting, (str, int, float)):
            reader.refuse(f"env.{name}", f"expected a string, found {_kind(setting)}")
    return {name: str(setting) for name, setting in variables.items()}
