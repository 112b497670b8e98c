"""Reads `langgraph.json`: the members of the official format that matter at run time, and the section `slipway`.

    {
      "graphs": {"quick_answer": "./graphs/quick.py:graph",
                 "desk": {"path": "shop.desk:make_graph", "description": "Refunds"}},
      "dependencies": ["."],
      "env": ".env",
      "slipway": {
        "arq": "./tasks.py:WorkerSettings",
        "ceilings": {"max_steps": 200},
        "tools": {"issue_refund": {"source": "./tools.py:issue_refund", "access": "write", "approval": "always"}},
        "grants": [{"effect": "permit", "graph": "desk", "nodes": ["pay"], "tools": ["issue_refund"]}],
        "graphs": {"quick_answer": {"execution": "inline", "inline_budget_s": 5, "version": "1",
                                    "ceilings": {"max_steps": 50}},
                   "desk": {"versions": {"1": "shop.desk:make_graph", "2": "shop.desk2:graph"}, "default": "1"}}
      }
    }

Unknown top-level keys are accepted, because the file belongs to other tools as well. An unknown key inside `slipway` is
an error, and so is a key of `slipway` outside of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import structlog
from dotenv import dotenv_values
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from slipway.graphs.config_errors import at_line, reject, unknown_key, validate
from slipway.graphs.declared_versions import DeclaredVersions, declared_versions
from slipway.graphs.doctor_section import DoctorSection
from slipway.graphs.hooks_section import HookConfig, hook_configs
from slipway.graphs.mcp_section import McpSection
from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.models_section import ModelsConfig, models_config
from slipway.graphs.official_sections import (
    AuthSection,
    CheckpointerSection,
    ConfigSection,
    HttpSection,
    Section,
    StoreSection,
    WebhooksSection,
)
from slipway.graphs.project_objects import Source, Text
from slipway.graphs.recursion_limit import default_recursion_limit
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.graphs.slipway_section import CeilingsSection, GraphSection, SlipwayOptionsSection, SlipwaySection
from slipway.graphs.spec import GraphSpec
from slipway.graphs.strict_section import StrictSection
from slipway.graphs.tools_section import ApprovalPolicySection, GrantSection, ToolSection
from slipway.model_prices import ModelPrice
from slipway.redaction.rules import RedactionRules
from slipway.value_problems import did_you_mean, kind_of

SECTION_VARIABLES = {
    "graphs": "LANGSERVE_GRAPHS",
    "http": "LANGGRAPH_HTTP",
    "auth": "LANGGRAPH_AUTH",
    "store": "LANGGRAPH_STORE",
    "checkpointer": "LANGGRAPH_CHECKPOINTER",
    "webhooks": "LANGGRAPH_WEBHOOKS",
}
"""Environment variables that replace whole sections of the file; their values are JSON."""

DEFAULT_CONFIGS = "LANGGRAPH_CONFIG"
"""The environment variable with the config of the graphs' system assistants: JSON, by graph id."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def _variable(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"expected a string, found {kind_of(value)}")
    return str(value)


def _without_keys_of(
    section: type[StrictSection], path: str, members: object, *, except_for: Container[str] = ("version",)
) -> object:
    """`members`, which must have no key of `section`: a ceiling or a grant beside its section would have no effect.
    Other tools may use the keys in `except_for`."""
    for key in members if isinstance(members, dict) else ():
        if key in section.model_fields and key not in except_for:
            raise unknown_key(key, f"has no effect here; write it as {path}.{key}")
    return members


class GraphEntry(Section):
    """`graphs.NAME`, in its long form."""

    @model_validator(mode="before")
    @classmethod
    def _reject_misplaced(cls, members: object) -> object:
        return _without_keys_of(GraphSection, "slipway.graphs.NAME", members)

    # A missing path is reported like a path of null.
    path: Source = Field(default=cast(str, None), validate_default=True)
    description: Text | None = None


GraphOrSource = Annotated[
    Annotated[Source, Tag("<source>")] | Annotated[GraphEntry, Tag("<entry>")],
    Discriminator(lambda value: "<entry>" if isinstance(value, (dict, GraphEntry)) else "<source>"),
]

Variables = dict[str, Annotated[str, BeforeValidator(_variable)]]

Environment = Annotated[
    Annotated[str, Tag("<file>")] | Annotated[Variables, Tag("<variables>")],
    Discriminator(lambda value: "<file>" if isinstance(value, str) else "<variables>"),
]
"""The path of a dotenv file, or the variables themselves."""


class EnvironmentMember(Section):
    """The member `env`. It is read before the other members, because its variables may replace them."""

    env: Environment = Field(default_factory=dict)


class LangGraphDocument(EnvironmentMember):
    """The contents of the file, before the variables replace sections and graphs get their settings."""

    @model_validator(mode="before")
    @classmethod
    def _reject_misplaced(cls, members: object) -> object:
        return _without_keys_of(SlipwaySection, "slipway", members, except_for=cls.model_fields)

    graphs: dict[str, GraphOrSource] = Field(default_factory=dict)
    dependencies: list[Text] = Field(default_factory=list)
    """Local folders, which begin with a dot or a slash, and pip requirements, which Slipway does not install."""
    checkpointer: CheckpointerSection = CheckpointerSection()
    store: StoreSection = StoreSection()
    webhooks: WebhooksSection = WebhooksSection()
    auth: AuthSection = AuthSection()
    http: HttpSection = HttpSection()
    slipway: SlipwaySection = SlipwaySection()


@dataclass(frozen=True, slots=True)
class LangGraphJson:
    """The settings of the project: the file and the environment variables combined."""

    file: Path
    graphs: dict[str, GraphSpec]
    search_paths: tuple[Path, ...]
    """Folders for `sys.path`, in order. The folder of the file is always included."""
    env: dict[str, str]
    """Environment variables, to be set before the graphs are imported. Variables that are already set do not change."""
    checkpointer: CheckpointerSection
    store: StoreSection
    webhooks: WebhooksSection
    auth: AuthSection
    http: HttpSection
    prices: dict[str, ModelPrice]
    """What models cost, by name."""
    budgets: BudgetsSection
    arq: str | None
    """The project's arq application: `./file.py:attribute` or `package.module:attribute`."""

    tools: ToolsConfig
    models: ModelsConfig
    mcp: Mapping[str, McpSection]
    """MCP servers by name."""
    rollouts: RolloutsSection
    redaction: RedactionRules
    doctor: DoctorSection
    hooks: Mapping[str, HookConfig]
    """Incoming webhooks by name."""
    text: str = field(default="", repr=False)
    """The text of the file, for the lines in errors."""

    @property
    def folder(self) -> Path:
        return self.file.parent

    def where(self, *path: str | int) -> str:
        """File and line of a value, such as `langgraph.json:12`, for errors that `read` cannot find."""
        return at_line(self.file.name, self.text, path)


@dataclass(frozen=True, slots=True)
class ToolsConfig:
    """`slipway.tools`, `slipway.grants` and `slipway.approval_policies`."""

    tools: Mapping[str, ToolSection]
    grants: Sequence[GrantSection]
    policies: Mapping[str, ApprovalPolicySection]
    has_policy: bool
    """Whether the file has tools, MCP servers or grants, so that only tools with a grant may be called."""

    @classmethod
    def of(cls, section: SlipwaySection) -> ToolsConfig:
        has_policy = section.tools is not None or section.grants is not None or bool(section.mcp)
        return cls(section.tools or {}, section.grants or [], section.approval_policies, has_policy)


def read(path: Path | str, environment: Mapping[str, str] | None = None) -> LangGraphJson:
    """Reads the file. A variable of `SECTION_VARIABLES` replaces its section. A variable of the process takes
    precedence over the same variable in the file's `env`. Raises `ConfigError`, which names the key, the variable, or
    the line."""
    file, name = Path(path).absolute(), str(path)
    process_variables = dict(os.environ if environment is None else environment)
    needed = not process_variables.get(SECTION_VARIABLES["graphs"]) or file.exists()
    text = _text_of(file, name) if needed else ""
    members = _parse(text, name) if needed else {}
    env = _env(file.parent, validate(name, "", EnvironmentMember, members).env)
    variables = env | process_variables
    sections = _sections_in(name, variables)
    document = validate(name, "", LangGraphDocument, members | sections, text=text, outside=sections)
    default_recursion_limit(variables)  # an invalid limit is an error at the start, and not in every run
    return LangGraphJson(
        file=file,
        graphs=_graphs(name, text, document, _default_configs(name, variables)),
        search_paths=_search_paths(name, file.parent, document.dependencies),
        env=env,
        checkpointer=document.checkpointer,
        store=document.store,
        webhooks=document.webhooks,
        auth=document.auth,
        http=document.http,
        prices={name: section.price() for name, section in document.slipway.prices.items()},
        budgets=document.slipway.budgets,
        arq=document.slipway.arq,
        tools=ToolsConfig.of(document.slipway),
        mcp=document.slipway.mcp,
        rollouts=document.slipway.rollouts,
        redaction=document.slipway.redaction.rules(),
        doctor=document.slipway.doctor,
        hooks=hook_configs(name, text, document.slipway.hooks, document.graphs),
        models=models_config(
            name,
            text,
            document.slipway.models,
            {graph_id: section.models for graph_id, section in document.slipway.graphs.items() if section},
        ),
        text=text,
    )


def _sections_in(name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    return {
        section: _json_of(name, variable, text)
        for section, variable in SECTION_VARIABLES.items()
        if (text := variables.get(variable, "").strip())
    }


def _json_of(name: str, variable: str, text: str) -> dict[str, Any]:
    try:
        return _object(name, variable, json.loads(text))
    except json.JSONDecodeError as error:
        reject(name, variable, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")


def _object(name: str, path: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        reject(name, path, f"expected an object, found {kind_of(value)}")
    return value


def _default_configs(name: str, variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    configs = _json_of(name, DEFAULT_CONFIGS, variables.get(DEFAULT_CONFIGS, "").strip() or "{}")
    return {
        graph_id: _default_config(name, f"{DEFAULT_CONFIGS}.{graph_id}", value) for graph_id, value in configs.items()
    }


def _default_config(name: str, path: str, config: object) -> dict[str, Any]:
    section = validate(name, path, ConfigSection, config)
    validate(name, f"{path}.configurable", SlipwayOptionsSection, section.configurable)
    return section.set_members()


def _text_of(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reject(
            name,
            "",
            f"there is no such file ({file}). Create it with "
            '{"dependencies": ["."], "graphs": {"my_graph": "./my_graph.py:graph"}}, or name another one with '
            "--config or SLIPWAY_CONFIG",
        )
    except UnicodeDecodeError as error:
        reject(name, "", f"not UTF-8 text (byte {error.start})")
    except OSError as error:
        reject(name, "", f"cannot be read: {error.strerror}")


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return _object(name, "", json.loads(text, object_pairs_hook=lambda pairs: _reject_duplicate_keys(name, pairs)))
    except json.JSONDecodeError as error:
        reject(name, "", f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")


def _reject_duplicate_keys(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Without this check, `json` would use the last of two equal keys and ignore the first, which may name a graph."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            reject(name, key, "given twice in the same object")
        members[key] = value
    return members


def _graphs(
    name: str, text: str, document: LangGraphDocument, configs: Mapping[str, dict[str, Any]]
) -> dict[str, GraphSpec]:
    if not document.graphs:
        reject(name, "graphs", 'names no graph; add one, such as {"my_graph": "./my_graph.py:graph"}')
    sections, reviews, budgets = document.slipway.graphs, document.slipway.reviews, document.slipway.budgets.graphs
    for key, named in (("graphs", sections), ("reviews", reviews), ("budgets.graphs", budgets)):
        for graph_id in named.keys() - document.graphs.keys():
            where = at_line(name, text, ("slipway", *key.split("."), graph_id))
            reject(where, f"slipway.{key}.{graph_id}", f"unknown graph{did_you_mean(graph_id, document.graphs)}")
    for graph_id in configs.keys() - document.graphs.keys():
        _warn_unused_config(graph_id, did_you_mean(graph_id, document.graphs))
    if not all(graph_id.strip() for graph_id in document.graphs):
        reject(name, "graphs", "the name of a graph is empty")
    for_all = _limits(document.slipway.ceilings)
    specs = {}
    for graph_id, entry in document.graphs.items():
        section = sections.get(graph_id) or GraphSection()
        source = entry if isinstance(entry, str) else entry.path
        versions = declared_versions(source, section, partial(_reject_member, name, text, graph_id))
        description = None if isinstance(entry, str) else entry.description
        specs[graph_id] = _spec(graph_id, description, versions, section, for_all, configs.get(graph_id, {}))
    return specs | {name: replace(specs[name], reviews=section.policies()) for name, section in reviews.items()}


def _reject_member(name: str, text: str, graph_id: str, member: tuple[str, ...], problem: str) -> NoReturn:
    path = ("slipway", "graphs", graph_id, *member)
    reject(at_line(name, text, path), ".".join(path), problem)


def _spec(
    graph_id: str,
    description: str | None,
    versions: DeclaredVersions,
    section: GraphSection,
    for_all: Mapping[str, float],
    config: dict[str, Any],
) -> GraphSpec:
    return GraphSpec(
        graph_id=graph_id,
        source=versions.source,
        description=description,
        execution=section.execution,
        inline_budget_s=section.inline_budget_s,
        ceilings={**for_all, **_limits(section.ceilings)},
        versions=versions.versions,
        default_version=versions.default,
        moves=versions.moves,
        migrations=section.migrations,
        on_exhausted=section.on_exhausted,
        durability=section.durability,
        behaviour=section.behaviour,
        removed_channels=tuple(section.removed_channels),
        config=config,
        priority=section.priority,
        max_running_runs=section.max_running_runs,
        keep_checkpoints=section.keep_checkpoints,
    )


def _limits(ceilings: CeilingsSection | None) -> dict[str, float]:
    return {} if ceilings is None else ceilings.limits()


@cache
def _warn_unused_config(graph_id: str, hint: str) -> None:
    """Logs a warning once for each process. It is not an error, because several projects may share the variable."""
    log.warning("graphs.default_config_unused", variable=DEFAULT_CONFIGS, problem=f"no graph {graph_id!r}{hint}")


def _search_paths(name: str, folder: Path, dependencies: Iterable[str]) -> tuple[Path, ...]:
    """The local folders among the dependencies, and `folder`."""
    roots: list[Path] = []
    for index, text in enumerate(dependencies):
        if not text.startswith((".", "/")):
            continue
        local = (folder / text).resolve()
        if not local.is_dir():
            reject(name, f"dependencies[{index}]", f"there is no folder {text!r} ({local})")
        roots.extend(_import_roots(local))
    return tuple(dict.fromkeys([*roots, folder.resolve()]))


def _import_roots(folder: Path) -> list[Path]:
    """The folders for `sys.path` with which the code in `folder` is imported under the names that it uses itself."""
    if (folder / "__init__.py").exists():
        return [folder.parent]
    is_project = any((folder / name).exists() for name in ("pyproject.toml", "setup.py"))
    return [folder / "src", folder] if is_project and (folder / "src").is_dir() else [folder]


@cache
def _warn_missing_env_file(file: Path) -> None:
    """Logs a warning once for each process."""
    log.warning("graphs.env_file_missing", file=str(file))


def _env(folder: Path, env: str | dict[str, str]) -> dict[str, str]:
    """The variables of `env`. A dotenv file may be missing: usually it is not deployed, and the platform sets the
    variables."""
    if isinstance(env, dict):
        return env
    file = folder / env
    if not file.is_file():
        _warn_missing_env_file(file)
        return {}
    return {name: text for name, text in dotenv_values(file).items() if text is not None}
