"""Parses the Lua scripts and lists which keys and hash fields each script reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_CALL: Final = re.compile(r"redis\.p?call\(")
_FUNCTION: Final = re.compile(r"^(?:local )?function ([\w.]+)\((.*?)\)", re.MULTILINE)
_ASSIGNMENT: Final = re.compile(r"^\s*local ([\w, ]+?) = (.+)$", re.MULTILINE)
_KIND: Final = re.compile(r"key\('(\w+)'")
_LITERAL: Final = re.compile(r"'([^']*)'")
_PREFIXED: Final = re.compile(r"'([^']+)' \.\. .+")
_KEY_ARGUMENT: Final = re.compile(r"KEYS\[(\d+)\]")

_FIELD_WRITES: Final = frozenset({"HSET", "HSETNX", "HINCRBY", "HDEL"})
_FIELD_READS: Final = frozenset({"HGET", "HMGET", "HEXISTS", "HSTRLEN", "HINCRBY"})
_WRITES: Final = _FIELD_WRITES | {
    "DEL",
    "UNLINK",
    "EXPIRE",
    "PEXPIRE",
    "PEXPIREAT",
    "SET",
    "DECRBY",
    "INCRBY",
    "COPY",
    "RENAME",
    "PERSIST",
    "XADD",
    "PUBLISH",
    "APPEND",
    "GETDEL",
}
_MEMBER_WRITES: Final = {
    "ZADD",
    "ZINCRBY",
    "ZREM",
    "ZPOPMIN",
    "ZREMRANGEBYSCORE",
    "ZREMRANGEBYRANK",
    "SADD",
    "SREM",
    "RPOP",
    "RPUSH",
    "LTRIM",
    "LSET",
}
_READS: Final = _FIELD_READS | {
    "GET",
    "LRANGE",
    "EXISTS",
    "HGETALL",
    "HKEYS",
    "HRANDFIELD",
    "SCARD",
    "SISMEMBER",
    "SMEMBERS",
    "XRANGE",
    "XREVRANGE",
    "LINDEX",
    "XLEN",
    "PTTL",
}
_MEMBER_READS: Final = {
    "ZCARD",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZRANGE",
    "ZRANK",
    "SRANDMEMBER",
    "ZREVRANK",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZSCORE",
}
_JSON_READS: Final = {"JSON.GET", "JSON.OBJKEYS"}
_ALL_WRITES: Final = _WRITES | _MEMBER_WRITES | {"JSON.SET"}
_ALL_READS: Final = _READS | _MEMBER_READS | _JSON_READS
_WITHOUT_KEYS: Final = frozenset({"TIME", "INFO"})
_MANY_KEYS: Final = frozenset({"DEL", "UNLINK", "EXISTS", "COPY", "RENAME"})

UNNAMED: Final = "*"
"""The name of a field whose real name is data, and therefore not in the source."""


@dataclass(frozen=True, slots=True)
class Use:
    """A script's use of a key kind (`field` is None) or of one of its fields."""

    script: str
    kind: str
    field: str | None
    writes: bool


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A value that a script gives to a field with `HSET`. `expression` is the Lua expression of the value."""

    script: str
    kind: str
    field: str
    expression: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A function, or the code of a script outside its functions."""

    name: str
    text: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    """One `redis.call` that a script executes, in the block that contains it, with the variables of that block."""

    script: str
    block: _Block
    variables: Mapping[str, str]
    arguments: Sequence[str]

    @property
    def verb(self) -> str:
        """The Redis command, or the expression that computes it."""
        return self.arguments[0].strip("'")


def _blocks(name: str, source: str) -> list[_Block]:
    """The functions of a file; the last block is the code outside them. Functions begin and end in column 0."""
    source = re.sub(r"--.*$", "", source, flags=re.MULTILINE)
    functions: list[_Block] = []
    outside: list[str] = []
    end_of_last = 0
    for match in _FUNCTION.finditer(source):
        line = source[match.start() : source.index("\n", match.start())]
        end = match.start() + len(line) if line.endswith(" end") else source.index("\nend", match.start()) + 4
        parameters = tuple(part.strip() for part in match[2].split(","))
        functions.append(_Block(match[1], source[match.start() : end], parameters))
        outside.append(source[end_of_last : match.start()])
        end_of_last = end
    return [*functions, _Block(name, "".join([*outside, source[end_of_last:]]))]


def arguments_of(text: str) -> list[str]:
    """The arguments of a call. `text` starts after the call's opening bracket."""
    arguments, depth, start, quoted = [], 0, 0, False
    for position, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        if quoted:
            continue
        if char in "([{":
            depth += 1
        elif char in ")]}" and depth:
            depth -= 1
        elif char in ",)" and not depth:
            arguments.append(" ".join(text[start:position].split()))
            start = position + 1
            if char == ")":
                break
    return arguments


def variables_of(text: str) -> dict[str, str]:
    """Local variables and the expressions that are assigned to them."""
    variables: dict[str, str] = {}
    for match in _ASSIGNMENT.finditer(text):
        names = [name.strip() for name in match[1].split(",")]
        variables.update(zip(names, arguments_of(match[2] + ")"), strict=False))
    return variables


@dataclass(frozen=True, slots=True)
class LuaSource:
    """All scripts and the libraries that they share.

    `key_kinds` has the kinds of each script's `KEYS`. `unnamed` has the kinds of keys whose names a function receives
    or computes; its key is the function (or script) and the expression. `<script>/<function>` is a function as this
    one script calls it."""

    scripts: Mapping[str, str]
    shared: Sequence[str]
    kinds: frozenset[str]
    key_kinds: Mapping[str, Sequence[str]]
    unnamed: Mapping[tuple[str, str], Sequence[str]]

    def uses(self) -> set[Use]:
        """The uses of each script, including those of the functions that it calls."""
        return {use for call in self._calls() for use in self._uses_of(call)}

    def field_values(self, kind: str, field: str) -> set[FieldValue]:
        """The values that scripts give to this field, including those that the functions give which they call."""
        calls = (call for call in self._calls() if call.verb == "HSET")
        values = {value for call in calls for value in self._values_of(call)}
        return {value for value in values if (value.kind, value.field) == (kind, field)}

    def _calls(self) -> Iterator[_Call]:
        shared = {block.name: block for source in self.shared for block in _blocks("", source)}
        for name, source in self.scripts.items():
            yield from _calls_of_script(name, source, shared)

    def _values_of(self, call: _Call) -> Iterator[FieldValue]:
        for kind in self._kinds_of(call, call.arguments[1]):
            for name, expression in zip(call.arguments[2::2], call.arguments[3::2], strict=False):
                for field in _fields("HSET", [name]):
                    yield FieldValue(call.script, kind, field, expression)

    def _uses_of(self, call: _Call) -> Iterator[Use]:
        verb = call.verb
        if verb in _WITHOUT_KEYS or verb.startswith("unpack("):
            return
        if verb not in _ALL_WRITES | _ALL_READS:
            raise ValueError(f"{call.script}: {verb} is not in the lists of commands of this module")
        keys = call.arguments[1:] if verb in _MANY_KEYS else call.arguments[1:2]
        for position, expression in enumerate(keys):
            if expression == "'REPLACE'":
                continue
            source_of_copy = verb == "COPY" and position == 0
            accesses = [True] if verb in _ALL_WRITES and not source_of_copy else []
            accesses += [False] if verb in _ALL_READS or source_of_copy else []
            for kind in self._kinds_of(call, expression):
                for writes in accesses:
                    yield Use(call.script, kind, None, writes)
                    if verb in _FIELD_WRITES | _FIELD_READS:
                        fields = _fields(verb, call.arguments[2:])
                        yield from (Use(call.script, kind, field, writes) for field in fields)

    def _kinds_of(self, call: _Call, expression: str) -> Sequence[str]:
        block, variables = call.block, call.variables
        for function in (f"{call.script}/{block.name}", block.name):
            if (function, expression) in self.unnamed:
                return self.unnamed[function, expression]
        if match := _KIND.match(expression):
            return (match[1],)
        if match := _KEY_ARGUMENT.fullmatch(expression):
            return (self.key_kinds[call.script][int(match[1]) - 1],)
        if expression in variables and variables[expression] != expression:
            return self._kinds_of(call, variables[expression])
        if expression in block.parameters and expression in self.kinds:
            return (expression,)
        raise ValueError(f"{call.script}, {block.name}: which kind of key is {expression}?")


def _calls_of_script(name: str, source: str, shared: Mapping[str, _Block]) -> Iterator[_Call]:
    """The calls of a script and of the functions that it calls, directly or through other functions."""
    own = _blocks(name, source)
    scope = {**shared, **{block.name: block for block in own}}
    outer = variables_of(own[-1].text)
    todo, done = [block.name for block in own], set[str]()
    while todo:
        block = scope[todo.pop()]
        if block.name in done:
            continue
        done.add(block.name)
        todo += [called for called in re.findall(r"\b([\w.]+)\(", block.text) if called in scope]
        variables = (outer if block in own else {}) | variables_of(block.text)
        for match in _CALL.finditer(block.text):
            yield _Call(name, block, variables, arguments_of(block.text[match.end() :]))


def _fields(verb: str, arguments: Sequence[str]) -> Iterator[str]:
    names = arguments[::2] if verb == "HSET" else arguments[:1] if verb in ("HSETNX", "HINCRBY") else arguments
    for name in names:
        if match := _LITERAL.fullmatch(name):
            yield match[1]
        elif match := _PREFIXED.fullmatch(name):
            yield f"{match[1]}*"
        else:
            yield UNNAMED
