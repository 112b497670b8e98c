"""Where encrypted values are inside what is stored, and in which place each is. A rotation reads and writes them
without knowing what they mean.

`split` takes a stored field apart into its values, `Values.joined` puts it together with other ones.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
import ormsgpack

from slipway.errors import StoredDataError
from slipway.redis.checkpoint_keys import DICTIONARY_FIELD
from slipway.redis.encrypted_keys import EncryptedKey
from slipway.serialization.at_rest import BINARY_PREFIX, TEXT_MARK, encrypted_bytes, is_encrypted
from slipway.serialization.encryption import MARK, Encryption, key_name
from slipway.serialization.places import (
    DECISION,
    DIGEST_KEY,
    THREAD,
    USER,
    approval_place,
    assistant_place,
    audit_place,
    cron_place,
    delivery_place,
    endpoint_place,
    hook_place,
    item_place,
    log_place,
    question_place,
    run_place,
    trace_place,
    vectors_place,
)

CHECKPOINT: Final = b""
"""The place of what `Serde` seals."""

_HEAD_LENGTH_BYTES: Final = 4
_SAME_AS_EVENT: Final = b"\x1f"
_FRAMES_OF_IDS: Final = frozenset({b"metadata", b"end"})
_EMPTY: Final = frozenset({b"", b"{}", b"[]", b"null"})
_DOCUMENT_PREFIX: Final = "slipway:"


class Form(StrEnum):
    """How an encrypted value is written: see `serialization/at_rest.py`. `SERDE`: by `Serde`, as bytes."""

    BYTES = "bytes"
    TEXT = "text"
    VECTORS = "vectors"
    SERDE = "serde"


@dataclass(frozen=True, slots=True)
class Value:
    """One value in its stored form."""

    stored: bytes
    place: bytes
    form: Form
    by_script: bool = False
    """Whether scripts write such a value too, which encrypt nothing: from ids, states and sentences of the server."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to encrypt."""
        return self.stored in _EMPTY

    @property
    def key(self) -> str | None:
        """The name of the key with which it is encrypted; None if it is plain. Raises `StoredDataError`."""
        return key_name(self._encrypted()) if self._is_encrypted() else None

    def renewed(self, encryption: Encryption) -> bytes:
        """The same value, encrypted with the first key. Raises `StoredDataError` if none of the keys decrypts it."""
        plain = encryption.decrypt(self._encrypted(), self.place) if self._is_encrypted() else self.stored
        encrypted = encryption.encrypt(plain, self.place)
        if self.form is Form.TEXT:
            return TEXT_MARK.encode() + base64.b64encode(encrypted)
        return BINARY_PREFIX + encrypted if self.form is Form.VECTORS else encrypted

    def _is_encrypted(self) -> bool:
        if self.form is Form.SERDE:
            return self.stored[:1] == MARK
        if self.form is Form.VECTORS:
            return self.stored.startswith(BINARY_PREFIX + MARK)
        return is_encrypted(self.stored)

    def _encrypted(self) -> bytes:
        return self.stored if self.form is Form.SERDE else encrypted_bytes(self.stored)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one field, and how a field with other ones is written."""

    values: Sequence[Value]
    joined: Callable[[Sequence[bytes]], bytes]


def split(key: EncryptedKey, field: bytes, stored: bytes) -> Values | None:
    """The values of a field of a hash. None if it has none. Raises `StoredDataError` if the field is damaged."""
    try:
        return SPLIT[key.kind](key, field.decode(errors="surrogateescape"), stored)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StoredDataError(f"a field is damaged: {error!r}") from error


def split_entry(key: EncryptedKey, parts: Sequence[bytes]) -> dict[int, Value]:
    """The values of an entry of a stream, which is given as names and values, by their places in it. A result that
    refers to an event is no value, and neither are the frames that begin and end a log: they have ids only."""
    if key.kind == "run_audit":
        place, names, form = audit_place(key.ids[0]), {b"details"}, Form.TEXT
    else:
        place, names, form = log_place(key.ids[0]), {b"f", b"r"}, Form.BYTES
        if parts[1] in _FRAMES_OF_IDS and parts[3][:1] != MARK:
            names = {b"r"}
    return {
        at + 1: Value(parts[at + 1], place, form, by_script=True)
        for at in range(0, len(parts), 2)
        if parts[at] in names and parts[at + 1][:1] != _SAME_AS_EVENT
    }


def split_document(stored: bytes) -> Values | None:
    """The values of a JSON document, each base64 inside it. None for a document that Slipway has not written."""
    try:
        document = orjson.loads(stored)
        places = _texts_of_checkpoint(document) if "checkpoint" in document else _texts_of_write(document)
        values = [
            Value(base64.b64decode(owner[name].removeprefix(_DOCUMENT_PREFIX)), CHECKPOINT, Form.SERDE)
            for owner, name in places
        ]
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise StoredDataError(f"a document is damaged: {error!r}") from error
    if not values:
        return None

    def joined(new: Sequence[bytes]) -> bytes:
        for (owner, name), value in zip(places, new, strict=True):
            prefix = _DOCUMENT_PREFIX if owner[name].startswith(_DOCUMENT_PREFIX) else ""
            owner[name] = prefix + base64.b64encode(value).decode()
        return orjson.dumps(document)

    return Values(values, joined)


def _texts_of_checkpoint(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    checkpoint = document["checkpoint"]
    if not isinstance(checkpoint, dict) or checkpoint.get("type") != _DOCUMENT_PREFIX[:-1]:
        return []
    channels = checkpoint["channel_values"]
    return [(document, "metadata"), (checkpoint, "body"), *((channels, name) for name in channels)]


def _texts_of_write(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    return [(document, "blob")] if document.get("type") == _DOCUMENT_PREFIX[:-1] else []


def _only(new: Sequence[bytes]) -> bytes:
    return new[0]


def _whole(stored: bytes, place: bytes, form: Form, *, by_script: bool = False) -> Values:
    return Values([Value(stored, place, form, by_script)], _only)


def _run(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _fields_of_run(key.ids[0], field, stored)


def _fields_of_run(run_id: str, field: str, stored: bytes) -> Values | None:
    if field == "kwargs":
        return _whole(stored, run_place(run_id), Form.BYTES)
    if field == "error":
        return _whole(stored, run_place(run_id), Form.TEXT, by_script=True)
    return _whole(stored, USER, Form.TEXT) if field in ("user", "chain_user", "changed_by") else None


def _delivery(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    """The ids of the key are that of the delivery and that of its run."""
    delivery_id, run_id = key.ids
    if field == "body":
        return _whole(stored, delivery_place(delivery_id), Form.BYTES, by_script=True)
    if field == "review_question":
        return _whole(stored, question_place(run_id), Form.BYTES)
    if field in ("review_answer", "review_decision"):
        return _whole(stored, DECISION, Form.BYTES)
    if field in ("body_values", "body_interrupts"):
        return _whole(stored, THREAD, Form.BYTES)
    if field == "body_error":
        return _whole(stored, THREAD, Form.TEXT, by_script=True)
    return _fields_of_run(run_id, field, stored)


def _try(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, delivery_place(key.ids[0]), Form.BYTES, by_script=True)


def _trace(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, trace_place(key.ids[0]), Form.BYTES, by_script=True)


def _thread(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field in ("values", "interrupts"):
        return _whole(stored, THREAD, Form.BYTES)
    if field == "error":
        return _whole(stored, THREAD, Form.TEXT, by_script=True)
    return _whole(stored, THREAD, Form.TEXT) if field.startswith("c:") else None


def _thread_call(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, CHECKPOINT, Form.SERDE) if field.endswith(":result") and stored else None


def _approval(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    is_decision = stored[:1] in (b"{", TEXT_MARK.encode())
    return _whole(stored, approval_place(key.ids[0]), Form.TEXT) if is_decision else None


def _review(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field == "question":
        return _whole(stored, question_place(key.ids[0].partition(":")[0]), Form.BYTES)
    if field in ("votes", "decision"):
        return _whole(stored, DECISION, Form.TEXT, by_script=field == "votes")
    return _whole(stored, DECISION, Form.BYTES) if field == "answer" else None


def _cron(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, cron_place(key.ids[0]), Form.TEXT) if field in ("payload", "request") else None


def _assistant(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field != "content" and not field.startswith("v:"):
        return None
    content, place = ormsgpack.unpackb(stored), assistant_place(key.ids[0])
    names = [name for name in ("config", "context") if name in content]

    def joined(new: Sequence[bytes]) -> bytes:
        return ormsgpack.packb(content | {name: text.decode() for name, text in zip(names, new, strict=True)})

    return Values([Value(content[name].encode(), place, Form.TEXT) for name in names], joined)


def _item(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    *times, value = stored.split(b"|", 4)
    place = item_place(key.ids[0], field)
    return Values([Value(value, place, Form.BYTES)], lambda new: b"|".join([*times, new[0]]))


def _vectors(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, vectors_place(key.ids[0], field), Form.VECTORS)


def _checkpoint(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field.startswith("b"):
        return _whole(stored, CHECKPOINT, Form.SERDE)
    if not field.startswith("c"):
        return None
    body_at = _HEAD_LENGTH_BYTES + int.from_bytes(stored[:_HEAD_LENGTH_BYTES])
    return Values([Value(stored[body_at:], CHECKPOINT, Form.SERDE)], lambda new: stored[:body_at] + new[0])


def _write(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field == DICTIONARY_FIELD:
        return None
    if "\0" not in field:
        return _whole(stored, CHECKPOINT, Form.SERDE)
    channel, path, value = ormsgpack.unpackb(stored)
    return Values([Value(value, CHECKPOINT, Form.SERDE)], lambda new: ormsgpack.packb((channel, path, new[0])))


def _endpoint(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, endpoint_place(key.ids[0]), Form.BYTES) if field == "keys" else None


def _hook_delivery(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    if field in ("raw_body", "answer"):
        return _whole(stored, hook_place(key.ids[0]), Form.BYTES)
    is_text = field in ("delivery_id", "kept_headers", "digest")
    return _whole(stored, hook_place(key.ids[0]), Form.TEXT) if is_text else None


def _digest_key(key: EncryptedKey, field: str, stored: bytes) -> Values | None:
    return _whole(stored, DIGEST_KEY, Form.BYTES) if field == "digest_key" else None


SPLIT: Final[dict[str, Callable[[EncryptedKey, str, bytes], Values | None]]] = {
    "run": _run,
    "delivery": _delivery,
    "delivery_tries": _try,
    "run_trace": _trace,
    "thread": _thread,
    "thread_calls": _thread_call,
    "thread_approvals": _approval,
    "review": _review,
    "cron": _cron,
    "assistant": _assistant,
    "store_items": _item,
    "store_vectors": _vectors,
    "checkpoint_state": _checkpoint,
    "checkpoint_writes": _write,
    "webhook_endpoint": _endpoint,
    "hook_delivery": _hook_delivery,
    "encryption": _digest_key,
}
