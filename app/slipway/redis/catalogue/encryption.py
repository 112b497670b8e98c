"""The key of encryption at rest."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_ENCRYPTION_FIELDS: Final = (
    Field(
        "digest_key",
        Encoding.BYTES,
        "The random key of keyed digests, encrypted.",
        python_writers=("slipway.encryption_at_rest",),
    ),
    Field(
        "key:*",
        Encoding.TIME_MS,
        "By name of an encryption key: when a process first started that encrypts with it.",
        python_writers=("slipway.encryption_at_rest",),
    ),
    Field(
        "position",
        Encoding.TEXT,
        "Where an interrupted rotation continues: the name of its key, a space, and a cursor of SCAN.",
        absent="no rotation is under way",
        python_writers=("slipway.encryption_at_rest",),
    ),
    Field(
        "digests",
        Encoding.TEXT,
        "`keyed` if no index term of a thread's values is a digest without a key.",
        absent="no rotation has ended yet",
        python_writers=("slipway.encryption_at_rest",),
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "encryption",
        ":encryption",
        RedisType.HASH,
        Shard.ENCRYPTION,
        meaning="The encryption keys in use, by name, and the key of keyed digests.",
        lifetime="forever; absent if no process ever had `SLIPWAY_ENCRYPTION_KEY`",
        python_writers=("slipway.encryption_at_rest",),
        python_readers=("slipway.encryption_at_rest",),
        fields=_ENCRYPTION_FIELDS,
    ),
)
