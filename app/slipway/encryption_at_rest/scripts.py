"""The script stubs of a rotation, and what it reads."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from slipway.redis.checkpoint_keys import BYTES_FIELD
from slipway.redis.connection import Arg
from slipway.redis.document_keys import DocumentNames
from slipway.redis.encrypted_keys import EncryptedKey, EncryptedKeys
from slipway.redis.key_count import number_of_keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.scan_cursors import FIRST, next_cursor, split_cursor
from slipway.redis.script_source import load
from slipway.redis.shards import Shards

_VALUE_REPLACE: Final = load("value_replace")
_LOG_COPY: Final = load("log_copy")
_LOG_REPLACE: Final = load("log_replace")
_DOCUMENT_REPLACE: Final = load("document_replace")
_LIST_ITEM_REPLACE: Final = load("list_item_replace")

KEYS_PER_PAGE: Final = 200
_FIELDS_PER_READ: Final = 20
_ENTRIES_PER_READ: Final = 50
_COPY_EXPIRES_MS: Final = 600_000
"""Milliseconds after which the copy of a log is deleted whose rotation was interrupted."""

Entry = tuple[bytes, list[bytes]]
"""An entry of a stream: its id, and its names and values."""


class RotationScripts:
    """One round trip each, unless said otherwise."""

    def __init__(self, pipeline: Pipeline, shards: Shards, documents: DocumentNames) -> None:
        self._pipeline, self._names = pipeline, EncryptedKeys(shards, documents)

    async def number_of_keys(self) -> int:
        """All keys of Redis, also those of other deployments."""
        return await number_of_keys(self._pipeline)

    async def page_of_keys(self, cursor: str) -> tuple[str, int, list[EncryptedKey]]:
        """The next cursor (`0` after the last page), how many keys were looked at, and those with encrypted values."""
        servers = [server for _, server in sorted(self._pipeline.servers.items())]
        number, position = split_cursor(cursor)
        server = servers[min(number, len(servers) - 1)]  # a server may have left the cluster since
        following, names = await server.send("SCAN", position, "COUNT", KEYS_PER_PAGE, repeatable=True)
        found = (self._names.of(name.decode(errors="replace")) for name in names)
        next_page = next_cursor(number, len(servers), following.decode()) or FIRST
        return next_page, len(names), [key for key in found if key is not None]

    async def fields(self, key: EncryptedKey) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """The fields of a hash, some at a time; any may come twice. A round trip for each page."""
        cursor: Any = b"0"
        while True:
            cursor, flat = await self._pipeline.send(
                "HSCAN", key.name, cursor, "COUNT", _FIELDS_PER_READ, repeatable=True
            )
            yield list(zip(flat[::2], flat[1::2], strict=True))
            if cursor == b"0":
                return

    async def entries(self, key: EncryptedKey, after: bytes = b"") -> AsyncIterator[list[Entry]]:
        """The entries of a stream, some at a time. A round trip for each page."""
        while True:
            start = b"(" + after if after else b"-"
            command = ("XRANGE", key.name, start, "+", "COUNT", _ENTRIES_PER_READ)
            entries = await self._pipeline.send(*command, repeatable=True)
            if not entries:
                return
            yield [(entry[0], entry[1]) for entry in entries]
            after = entries[-1][0]

    async def items(self, key: EncryptedKey) -> list[bytes]:
        """The entries of a list, which has few."""
        items: list[bytes] = await self._pipeline.send("LRANGE", key.name, 0, -1, repeatable=True)
        return items

    async def run_of_delivery(self, key: EncryptedKey) -> str:
        """The run of the delivery; empty if it has none."""
        run_id = await self._pipeline.send("HGET", key.name, "run_id", repeatable=True)
        return "" if run_id is None else str(run_id.decode())

    async def replace_item(self, key: EncryptedKey, index: int, was: bytes, item: bytes) -> bool:
        """Replaces the entry of a list if it is still `was`."""
        counter = self._names.bytes_counter(key)
        keys = [key.name] if counter is None else [key.name, counter]
        arguments: list[Arg] = [index, _digest(was), item, "" if counter is None else "1"]
        return bool(await self._pipeline.run(_LIST_ITEM_REPLACE, keys, arguments))

    async def document(self, key: EncryptedKey) -> bytes | None:
        """A JSON document; None if it does not exist any more."""
        document: bytes | None = await self._pipeline.send("JSON.GET", key.name, repeatable=True)
        return document

    async def replace(self, key: EncryptedKey, field: bytes, was: bytes, value: bytes) -> bool:
        """Replaces the value of a field if it is still `was`."""
        counter = self._names.bytes_counter(key)
        keys = [key.name] if counter is None else [key.name, counter]
        arguments: list[Arg] = [field, _digest(was), value, "" if counter is None else BYTES_FIELD]
        return bool(await self._pipeline.run(_VALUE_REPLACE, keys, arguments))

    async def replace_document(self, key: EncryptedKey, was: bytes, document: bytes) -> bool:
        """Replaces a document if it is still `was`."""
        return bool(await self._pipeline.run(_DOCUMENT_REPLACE, [key.name], [_digest(was), document]))

    async def copy_entries(self, key: EncryptedKey, entries: Sequence[Entry], *, first: bool) -> None:
        """Appends entries to the copy of a stream; with `first` the copy begins with them."""
        arguments: list[Arg] = ["1" if first else "", _COPY_EXPIRES_MS]
        for entry_id, parts in entries:
            arguments += [entry_id, len(parts), *parts]
        await self._pipeline.run(_LOG_COPY, [self._names.copy_of(key)], arguments)

    async def replace_by_copy(self, key: EncryptedKey) -> bool:
        """Replaces a stream by its copy, if the copy has every entry."""
        return bool(await self._pipeline.run(_LOG_REPLACE, [key.name, self._names.copy_of(key)], []))


def _digest(value: bytes) -> str:
    return hashlib.sha1(value, usedforsecurity=False).hexdigest()
