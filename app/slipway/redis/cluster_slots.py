"""The slot of a command in a cluster: a number from 0 to 16383, by which servers divide the keys among them."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping
from typing import Final

from slipway.redis.connection import Arg

SLOTS: Final = 16384

FIRST_KEY_AT: Final[Mapping[str, int]] = {
    **dict.fromkeys(("OBJECT", "MEMORY", "ZDIFF", "ZINTER", "ZINTERCARD", "ZUNION", "SINTERCARD"), 2),
    **dict.fromkeys(("EVAL", "EVALSHA"), 3),
}
"""The position of the first key, for the commands where it is not the first word after the name."""

WITHOUT_KEY: Final = frozenset({"CLIENT", "CONFIG", "DBSIZE", "INFO", "SCAN", "TIME", "WAIT", "WAITAOF"})
"""Commands without a key. Who sends one says which shard's server executes it."""

ANYWHERE: Final = frozenset({"COMMAND", "PING"})
"""Commands without a key that have the same reply everywhere."""


def slot_of(key: Arg) -> int:
    """The slot of a key. Only the text in the first braces counts, if there is any."""
    name = key if isinstance(key, bytes) else str(key).encode()
    start = name.find(b"{")
    if start >= 0:
        end = name.find(b"}", start + 1)
        if end > start + 1:
            name = name[start + 1 : end]
    return crc_hqx(name, 0) % SLOTS


def first_key_of(words: tuple[Arg, ...]) -> Arg | None:
    """The first key of a command. None if the command has no key."""
    name = str(words[0]).upper()
    if name in WITHOUT_KEY or name in ANYWHERE:
        return None
    if name in ("XREAD", "XREADGROUP"):
        upper = [str(word).upper() for word in words]
        return words[upper.index("STREAMS") + 1]
    return words[FIRST_KEY_AT.get(name, 1)]


def guard_keys(shard: str) -> tuple[str, str]:
    """Two keys that each call of a script declares. They never exist.

    A script uses more keys of its shard than it declares. While a slot is moved from one server to another key by key,
    the source executes a command if it has all keys that the command declares, and otherwise names the target (ASK).
    The target executes a command with several keys only if it has all of them. So neither executes the script while
    half of its keys may be on the other, and both reject it before it begins."""
    return f"{shard}:guard:1", f"{shard}:guard:2"
