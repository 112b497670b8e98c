"""Reads scripts from `lua/`, with the libraries of `lua/lib/` that they need.

The first lines of a file are directives:

    --! needs: clock keys        libraries; a library can need others, and each is sent once, before what needs it
    --! rare: admit set_ttl      for libraries only: functions that most calls of a script do not call
    --! repeatable: yes          for scripts only: see `Script.repeatable`
    --! shard: thread            for scripts only: the shard whose keys it uses (`catalogue.declarations.Shard`)
    --! threads: 2               for scripts only: it receives the ids of two threads and uses keys of both
    --! keys: deliveries         key kinds whose names are in variables, so that the loader cannot find them in the code

What is sent consists of those definitions of the libraries that the script uses, directly or through each other, and
the script, all without comments. Redis executes all of it in each call: it creates every function again, also one that
is not called. Therefore rare functions, and what only they use, are created when the first of them is called: they are
inside a function `rarely`, and a call of one, `admit(mark)`, becomes `rarely().admit(mark)`.

A key whose kind is a literal is sent as an expression, which costs a third of a call of `key`:
`key('thread_queue', thread_id)` becomes `PREFIX .. ':thread:' .. thread_id .. ':queue'`. Only if a kind is in a
variable, `key` is sent, with the templates of the kinds that the code names.

Scripts publish with PUBLISH. For a cluster the loader also makes the script that publishes with SPUBLISH: PUBLISH would
send each message to all servers.

A number that a library names, such as `local VALUES_READ = 1000`, is sent in place of its name: a variable would be set
in each call, and be a part of each function that uses it.

The source is sent whole only to a server that does not have it: otherwise `Pipeline.run` sends its digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Final

from slipway.redis.catalogue.key_kinds import TEMPLATES
from slipway.redis.script import Script

_LUA: Final = resources.files("slipway.redis") / "lua"
_DIRECTIVE: Final = re.compile(r"^--! (\w+): (.*)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*(--.*)?\n", re.MULTILINE)
_TEXT: Final = re.compile(r"'([^'\n]*)'")
_NAME: Final = re.compile(r"(?<![\w.:])[A-Za-z_]\w*")
_NAME_OR_TEXT: Final = re.compile(f"{_TEXT.pattern}|{_NAME.pattern}")
_STATEMENT: Final = re.compile(r"^(?=(?!end\b|[})])\S)", re.MULTILINE)
_DEFINED: Final = re.compile(r"local function (\w+)|local ([\w, ]+?) =|function (\w+)\.")
_NUMBER: Final = re.compile(r"local ([A-Z][A-Z0-9_]*) = (\d+)(?: *--.*)?\n")
_KEY_CALL: Final = re.compile(r"(?<![\w.])key\('(\w+)'")
_COUNTING: Final = "metrics"
"""The library whose functions count for metrics."""

_PUBLISH, _SHARDED = "'PUBLISH'", "'SPUBLISH'"
"""How a script publishes, and how it does where messages stay on the servers of their slot."""

_FEWEST_RARE: Final = 3
"""The function that creates others is only worth it for so many."""
_BRACKET: Final = re.compile(r"[()]")
_SIMPLE: Final = re.compile(r"[\w.]+(\[\w+\])?")


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
    libraries = libraries_of(text)
    counting = _assembled(name, text, libraries, repeatable == ["yes"], statements_of)
    if _COUNTING not in libraries:
        return counting
    return replace(counting, uncounted=_assembled(name, text, libraries, counting.repeatable, _uncounted_statements_of))


def _assembled(
    name: str, text: str, libraries: Sequence[str], repeatable: bool, read: Callable[[str], Sequence[Statement]]
) -> Script:
    statements = [each for needed in libraries for each in read(needed)]
    rare = {each for needed in libraries for each in directives_of(library(needed)).get("rare", [])}
    code = code_to_send(statements, with_key_names(code_of(text)), rare)
    if "TEMPLATES" in _names(code):
        kinds = {kind for part in (*map(library, libraries), text) for kind in directives_of(part).get("keys", [])}
        kinds |= set(_TEXT.findall(code)) & TEMPLATES.keys()
        templates = ", ".join(f"{kind} = '{TEMPLATES[kind]}'" for kind in sorted(kinds))
        code = f"local TEMPLATES = {{{templates}}}\n{code}"
    sharded = Script(name, code.replace(_PUBLISH, _SHARDED), _digest(code.replace(_PUBLISH, _SHARDED)), repeatable)
    return Script(name, code, _digest(code), repeatable, sharded=sharded if _PUBLISH in code else None)


def _digest(code: str) -> str:
    return hashlib.sha1(code.encode(), usedforsecurity=False).hexdigest()


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


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a library outside its functions, and the names that it defines and uses. Every definition of a
    library is such a statement: a function, a variable, or a function that is a member of a table."""

    code: str
    defines: frozenset[str]
    uses: frozenset[str]


@cache
def statements_of(name: str) -> Sequence[Statement]:
    """The statements of a library. One begins in column 0 and ends before the next line that does, unless that line
    closes it."""
    return [_statement(code) for code in _STATEMENT.split(with_key_names(code_of(library(name)))) if code]


def _uncounted_statements_of(name: str) -> Sequence[Statement]:
    """The same, but the functions that count for metrics do nothing."""
    statements = statements_of(name)
    if name != _COUNTING:
        return statements
    return [
        _statement(f"local function {function}() end\n")
        for each in statements
        if each.code.startswith("local function")
        for function in each.defines
    ]


def _statement(code: str) -> Statement:
    match = _DEFINED.match(code)
    if match is None:
        raise BadScript(f"a library can only define something: {code}")
    return Statement(code, frozenset((match[1] or match[2] or match[3]).split(", ")), _names(code))


def code_to_send(statements: Sequence[Statement], script: str, rare: AbstractSet[str]) -> str:
    """The script, after those statements of its libraries that it needs. Each library follows those that it needs, so a
    name can be used only by what follows its definition."""
    statements, script = _with_numbers(statements, script)
    needed, usual = _used(statements, _names(script)), _used(statements, _names(script) - rare, rare)
    others = [each for each in needed if each not in usual]
    if len(others) < _FEWEST_RARE:
        return "".join([*(each.code for each in needed), script])
    called = sorted(rare & (_names(script) | {name for each in usual for name in each.uses}))
    members = ", ".join(f"{name} = {name}" for name in called)
    made = "".join(each.code for each in others)
    rarely = f"function rarely()\nif not rare then\n{made}rare = {{{members}}}\nend\nreturn rare\nend\n"
    parts = ["local rare, rarely\n", *(_calling_rarely(each.code, called) for each in usual), rarely]
    return "".join([*parts, _calling_rarely(script, called)])


def _with_numbers(statements: Sequence[Statement], script: str) -> tuple[Sequence[Statement], str]:
    """The same without statements that only name a number: the number is in place of each use of the name."""
    named = {match[1]: match[2] for each in statements if (match := _NUMBER.fullmatch(each.code))}

    def with_numbers(code: str) -> str:
        return _NAME_OR_TEXT.sub(lambda match: named.get(match[0], match[0]), code)

    others = [each for each in statements if not _NUMBER.fullmatch(each.code)]
    changed = [_statement(with_numbers(each.code)) if each.uses & named.keys() else each for each in others]
    return changed, with_numbers(script)


def _used(
    statements: Sequence[Statement], names: AbstractSet[str], rare: AbstractSet[str] = frozenset()
) -> list[Statement]:
    """The statements that define these names, and those that they use in turn, except through `rare` names."""
    kept, used = [], set(names)
    for statement in reversed(statements):
        if statement.defines & used:
            kept.append(statement)
            used |= statement.uses - rare
    return kept[::-1]


def _calling_rarely(code: str, called: Sequence[str]) -> str:
    """The code with `rarely().name` in place of each of these names."""
    return _NAME_OR_TEXT.sub(lambda match: f"rarely().{match[0]}" if match[0] in called else match[0], code)


def _names(code: str) -> frozenset[str]:
    """All names in the code except members of tables."""
    return frozenset(_NAME.findall(_TEXT.sub("''", code)))


def with_key_names(code: str) -> str:
    """The code with an expression in place of each call of `key` whose kind is a literal."""
    parts, done = [], 0
    for match in _KEY_CALL.finditer(code):
        if match.start() < done:
            raise BadScript(f"key: the id of a key cannot be another key: {match[0]}")
        end = _end_of_call(code, match.end())
        parts += [code[done : match.start()], _key_name(match[1], code[match.end() : end].removeprefix(", "))]
        done = end + 1
    return "".join([*parts, code[done:]])


def _end_of_call(code: str, position: int) -> int:
    """The position of the bracket that closes the call whose arguments contain `position`."""
    depth = 1
    for bracket in _BRACKET.finditer(code, position):
        depth += 1 if bracket[0] == "(" else -1
        if not depth:
            return bracket.start()
    raise BadScript(f"a call of key is not closed: {code[position:]}")


def _key_name(kind: str, key_id: str) -> str:
    if kind not in TEMPLATES:
        raise BadScript(f"key: there is no kind {kind}")
    before, _, after = TEMPLATES[kind].partition("%s")
    if not key_id:
        return f"PREFIX .. '{before}'"
    key_id = key_id if _SIMPLE.fullmatch(key_id) else f"({key_id})"
    return f"PREFIX .. '{before}' .. {key_id}" + (f" .. '{after}'" if after else "")


def code_of(text: str) -> str:
    """A file without comments that have a line of their own, and without empty lines."""
    return _COMMENT.sub("", text)
