"""Each field of each kind of key declares how it is stored with an encryption key."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.encryption_at_rest.stored_values import SPLIT, split
from slipway.redis.catalogue.at_rest import ENCRYPTED, KEYED, PARTS, PLAIN, how_stored
from slipway.redis.catalogue.declarations import Encoding
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.redis.encrypted_keys import KINDS, SHORT_LIVED, EncryptedKey

NUMBERS = {Encoding.INTEGER, Encoding.FLAG, Encoding.BOOLEAN, Encoding.TIME_US, Encoding.TIME_MS}


def texts() -> Iterator[tuple[str, str]]:
    """Every kind with each field that is no number; a kind without fields has `*`."""
    for kind in KEY_KINDS.values():
        for field in kind.fields:
            if field.encoding not in NUMBERS:
                yield kind.name, field.name
        if not kind.fields:
            yield kind.name, "*"


def test_every_field_is_declared_once() -> None:
    wrong = [f"{kind}.{field}" for kind, field in texts() if how_stored(kind, field) is None]
    assert not wrong, f"declare in redis/catalogue/at_rest.py how these are stored, each once: {', '.join(wrong)}"


def test_nothing_else_is_declared() -> None:
    declared = [
        (kind, field) for part in (ENCRYPTED, KEYED, *PLAIN.values()) for kind, each in part.items() for field in each
    ]
    assert [each for each in declared if each not in set(texts())] == []
    assert len(declared) == len(set(declared))
    assert set(PARTS) <= set(ENCRYPTED)


def test_a_rotation_finds_every_encrypted_field() -> None:
    """Whoever encrypts another kind of value also says where a rotation finds it."""
    streams = {"events", "run_audit"}
    assert set(KINDS) - streams == set(SPLIT)
    others = {*SHORT_LIVED, "run_notifications", "documents", "document_writes"}
    assert set(ENCRYPTED) - others == set(KINDS)
    in_parts = {"store_items", "store_vectors", "checkpoint_state", "checkpoint_writes", "assistant", "delivery"}
    for kind in set(SPLIT) - in_parts - {"thread_calls", "thread_approvals", "delivery_tries", "run_trace"}:
        key = EncryptedKey("name", kind, ("id",))
        for field in ENCRYPTED[kind]:
            assert split(key, field.replace("*", "x").encode(), b'"plain"'), f"{kind}.{field}"
        assert split(key, b"unknown", b"text") is None
