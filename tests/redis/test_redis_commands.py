"""Commands that a script executes: those that add to the same key are merged."""

from __future__ import annotations

from slipway.redis.connection import Arg
from slipway.redis.redis_commands import RedisCommand, packed


def sent(*commands: RedisCommand) -> list[RedisCommand]:
    """The commands as a script reads them."""
    flat, unpacked, at = packed(commands), list[RedisCommand](), 0
    while at < len(flat):
        count = flat[at]
        assert isinstance(count, int)
        unpacked.append(tuple(flat[at + 1 : at + 1 + count]))
        at += 1 + count
    return unpacked


def test_commands_that_add_to_a_key_are_one_command_after_all_others() -> None:
    assert sent(
        ("ADD_FIELDS", "h", "a", 1),
        ("ADD_TO_SET", "s", "x"),
        ("ADD_TO_INDEX", "i", "m"),
        ("COUNT_BYTES", "h", "n", 3),
        ("DEL", "other"),
        ("ADD_FIELDS", "h", "b", 2),
        ("ADD_FIELDS", "g", "a", 3),
        ("ADD_TO_SET", "s", "x"),
        ("ADD_TO_INDEX", "i", "m"),
        ("ADD_TO_INDEX", "i", "o"),
        ("COUNT_BYTES", "h", "n", -1),
    ) == [
        ("DEL", "other"),
        ("HSET", "h", "a", 1, "b", 2),
        ("HSET", "g", "a", 3),
        ("SADD", "s", "x"),
        ("ZADD", "i", 0, "m", 0, "o"),
        ("HINCRBY", "h", "n", 2),
    ]


def test_a_later_command_on_the_key_follows_its_added_fields() -> None:
    replaces: RedisCommand = ("STORE_FIELDS", "h", "counter", "n", "replace", "a", 2)
    assert sent(("ADD_FIELDS", "h", "a", 1), replaces) == [("HSET", "h", "a", 1), replaces]


def test_added_fields_that_are_deleted_are_not_sent() -> None:
    commands = ("ADD_FIELDS", "h", "a", 1, "b", 2), ("HDEL", "h", "a", "stored"), ("ADD_FIELDS", "h", "c", 3)
    assert sent(*commands) == [("HDEL", "h", "stored"), ("HSET", "h", "b", 2, "c", 3)]


def test_a_deletion_has_no_more_words_than_lua_can_pass() -> None:
    fields = [f"f{number}" for number in range(2500)]
    commands = sent(("ADD_FIELDS", "h", "f0", 1), ("HDEL", "h", *fields))
    assert [len(command) for command in commands] == [2002, 501]
    assert [part for command in commands for part in command[2:]] == fields[1:]


def test_a_merged_command_has_no_more_words_than_lua_can_pass() -> None:
    fields: list[Arg] = [part for number in range(2500) for part in (f"f{number}", number)]
    commands = sent(("ADD_FIELDS", "h", *fields))
    assert [len(command) for command in commands] == [2002, 2002, 1002]
    assert [part for command in commands for part in command[2:]] == fields
