"""Finds the threads that a script receives from its caller."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from tests.catalogue.lua_use import arguments_of, variables_of

KINDS_OF_A_THREAD: Final = frozenset(
    name
    for name, kind in KEY_KINDS.items()
    if kind.shard is Shard.THREAD and "%s" in kind.template and re.match("thread|checkpoint|document", name)
) - {"checkpoint_threads"}
"""Key kinds whose names contain the id of a thread."""

_CALL: Final = re.compile(r"(?<![\w.])(\w+)\(")
_FUNCTION: Final = re.compile(r"\bfunction (\w+)\(([\w, ]*)\)")


def threads_received(text: str, libraries: Mapping[str, str], key_kinds: Sequence[str]) -> int:
    """How many threads a script receives: in different arguments with which it makes names of keys or calls functions,
    or as keys in `KEYS`, whose kinds are `key_kinds`.

    It does not count threads that the script reads from Redis (the thread of a run, the due jobs of a queue), and
    threads in a list that is one argument: the caller can call the script once for each shard. It does not detect
    threads whose ids are in names that the caller passes in `ARGV`, or in commands that the caller passes."""
    positions = {
        name: parameters.split(", ").index("thread_id")
        for each in (*libraries.values(), text)
        for name, parameters in _FUNCTION.findall(each)
        if "thread_id" in parameters.split(", ")
    }
    code = re.sub(r"--.*$", "", text, flags=re.MULTILINE)
    variables = variables_of(code)
    ids = {_origin(expression, variables) for expression in _thread_ids(code, positions)}
    received = {each for each in ids if each.startswith(("args.", "ARGV["))}
    return max(len(received), *Counter(kind for kind in key_kinds if kind in KINDS_OF_A_THREAD).values(), 0)


def _thread_ids(code: str, positions: Mapping[str, int]) -> Iterator[str]:
    """The expressions that are used as ids of threads. `positions` are those of the parameter `thread_id`."""
    for call in _CALL.finditer(code):
        arguments = arguments_of(code[call.end() :])
        if call[1] == "key" and len(arguments) > 1 and arguments[0].strip("'") in KINDS_OF_A_THREAD:
            yield arguments[1]
        elif call[1] in positions:
            yield arguments[positions[call[1]]]


def _origin(expression: str, variables: Mapping[str, str]) -> str:
    """What was assigned to a variable, also by other variables; other expressions as they are."""
    passed: set[str] = set()
    while expression in variables and expression not in passed:
        passed.add(expression)
        expression = variables[expression]
    return expression
