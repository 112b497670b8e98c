"""Redis commands that a script executes: a caller passes them as arguments of the script.

The commands of one call often change the same key several times. Those that only add to a key become one command for
each key, which is executed after all others, but before a later command that may change the same fields:

    ADD_FIELDS     hash, then fields that it does not have, with their values: HSET
    ADD_TO_SET     set, member: SADD
    ADD_TO_INDEX   sorted set, member, with the score 0: ZADD
    COUNT_BYTES    hash of the counter, its field, bytes to add: HINCRBY

A field that a later HDEL of the same call deletes is not stored at all. Merged commands, and an HDEL, may have any
number of fields: they are divided into commands that Lua can pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from slipway.redis.connection import Arg
from slipway.redis.shard_ids import shard_in

RedisCommand = tuple[Arg, ...]

_MAX_ARGUMENTS: Final = 2000
"""The most arguments of one command, which a script passes to Lua's `unpack`; even, so that a field and its value are
not separated."""


def commands_by_shard(commands: Sequence[RedisCommand]) -> list[list[RedisCommand]]:
    """The commands, those of each shard together. The key of a command, which names its shard, follows the verb."""
    found: dict[str, list[RedisCommand]] = {}
    for command in commands:
        found.setdefault(shard_in(str(command[1])), []).append(command)
    return list(found.values())


def packed(commands: Sequence[RedisCommand]) -> list[Arg]:
    """The commands as one flat list of arguments, each preceded by its count of words. `lua/lib/redis_commands.lua`
    executes them."""
    flat: list[Arg] = []
    fields: dict[Arg, list[Arg]] = {}
    members: dict[tuple[str, Arg], dict[Arg, None]] = {}
    counters: dict[tuple[Arg, Arg], int] = {}
    for command in commands:
        verb, name = command[0], command[1]
        if verb == "ADD_FIELDS":
            fields.setdefault(name, []).extend(command[2:])
        elif verb == "ADD_TO_INDEX":
            members.setdefault(("ZADD", name), {})[command[2]] = None
        elif verb == "ADD_TO_SET":
            members.setdefault(("SADD", name), {})[command[2]] = None
        elif verb == "COUNT_BYTES":
            counter = name, command[2]
            counters[counter] = counters.get(counter, 0) + cast(int, command[3])
        elif verb == "HDEL":
            fields[name], deleted = _without(fields.get(name, ()), command[2:])
            _add(flat, verb, name, deleted)
        else:
            if name in fields:
                _add(flat, "HSET", name, fields.pop(name))
            flat += (len(command), *command)
    for name, added in fields.items():
        _add(flat, "HSET", name, added)
    for (verb, name), each in members.items():
        _add(flat, verb, name, [*each] if verb == "SADD" else [part for one in each for part in (0, one)])
    for (name, field), size in counters.items():
        flat += (4, "HINCRBY", name, field, size)
    return flat


def _without(added: Sequence[Arg], deleted: Sequence[Arg]) -> tuple[list[Arg], list[Arg]]:
    """The fields that remain to be added, with their values, and the fields that remain to be deleted."""
    fields = dict(zip(added[::2], added[1::2], strict=True))
    remaining = [field for field in deleted if fields.pop(field, None) is None]
    return [part for pair in fields.items() for part in pair], remaining


def _add(flat: list[Arg], verb: str, name: Arg, arguments: Sequence[Arg]) -> None:
    for at in range(0, len(arguments), _MAX_ARGUMENTS):
        part = arguments[at : at + _MAX_ARGUMENTS]
        flat += (len(part) + 2, verb, name, *part)
