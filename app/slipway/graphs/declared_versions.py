"""The versions that `slipway.graphs.NAME` declares, and the checks that need more than one of its members."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from slipway.graphs.served_version import Moves
from slipway.graphs.slipway_section import GraphSection
from slipway.graphs.spec import DeclaredVersion
from slipway.value_problems import did_you_mean

Reject = Callable[[tuple[str, ...], str], NoReturn]
"""Raises `ConfigError` for a member of the section, given by its path, with a problem."""


@dataclass(frozen=True, slots=True)
class DeclaredVersions:
    """The versions of one graph."""

    versions: tuple[DeclaredVersion, ...]
    """Oldest first. Empty if none is declared."""
    default: str | None
    source: str
    """That of the default version."""
    moves: Moves


def declared_versions(source: str, section: GraphSection, reject: Reject) -> DeclaredVersions:
    """The versions of a graph whose entry in `graphs` is `source`. Calls `reject` for the first problem."""
    if section.versions is None:
        return _one_version(source, section, reject)
    if section.version is not None:
        reject(("version",), "has no effect beside versions: leave out one of them")
    if not section.versions:
        reject(("versions",), 'names no version: add one, such as {"1": "./my_graph.py:graph"}')
    versions = tuple(DeclaredVersion(name, each) for name, each in section.versions.items())
    _check_sources(source, versions, reject)
    default = _default(versions, section, reject)
    sources = {each.name: each.source for each in versions}
    return DeclaredVersions(versions, default, sources[default], section.moves or "at-next-run")


def _one_version(source: str, section: GraphSection, reject: Reject) -> DeclaredVersions:
    if section.default is not None:
        reject(("default",), "has no effect without versions: add them, or leave it out")
    if section.version is None:
        if section.migrations is not None:
            reject(("migrations",), "has no effect without version or versions: migrations lead from one to another")
        return DeclaredVersions((), None, source, section.moves or "at-resume")
    versions = (DeclaredVersion(section.version, source),)
    return DeclaredVersions(versions, section.version, source, section.moves or "at-next-run")


def _default(versions: tuple[DeclaredVersion, ...], section: GraphSection, reject: Reject) -> str:
    names = [each.name for each in versions]
    if section.default is None:
        if len(names) > 1:
            reject((), f"has {len(names)} versions and no default: add the version of new threads, such as "
                       f'"default": "{names[-1]}"')  # fmt: skip
        return names[0]
    if section.default not in names:
        hint = did_you_mean(section.default, names)
        reject(("default",), f"unknown version {section.default!r}{hint}")
    return section.default


def _check_sources(source: str, versions: tuple[DeclaredVersion, ...], reject: Reject) -> None:
    """Two versions with one source would be one. And `graphs`, which other tools read, must not name a third."""
    seen: dict[str, str] = {}
    for each in versions:
        known = seen.setdefault(_normal(each.source), each.name)
        if known != each.name:
            reject(("versions", each.name), f"has the source of version {known!r}: two versions need two sources")
    if _normal(source) not in seen:
        reject(
            ("versions",),
            f"none of them has the source {source!r}, which graphs names for this graph: name one of theirs there",
        )


def _normal(source: str) -> str:
    """Equal for `./a.py:graph` and `a.py:graph`."""
    where, _, attribute = source.rpartition(":")
    return f"{posixpath.normpath(where)}:{attribute}"
