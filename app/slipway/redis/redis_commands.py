"""Redis commands that a script executes: a caller passes them as arguments of the script.

The commands of one call often change the same key several times. Those that only add to a key become one command for
each key, which is executed after all others, but before a later command that may change the same fields:

    ADD_FIELDS     hash, then fields that it does not have, with their values: HSET
    ADD_TO_SET     set, member: SADD
    ADD_TO_INDEX   sorted set, member, with the score 0: ZADD
    COUNT_BYTES    hash of the counter, its field, bytes to add: HINCRBY

A field that a later HDEL of the same call deletes is not stored at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from slipway.redis.connection import Arg

RedisCommand = tuple[Arg, ...]

_MAX_ARGUMENTS: Final = 2000
"""The most arguments of one command, which a script passes to Lua's `unpack`; even, so that a field and its value are
not separated."""


def packed(commands: Sequence[RedisCommand]) -> list[Arg]:
    """The commands as one flat list of arguments, each preceded by its count of words. `lua/lib/redis_commands.lua`
    executes them."""
    flat: list[Arg] = []
    for command in _merged(commands):
        flat.append(len(command))
        flat += command
    return flat


def _merged(commands: Sequence[RedisCommand]) -> Iterator[RedisCommand]:
    fields: dict[Arg, dict[Arg, Arg]] = {}
    members: dict[tuple[str, Arg], dict[Arg, None]] = {}
    counters: dict[tuple[Arg, Arg], int] = {}
    for command in commands:
        verb, name = command[0], command[1]
        if verb == "ADD_FIELDS":
            fields.setdefault(name, {}).update(zip(command[2::2], command[3::2], strict=True))
        elif verb == "ADD_TO_INDEX":
            members.setdefault(("ZADD", name), {})[command[2]] = None
        elif verb == "ADD_TO_SET":
            members.setdefault(("SADD", name), {})[command[2]] = None
        elif verb == "COUNT_BYTES":
            counters[name, command[2]] = counters.get((name, command[2]), 0) + cast(int, command[3])
        elif verb == "HDEL" and name in fields:
            added = fields[name]
            if deleted := [field for field in command[2:] if added.pop(field, None) is None]:
                yield (verb, name, *deleted)
        else:
            yield from _hset(name, fields.pop(name, {}))
            yield command
    for name, added in fields.items():
        yield from _hset(name, added)
    for (verb, name), each in members.items():
        yield from _divided(verb, name, list(each) if verb == "SADD" else [part for one in each for part in (0, one)])
    for (name, field), size in counters.items():
        yield ("HINCRBY", name, field, size)


def _hset(name: Arg, fields: dict[Arg, Arg]) -> Iterator[RedisCommand]:
    return _divided("HSET", name, [part for pair in fields.items() for part in pair])


def _divided(verb: str, name: Arg, arguments: Sequence[Arg]) -> Iterator[RedisCommand]:
    for at in range(0, len(arguments), _MAX_ARGUMENTS):
        yield (verb, name, *arguments[at : at + _MAX_ARGUMENTS])
