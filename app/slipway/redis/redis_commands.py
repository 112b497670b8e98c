"""Redis commands that a script executes: a caller passes them as arguments of the script."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.redis.connection import Arg

RedisCommand = tuple[Arg, ...]


def packed(commands: Sequence[RedisCommand]) -> list[Arg]:
    """The commands as one flat list of arguments, each preceded by its count of words. `lua/lib/redis_commands.lua`
    executes them."""
    flat: list[Arg] = []
    for command in commands:
        flat.append(len(command))
        flat.extend(command)
    return flat
