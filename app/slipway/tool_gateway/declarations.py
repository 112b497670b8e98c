"""The decorator with which the project's code declares tools."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from langchain_core.tools import BaseTool

from slipway.errors import ConfigError
from slipway.graphs.tools_section import Access
from slipway.tool_gateway.definition import Predicate
from slipway.tool_gateway.instrumentation import CannotInstrument
from slipway.tool_gateway.target import ToolTarget

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """What the code says about a tool. None for what it does not say."""

    version: str | None = None
    access: Access | None = None
    secrets: Sequence[str] = ()
    timeout_s: float | None = None
    retries: int | None = None
    args_schema: Mapping[str, Any] | None = None
    result_schema: Mapping[str, Any] | None = None
    redact: Sequence[str] = ()
    approval: str | Predicate | None = None
    fallback: str | None = None
    fingerprint: str | None = None

    @property
    def text(self) -> str:
        """Equal for equal options, also of a module that was imported twice and has two functions for one predicate."""
        rule = self.approval
        name = getattr(rule, "__qualname__", "a function")
        return repr(replace(self, approval=rule if rule is None or isinstance(rule, str) else name))


NO_OPTIONS: Final = ToolOptions()


@dataclass(frozen=True, slots=True)
class Declaration:
    """A tool that the code declares."""

    target: ToolTarget
    options: ToolOptions

    @property
    def file(self) -> Path:
        return Path(self.target.where.rpartition(":")[0]).resolve()


_DECLARED: Final[list[Declaration]] = []
"""All declarations of this process. A process has one project, except in tests."""


def tool(
    name: str | None = None,
    *,
    version: str | None = None,
    access: Access | None = None,
    secrets: Sequence[str] = (),
    timeout_s: float | None = None,
    retries: int | None = None,
    args_schema: Mapping[str, Any] | None = None,
    result_schema: Mapping[str, Any] | None = None,
    redact: Sequence[str] = (),
    approval: str | Predicate | None = None,
    fallback: str | None = None,
) -> Callable[[T], T]:
    """Declares a function or a LangChain tool as a tool of the project, and returns the same object. From then on every
    call of it passes the gateway of the run, however it is made; outside of a run it raises `ToolRefused`.

    `slipway.tools` in langgraph.json may add to a declaration and make it stricter. `docs/tools.md` and
    `tool_gateway/definition.py` say what each member means; `approval` is `always`, `never`, the name of a policy, or a
    predicate over the arguments.
    Raises `ConfigError` if the object cannot be a tool."""

    options = ToolOptions(
        version=version,
        access=access,
        secrets=tuple(secrets),
        timeout_s=timeout_s,
        retries=retries,
        args_schema=args_schema,
        result_schema=result_schema,
        redact=tuple(redact),
        approval=approval,
        fallback=fallback,
    )

    def declare(target: T) -> T:
        found = target.name if isinstance(target, BaseTool) else getattr(target, "__name__", "")
        try:
            made = ToolTarget(name or found, target)
        except CannotInstrument as error:
            raise ConfigError(f"tool {name or found!r}: {error}") from error
        _DECLARED.append(Declaration(made, options))
        return target

    return declare


def declarations_in(folders: Sequence[Path], config: str) -> list[Declaration]:
    """The declarations of the project with these folders, and of installed packages. A folder inside, with a file named
    `config` of its own, is another project."""
    roots = {folder.resolve() for folder in folders}
    return [each for each in _DECLARED if _is_in(each.file, roots, config) or "site-packages" in each.file.parts]


def _is_in(file: Path, roots: Collection[Path], config: str) -> bool:
    for folder in file.parents:
        if folder in roots:
            return True
        if (folder / config).exists():
            return False
    return False
