"""Encryption at rest: nothing readable is stored, keys can be replaced, and what is damaged is said so."""

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
from tests.checkpoints.conftest import Make, at, documents_prefix, put

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = "the patient's name"


async def test_no_value_is_readable_on_the_server(make: Make, keys: Keys) -> None:
    saver = make(serde=Serde(encryption=Encryption([NEW])))
    ident = await put(saver, "t", {"note": SECRET}, remark=SECRET)
    await saver.aput_writes(at("t", ident), [("note", SECRET)], "task", "path")
    seen = await _stored(saver, keys)
    assert len(seen) > 3
    assert all(SECRET.encode() not in part for part in seen)
    found = await saver.aget_tuple(at("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"note": SECRET}
    assert found.metadata.get("remark") == SECRET
    assert found.pending_writes == [("task", "note", SECRET)]


async def _stored(saver: BaseCheckpointer, keys: Keys) -> list[bytes]:
    """Every value on the server; those of JSON documents with base64 undone."""
    seen: list[bytes] = []
    for name in await saver.pipeline.send("KEYS", f"{keys.prefix}*"):
        kind = await saver.pipeline.send("TYPE", name)
        if kind == b"hash":
            seen += await saver.pipeline.send("HGETALL", name)
        elif kind == b"ReJSON-RL":
            text = await saver.pipeline.send("JSON.GET", name)
            words = re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", text)
            seen += [text, *(base64.b64decode(word) for word in words if len(word) % 4 == 0)]
    return seen


async def test_states_count_as_encrypted_when_the_latest_thread_is(make: Make, keys: Keys) -> None:
    plain, sealing = make(), make(serde=Serde(encryption=Encryption([NEW])))
    chosen = "core" if isinstance(plain, CoreCheckpointer) else "langgraph-redis"
    settings = Settings.of({"checkpointer": chosen, "langgraph_redis_prefix": documents_prefix(keys)})
    for number in range(30):
        await put(plain, f"t{number}", {"a": 1})
        await plain.pipeline.send("ZADD", keys.threads, number, f"t{number}")
    assert not await are_encrypted(plain.pipeline, keys, settings)
    await put(sealing, "sealed", {"a": 1})
    await plain.pipeline.send("ZADD", keys.threads, 30, "sealed")
    assert await are_encrypted(plain.pipeline, keys, settings)


async def test_encryption_keys_can_be_rotated(make: Make) -> None:
    plain, old = make(), make(serde=Serde(encryption=Encryption([OLD])))
    await put(plain, "p", {"a": 0})
    await put(old, "o", {"a": 1})
    both = make(serde=Serde(encryption=Encryption([NEW, OLD])))
    await put(both, "n", {"a": 2})
    for position, thread_id in enumerate(["p", "o", "n"]):
        found = await both.latest(thread_id)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"a": position}
    with pytest.raises(StoredDataError, match="not among those of SLIPWAY_ENCRYPTION_KEY"):
        await old.latest("n")
    with pytest.raises(StoredDataError, match="SLIPWAY_ENCRYPTION_KEY is not set"):
        await plain.latest("n")


def test_every_changed_byte_of_encrypted_data_is_detected() -> None:
    one = Serde(encryption=Encryption([NEW]))
    sealed = one.dumps({"amount": 1})
    for position in range(1, len(sealed)):
        damaged = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(StoredDataError):
            one.loads(damaged)
    for length in range(1, len(sealed)):
        with pytest.raises(StoredDataError):
            one.loads(sealed[:length])
    assert one.dumps({"amount": 1}) != sealed


def test_keys_are_read_as_base64_or_hex() -> None:
    text = f"{base64.b64encode(NEW).decode()}, {OLD.hex()}"
    assert Encryption.from_text(text).decrypt(Encryption([OLD]).encrypt(b"x")) == b"x"
    for wrong in ("", "short", base64.b64encode(b"x" * 16).decode(), "z" * 64):
        with pytest.raises(ConfigError, match="SLIPWAY_ENCRYPTION_KEY"):
            Encryption.from_text(wrong)
