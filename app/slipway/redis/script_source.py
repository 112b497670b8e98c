"""Reads scripts from `lua/`, with the libraries of `lua/lib/` that they need.

The first lines of a file are directives:

    --! needs: clock keys        libraries; a library can need others, and each is sent once, before what needs it
    --! repeatable: yes          for scripts only: see `Script.repeatable`
    --! shard: thread            for scripts only: the shard whose keys it uses (`catalogue.declarations.Shard`)
    --! threads: 2               for scripts only: it receives the ids of two threads and uses keys of both
    --! keys: deliveries         key kinds whose names are in variables, so that the loader cannot find them in the code

What is sent consists of the templates of the key kinds that the code names, the libraries and the script, all without
comments. It is sent whole only to a server that does not have it: otherwise `Pipeline.run` sends its digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Final

from slipway.redis.catalogue.key_kinds import TEMPLATES
from slipway.redis.script import Script

_LUA: Final = resources.files("slipway.redis") / "lua"
_DIRECTIVE: Final = re.compile(r"^--! (\w+): (.*)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*(--.*)?\n", re.MULTILINE)
_TEXT: Final = re.compile(r"'([^'\n]*)'")


class BadScript(Exception):
    """A script cannot be assembled. Such a script is never released: a test loads all of them."""


@cache
def load(name: str) -> Script:
    """The script `lua/<name>.lua`. Raises `BadScript`."""
    text = (_LUA / f"{name}.lua").read_text()
    directives = directives_of(text)
    repeatable = directives.get("repeatable", [])
    if repeatable not in (["yes"], ["no"]):
        raise BadScript(f"{name}.lua: the line '--! repeatable: yes' (or no) is missing")
    parts = [library(needed) for needed in libraries_of(text)] + [text]
    kinds = {kind for part in parts for kind in key_kinds_in(part)}
    code = "".join(code_of(part) for part in parts)
    if kinds:
        templates = ", ".join(f"{kind} = '{TEMPLATES[kind]}'" for kind in sorted(kinds))
        code = f"local TEMPLATES = {{{templates}}}\n{code}"
    digest = hashlib.sha1(code.encode(), usedforsecurity=False).hexdigest()
    return Script(name, code, digest, repeatable == ["yes"])


@cache
def library(name: str) -> str:
    """The text of `lua/lib/<name>.lua`."""
    return (_LUA / "lib" / f"{name}.lua").read_text()


def libraries_of(text: str) -> list[str]:
    """The libraries that a script or library needs, directly or through other libraries. Each library follows those
    that it needs itself. Raises `BadScript` if libraries need each other."""
    return list(dict.fromkeys(_libraries_of(text, ())))


def _libraries_of(text: str, path: tuple[str, ...]) -> Iterator[str]:
    """The libraries in the same order, repeated if several others need them. `path` are the libraries that led here."""
    for name in directives_of(text).get("needs", []):
        if name in path:
            raise BadScript(f"libraries need each other: {' -> '.join((*path, name))}")
        yield from _libraries_of(library(name), (*path, name))
        yield name


def directives_of(text: str) -> Mapping[str, list[str]]:
    """The words of each directive of a file."""
    return {match[1]: match[2].split() for match in _DIRECTIVE.finditer(text)}


def key_kinds_in(text: str) -> set[str]:
    """The key kinds that a file names: in its code, and in its directive."""
    return (set(_TEXT.findall(code_of(text))) | set(directives_of(text).get("keys", []))) & TEMPLATES.keys()


def code_of(text: str) -> str:
    """A file without comments that have a line of their own, and without empty lines."""
    return _COMMENT.sub("", text)
