"""The keys whose values are encrypted, found by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.catalogue.at_rest import ENCRYPTED
from slipway.redis.catalogue.declarations import RedisType
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.redis.document_keys import DocumentNames
from slipway.redis.shards import Shards

_ID: Final = "([^:]+)"
_ANY: Final = "(.+)"
_WITH_COLONS: Final = frozenset({"review", "store_items", "store_vectors"})
"""Kinds whose ids may contain colons."""

SHORT_LIVED: Final = frozenset({"events_copy", "run_audit_copy", "stream_ticket"})
"""Kinds that exist for a few minutes at most: no rotation needs to look at them."""

KINDS: Final = tuple(
    name
    for name in ENCRYPTED
    if KEY_KINDS[name].type in (RedisType.HASH, RedisType.STREAM, RedisType.LIST) and name not in SHORT_LIVED
)
"""The kinds of this deployment that hold encrypted values for longer."""


@dataclass(frozen=True, slots=True)
class EncryptedKey:
    """A key that holds encrypted values: its kind, and the ids in its name."""

    name: str
    kind: str
    ids: tuple[str, ...]


class EncryptedKeys:
    """Finds them among all keys of a server, in all shards."""

    def __init__(self, shards: Shards, documents: DocumentNames) -> None:
        self._shards, self._documents = shards, documents
        prefix = re.escape(shards.prefix) + ("{[^}]*}" if shards.tagged else "")
        self._patterns = [(kind, _pattern(prefix, kind)) for kind in KINDS]

    def of(self, name: str) -> EncryptedKey | None:
        """The key of this name. None if it holds nothing encrypted, or belongs to another deployment."""
        if name.startswith(self._documents.checkpoints):
            return EncryptedKey(name, "documents", ())
        if name.startswith(self._documents.writes):
            return EncryptedKey(name, "document_writes", ())
        for kind, pattern in self._patterns:
            if match := pattern.fullmatch(name):
                return EncryptedKey(name, kind, match.groups())
        return None

    def bytes_counter(self, key: EncryptedKey) -> str | None:
        """The hash that counts the bytes of the thread whose checkpoints this key has, or the counter of spans."""
        if key.kind == "run_trace":
            return self._shards.of_run(key.ids[0]).trace_bytes
        return self._shards.records.checkpoint_state(key.ids[0]) if key.kind.startswith("checkpoint_") else None

    def copy_of(self, key: EncryptedKey) -> str:
        """The key in which a copy of a log or an audit trail is written."""
        return self._shards.records.named("events_copy" if key.kind == "events" else "run_audit_copy", key.ids[0])


def _pattern(prefix: str, kind: str) -> re.Pattern[str]:
    parts: Sequence[str] = KEY_KINDS[kind].template.split("%s")
    ids = [_ANY if kind in _WITH_COLONS or number else _ID for number in range(len(parts) - 1)]
    text = prefix + re.escape(parts[0])
    for each, part in zip(ids, parts[1:], strict=True):
        text += each + re.escape(part)
    return re.compile(text, re.DOTALL)
