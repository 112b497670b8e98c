"""Encryption at rest: no stored value is readable, keys can be rotated, and damage is an error."""

from __future__ import annotations

import base64
import re

import pytest

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.encryption_check import are_encrypted
from slipway.errors import ConfigError, StoredDataError
from slipway.redis.keys import Keys
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from slipway.settings import Settings
from tests.checkpoints.conftest import CheckpointerFactory, config_of, documents_prefix, put
from tests.shards import shards_of

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = "the patient's name"


async def test_no_value_is_readable_on_the_server(make_checkpointer: CheckpointerFactory, keys: Keys) -> None:
    saver = make_checkpointer(serde=Serde(encryption=Encryption([NEW])))
    checkpoint_id = await put(saver, "t", {"note": SECRET}, remark=SECRET)
    await saver.aput_writes(config_of("t", checkpoint_id), [("note", SECRET)], "task", "path")
    stored = await _stored(saver, keys)
    assert len(stored) > 3
    assert all(SECRET.encode() not in part for part in stored)
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == {"note": SECRET}
    assert loaded.metadata.get("remark") == SECRET
    assert loaded.pending_writes == [("task", "note", SECRET)]


async def _stored(saver: BaseCheckpointer, keys: Keys) -> list[bytes]:
    """Every value on the server; base64 texts in JSON documents are decoded."""
    stored: list[bytes] = []
    for name in await saver.pipeline.send("KEYS", f"{keys.prefix}*"):
        kind = await saver.pipeline.send("TYPE", name)
        if kind == b"hash":
            stored += await saver.pipeline.send("HGETALL", name)
        elif kind == b"ReJSON-RL":
            text = await saver.pipeline.send("JSON.GET", name)
            texts = re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", text)
            stored += [text, *(base64.b64decode(encoded) for encoded in texts if len(encoded) % 4 == 0)]
    return stored


async def test_states_count_as_encrypted_when_the_latest_thread_is(
    make_checkpointer: CheckpointerFactory, keys: Keys
) -> None:
    plain, encrypting = make_checkpointer(), make_checkpointer(serde=Serde(encryption=Encryption([NEW])))
    name = "core" if isinstance(plain, CoreCheckpointer) else "langgraph-redis"
    settings = Settings.from_values({"checkpointer": name, "langgraph_redis_prefix": documents_prefix(keys)})
    for number in range(30):
        await put(plain, f"t{number}", {"a": 1})
        await plain.pipeline.send("ZADD", shards_of(keys).of_thread(f"t{number}").threads, number, f"t{number}")
    assert not await are_encrypted(plain.pipeline, shards_of(keys), settings)
    await put(encrypting, "encrypted", {"a": 1})
    await plain.pipeline.send("ZADD", shards_of(keys).of_thread("encrypted").threads, 30, "encrypted")
    assert await are_encrypted(plain.pipeline, shards_of(keys), settings)


async def test_encryption_keys_can_be_rotated(make_checkpointer: CheckpointerFactory) -> None:
    plain, old = make_checkpointer(), make_checkpointer(serde=Serde(encryption=Encryption([OLD])))
    await put(plain, "p", {"a": 0})
    await put(old, "o", {"a": 1})
    both = make_checkpointer(serde=Serde(encryption=Encryption([NEW, OLD])))
    await put(both, "n", {"a": 2})
    for position, thread_id in enumerate(["p", "o", "n"]):
        loaded = await both.latest(thread_id)
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"a": position}
    with pytest.raises(StoredDataError, match="not among those of SLIPWAY_ENCRYPTION_KEY"):
        await old.latest("n")
    with pytest.raises(StoredDataError, match="SLIPWAY_ENCRYPTION_KEY is not set"):
        await plain.latest("n")


def test_every_changed_byte_of_encrypted_data_is_detected() -> None:
    serde = Serde(encryption=Encryption([NEW]))
    encrypted = serde.dumps({"amount": 1})
    for position in range(1, len(encrypted)):
        damaged = encrypted[:position] + bytes([encrypted[position] ^ 1]) + encrypted[position + 1 :]
        with pytest.raises(StoredDataError):
            serde.loads(damaged)
    for length in range(1, len(encrypted)):
        with pytest.raises(StoredDataError):
            serde.loads(encrypted[:length])
    assert serde.dumps({"amount": 1}) != encrypted


def test_keys_are_read_as_base64_or_hex() -> None:
    text = f"{base64.b64encode(NEW).decode()}, {OLD.hex()}"
    assert Encryption.from_text(text).decrypt(Encryption([OLD]).encrypt(b"x")) == b"x"
    for wrong in ("", "short", base64.b64encode(b"x" * 16).decode(), "z" * 64):
        with pytest.raises(ConfigError, match="SLIPWAY_ENCRYPTION_KEY"):
            Encryption.from_text(wrong)
