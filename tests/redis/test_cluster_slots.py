"""The slot of each command that the code sends is that of its first key, as the server counts it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from slipway.redis.cluster_slots import ANYWHERE, FIRST_KEY_AT, WITHOUT_KEY, first_key_of, guard_keys, slot_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.shard_ids import shard_in
from tests.redis_cluster import RedisCluster

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = [*(ROOT / "app" / "slipway").rglob("*.py"), *(ROOT / "workers" / "slipway_workers").rglob("*.py")]
OF_ONE_SERVER: Final = {"health/server_info.py", "redis/key_count.py", "redis/wait_for_redis.py"}
"""Modules that send commands without a key to each server."""
NOT_ON_A_CLUSTER: Final = {"checkpoints/reads.py", "encryption_at_rest/scripts.py", "redis/replicated_pipeline.py"}
"""Modules that use one server: they scan its keys, or wait for its replicas."""

ASKS_FOR_KEYS: Final = re.compile(r"#KEYS|ipairs\(KEYS\)|unpack\(KEYS|\b(?:if|and|or|not) KEYS\[\d\](?! [=~<>])")
READS_ALL_KEYS: Final = {"checkpoint_encrypted.lua"}
"""Scripts that read all their keys. The guard keys do not exist, so that changes nothing."""

CONTAINERS: Final = {"MEMORY", "OBJECT"}
"""Commands whose second word says what they do: `MEMORY USAGE key`."""


def sent() -> Iterator[tuple[str, ast.Call, str]]:
    """Module, call and command of each `send` whose command is in the code."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send"):
                continue
            first = node.args[0] if node.args else None
            while isinstance(first, ast.Starred | ast.Tuple):
                first = first.value if isinstance(first, ast.Starred) else first.elts[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.isupper():
                yield path.relative_to(ROOT).as_posix().split("/", 2)[2], node, first.value


@pytest.mark.parametrize(
    ("key", "same"),
    [("a{b}c", "b"), ("{a}{b}", "a"), ("a{}b", "a{}b"), ("a}b{c", "a}b{c"), (b"x{\xff}", b"\xff"), ("{é}", "é")],
)
def test_only_the_first_braces_of_a_key_count(cluster: RedisCluster, key: str | bytes, same: str | bytes) -> None:
    assert slot_of(key) == slot_of(same) == cluster.nodes[0].call("CLUSTER", "KEYSLOT", key)


def test_a_shard_and_its_guard_keys_have_one_slot() -> None:
    shard = shard_in("slipway{7}:run:1")
    assert shard == "slipway{7}"
    assert {slot_of(key) for key in guard_keys("slipway{7}")} == {slot_of("slipway{7}"), slot_of("{7}")}
    assert shard_in("slipway:layout") == shard_in("a}{") == ""


def test_no_script_asks_how_many_keys_it_has() -> None:
    """On a cluster, each call has the guard keys too, after its own. `langgraph-redis`, which keeps documents, needs
    one server."""
    scripts = (ROOT / "app" / "slipway" / "redis" / "lua").glob("*.lua")
    asking = {path.name for path in scripts if ASKS_FOR_KEYS.search(path.read_text())}
    assert {name for name in asking if not name.startswith("document_")} == READS_ALL_KEYS


async def test_the_position_of_keys_is_that_of_the_server(pipeline: Pipeline) -> None:
    commands = sorted({name for _, _, name in sent()} | FIRST_KEY_AT.keys() - CONTAINERS)
    for name, info in zip(commands, await pipeline.send("COMMAND", "INFO", *commands), strict=True):
        if info is None:  # of a module
            continue
        words = (name, *(f"key {position}" for position in range(1, 5)))
        if info[3] == 0 and b"movablekeys" not in info[2]:
            assert first_key_of(words) is None, f"{name} has no key"
        elif info[3] > 0 and name not in FIRST_KEY_AT:
            assert first_key_of(words) == f"key {info[3]}", name


def test_commands_without_a_key_name_a_shard() -> None:
    without = [
        f"{module}:{call.lineno}: {name}"
        for module, call, name in sent()
        if name in WITHOUT_KEY - ANYWHERE and not any(each.arg == "at" for each in call.keywords)
        if module not in OF_ONE_SERVER | NOT_ON_A_CLUSTER
    ]
    assert without == []


def test_the_keys_of_a_stream_follow_a_word() -> None:
    assert first_key_of(("XREAD", "COUNT", 1, "STREAMS", "a", 0)) == "a"
