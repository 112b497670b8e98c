"""A walk through all encrypted values of a deployment: it counts them, and encrypts them again with the first key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import hiredis

from slipway import failpoints
from slipway.encryption_at_rest.counts import BY_SCRIPTS, PLAIN, KeyCounts
from slipway.encryption_at_rest.scripts import Entry, RotationScripts
from slipway.encryption_at_rest.stored_values import Value, Values, split, split_document, split_entry
from slipway.errors import StoredDataError
from slipway.redis.encrypted_keys import EncryptedKey
from slipway.serialization.encryption import Encryption
from slipway.serialization.slices import LARGE_BYTES

_STREAMS: Final = frozenset({"events", "run_audit"})
_LISTS: Final = frozenset({"delivery_tries", "run_trace"})
_DOCUMENTS: Final = frozenset({"documents", "document_writes"})
_TRIES: Final = 10
"""How often a value is read again that changes in between."""


@dataclass(frozen=True, slots=True)
class Page:
    """How much of the keys of the server has been looked at, and the records among them that the walk has seen."""

    cursor: str
    looked_at: int
    thread_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class _NewForm:
    """What replaces a field or a document, and how many values it has."""

    stored: bytes
    number: int


class ValueWalk:
    """Reads every value once. With `renews`, values that are not encrypted with the first key are replaced, each only
    if nobody has changed it since it was read. Safe to stop at any line."""

    def __init__(self, scripts: RotationScripts, encryption: Encryption, counts: KeyCounts, *, renews: bool) -> None:
        self._scripts, self._encryption, self._counts, self._renews = scripts, encryption, counts, renews
        self.values = 0
        """How many values were read."""
        self.renewed = 0
        """How many were replaced."""
        self.changed = 0
        """How many fields were changed by somebody else between the read and the replacement."""

    async def pages(self, cursor: str) -> AsyncIterator[Page]:
        """Looks at all keys from `cursor` on; `0` is the begin, and the cursor of the last page."""
        looked_at = 0
        while True:
            cursor, number, keys = await self._scripts.page_of_keys(cursor)
            for key in keys:
                await self._key(key)
            looked_at += number
            yield Page(cursor, looked_at, [key.ids[0] for key in keys if key.kind == "thread"])
            if cursor == "0":
                return

    async def _key(self, key: EncryptedKey) -> None:
        try:
            if key.kind in _STREAMS:
                await self._stream(key)
            elif key.kind in _DOCUMENTS:
                await self._document(key)
            elif key.kind in _LISTS:
                await self._list(key)
            else:
                await self._hash(key)
        except hiredis.ReplyError as error:  # a key of another type, under a name of ours
            self._counts.add_problem(key.kind, f"{key.name}: {error}")

    async def _list(self, key: EncryptedKey) -> None:
        for index, stored in enumerate(await self._scripts.items(key)):
            new = await self._new_form(key, f"{key.name} entry {index}", partial(split, key, b"", stored))
            if new is not None:
                self._replaced(key, new.number, await self._scripts.replace_item(key, index, stored, new.stored))

    async def _hash(self, key: EncryptedKey) -> None:
        if key.kind == "delivery":
            key = replace(key, ids=(*key.ids, await self._scripts.run_of_delivery(key)))
        async for fields in self._scripts.fields(key):
            for field, stored in fields:
                await self._field(key, field, stored)

    async def _field(self, key: EncryptedKey, field: bytes, stored: bytes) -> None:
        where = f"{key.name} field {field!r}"
        new = await self._new_form(key, where, lambda: split(key, field, stored))
        if new is not None:
            self._replaced(key, new.number, await self._scripts.replace(key, field, stored, new.stored))

    async def _document(self, key: EncryptedKey) -> None:
        stored = await self._scripts.document(key)
        if stored is None:
            return
        new = await self._new_form(key, key.name, lambda: split_document(stored))
        if new is not None:
            self._replaced(key, new.number, await self._scripts.replace_document(key, stored, new.stored))

    async def _new_form(
        self, key: EncryptedKey, where: str, found_values: Callable[[], Values | None]
    ) -> _NewForm | None:
        """What replaces a field or a document. None if it stays as it is: then its values are counted."""
        try:
            found = found_values()
            if found is None:
                return None
            if self._renews and any(map(self._is_old, found.values)):
                renewed = [await self._renewed(value) for value in found.values]
                return _NewForm(found.joined(renewed), len(renewed))
            self._count(key, found.values, where)
        except StoredDataError as error:
            self._counts.add_problem(key.kind, f"{where}: {error}")
        return None

    def _replaced(self, key: EncryptedKey, number: int, replaced: bool) -> None:
        self.values += number
        if not replaced:
            self.changed += 1  # somebody has written it meanwhile: another pass looks at it again
            return
        self.renewed += number
        for _ in range(number):
            self._counts.add(key.kind, self._encryption.first_name)

    async def _stream(self, key: EncryptedKey) -> None:
        if self._renews and await self._has_old_entries(key):
            for _ in range(_TRIES):
                if await self._stream_was_replaced(key):
                    break
        async for entries in self._scripts.entries(key):
            for entry_id, parts in entries:
                self._count(key, list(split_entry(key, parts).values()), f"{key.name} entry {entry_id.decode()}")

    async def _has_old_entries(self, key: EncryptedKey) -> bool:
        async for entries in self._scripts.entries(key):
            for _, parts in entries:
                try:
                    if any(map(self._is_old, split_entry(key, parts).values())):
                        return True
                except StoredDataError:
                    return False  # it is counted afterwards, and the log stays as it is
        return False

    async def _stream_was_replaced(self, key: EncryptedKey) -> bool:
        """Entries of a stream never change, so the stream is copied. False if it has got an entry meanwhile."""
        is_first, renewed = True, 0
        async for entries in self._scripts.entries(key):
            copied: list[Entry] = []
            for entry_id, parts in entries:
                values = split_entry(key, parts)
                try:
                    new = {at: await self._renewed(value) for at, value in values.items() if not value.is_empty}
                except StoredDataError:
                    return True  # it is counted afterwards, and the log stays as it is
                copied.append((entry_id, [new.get(at, part) for at, part in enumerate(parts)]))
                renewed += len(new)
            await self._scripts.copy_entries(key, copied, first=is_first)
            is_first = False
        failpoints.reach("log_copied")
        if is_first or await self._scripts.replace_by_copy(key):
            self.renewed += renewed
            return True
        return False

    def _is_old(self, value: Value) -> bool:
        return not value.is_empty and value.key != self._encryption.first_name

    async def _renewed(self, value: Value) -> bytes:
        if value.is_empty or not self._is_old(value):
            return value.stored
        if len(value.stored) >= LARGE_BYTES:
            return await asyncio.to_thread(value.renewed, self._encryption)
        return value.renewed(self._encryption)

    def _count(self, key: EncryptedKey, values: Sequence[Value], where: str) -> None:
        for value in values:
            self.values += 1
            if value.is_empty:
                continue
            try:
                name = value.key
                if name is not None and name not in self._encryption.names:
                    self._counts.add_problem(
                        key.kind, f"{where}: encrypted with the key named {name}, which is missing"
                    )
                else:
                    self._counts.add(key.kind, name or (BY_SCRIPTS if value.by_script else PLAIN))
            except StoredDataError as error:
                self._counts.add_problem(key.kind, f"{where}: {error}")
