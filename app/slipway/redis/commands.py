"""Plain commands as arguments of a script."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.redis.connection import Arg

Command = tuple[Arg, ...]


def packed(commands: Sequence[Command]) -> list[Arg]:
    """Commands as one flat list of arguments, each preceded by its count of words: see `lua/lib/commands.lua`."""
    flat: list[Arg] = []
    for command in commands:
        flat.append(len(command))
        flat.extend(command)
    return flat
