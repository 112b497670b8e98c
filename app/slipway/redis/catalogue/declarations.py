"""How a kind of key and a field of a hash are declared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RedisType(StrEnum):
    """What a key holds."""

    HASH = "hash"
    STREAM = "stream"
    ZSET = "zset"
    SET = "set"
    LIST = "list"
    STRING = "string"
    JSON = "JSON document"
    CHANNEL = "channel"


class Encoding(StrEnum):
    """How a value is encoded. All encodings except `BYTES` and `MSGPACK` are text."""

    TEXT = "text"
    INTEGER = "integer"
    FLAG = "1"
    """Either 1, or the field is absent."""
    BOOLEAN = "0 or 1"
    JSON = "JSON"
    TIME_US = "time in µs"
    """An integer: µs since 1970, on the clock of Redis."""
    TIME_MS = "time in ms"
    """An integer: ms since 1970, on the clock of Redis."""
    MSGPACK = "MessagePack"
    BYTES = "bytes"


class Shard(StrEnum):
    """Which keys live together in one slot of a cluster. A script uses keys of one shard only. It may publish on any
    channel: a channel belongs to no slot."""

    THREAD = "thread"
    """A thread with all that must agree with it: its runs and their events, its checkpoints, the queue, the leases."""
    ASSISTANTS = "assistants"
    CRONS = "crons"
    STORE = "store"
    ACCESS = "access"
    IDEMPOTENCY = "idempotency"
    HOOKS = "hooks"
    PROCESSES = "processes"
    CLIENTS = "clients"
    """How often clients asked, and what they have open."""
    LIMITS = "limits"
    """What the runs of all threads together may use: they share it, so it is counted in one place."""
    TARGETS = "targets"
    """How many calls the targets of deliveries get, for the deliveries of all shards of threads."""
    MIGRATION = "migration"
    LAYOUT = "layout"
    ENCRYPTION = "encryption"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a hash. A name that ends with `*` stands for all fields that begin with what is before it; `*` alone
    for fields whose names are data."""

    name: str
    encoding: Encoding
    meaning: str
    absent: str = ""
    """When the record has no such field; empty when it always has it."""
    unit: str = ""
    python_writers: tuple[str, ...] = ()
    """Packages that send commands which write it. The scripts that write and read it are found in their source: see
    docs/keys.md."""
    scripts_only: bool = False
    """Whether no Python code reads it."""

    def names(self, field: str) -> bool:
        """Whether this is the declaration of a stored field with this name."""
        prefix, star, _ = self.name.partition("*")
        return field.startswith(prefix) if star else field == self.name


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One kind of key or channel."""

    name: str
    template: str
    """What follows the key prefix; each `%s` is replaced by an id. A template without a colon at its start is one of
    `langgraph-checkpoint-redis`: these keys have a prefix of their own."""
    type: RedisType
    shard: Shard | None
    """None for a channel: a cluster sends what is published to all of its nodes."""
    meaning: str
    lifetime: str = ""
    """Until when the key exists; channels have none."""
    python_writers: tuple[str, ...] = ()
    python_readers: tuple[str, ...] = ()
    """Packages that read it, or subscribe to it; for a hash: which decode the record or read fields of it."""
    fields: tuple[Field, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether the key begins with the key prefix."""
        return self.template.startswith(":")
