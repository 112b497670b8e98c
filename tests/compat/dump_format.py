"""A dump: the keys of one key prefix of a Redis, as data that any later Redis and any later release can load.

Redis' own `DUMP` depends on the version of the server, so the contents of each key are stored by its type.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

Client: TypeAlias = Any
"""A `redis.asyncio.Redis`, whose type hints accept no names as bytes."""

DUMPS: Final = Path(__file__).parent / "dumps"
DIGESTS: Final = "SHA256SUMS"
"""In the folder of a release: the digests of its dumps, in the format of `sha256sum`."""


@dataclass(frozen=True, slots=True)
class Dump:
    """A deployment as a release has left it."""

    release: str
    """The version of Slipway that wrote it."""
    key_prefix: str
    settings: dict[str, str]
    """Settings by field name, without which the data cannot be read."""
    threads: dict[str, str]
    """Thread ids, by the name of the pause."""
    notes: dict[str, Any]
    """What else a test must know, such as the ids of reviews."""
    keys: list[dict[str, Any]]
    """Name, type, contents and milliseconds to live of each key. Bytes are text, or base64 in a list."""

    def save(self, path: Path) -> None:
        path.write_bytes(gzip.compress(json.dumps(asdict(self), ensure_ascii=False).encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> Dump:
        return cls(**json.loads(gzip.decompress(path.read_bytes())))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def read_keys(redis: Client) -> list[dict[str, Any]]:
    """All keys, sorted by name. Raises `ValueError` for a type that a dump cannot hold."""
    names = sorted([name async for name in redis.scan_iter(count=1000)])
    return [await _read_key(redis, name) for name in names]


async def _read_key(redis: Client, name: bytes) -> dict[str, Any]:
    kind = (await redis.type(name)).decode()
    ttl_ms = await redis.pttl(name)
    return {"name": _text(name), "type": kind, "ttl_ms": ttl_ms if ttl_ms >= 0 else None} | await _contents(
        redis, name, kind
    )


async def _contents(redis: Client, name: bytes, kind: str) -> dict[str, Any]:
    match kind:
        case "string":
            return {"value": _text(await redis.get(name))}
        case "hash":
            return {"value": [[_text(field), _text(value)] for field, value in (await redis.hgetall(name)).items()]}
        case "list":
            return {"value": _texts(await redis.lrange(name, 0, -1))}
        case "set":
            return {"value": _texts(sorted(await redis.smembers(name)))}
        case "zset":
            members = await redis.zrange(name, 0, -1, withscores=True, score_cast_func=bytes.decode)
            return {"value": [[_text(member), score] for member, score in members]}
        case "stream":
            entries = [[i.decode(), _texts(_flat(fields))] for i, fields in await redis.xrange(name)]
            state = await redis.xinfo_stream(name)
            added = {"added": state["entries-added"], "deleted": state["max-deleted-entry-id"].decode()}
            return {"value": entries, "last": state["last-generated-id"].decode()} | added
        case "ReJSON-RL":
            return {"value": _text(await redis.execute_command("JSON.GET", name))}
    raise ValueError(f"{name!r} is a {kind}")


async def restore(redis: Client, dump: Dump) -> None:
    """Stores all keys of the dump, instead of those that have its prefix."""
    await delete_keys(redis, dump.key_prefix)
    async with redis.pipeline(transaction=False) as pipeline:
        for key in dump.keys:
            for command in _commands(key):
                pipeline.execute_command(*command)
        await pipeline.execute()


async def delete_keys(redis: Client, key_prefix: str) -> None:
    names = [name async for name in redis.scan_iter(match=f"{key_prefix}*", count=1000)]
    if names:
        await redis.unlink(*names)


def _commands(key: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    name, value = _bytes(key["name"]), key["value"]
    match key["type"]:
        case "string":
            yield "SET", name, _bytes(value)
        case "hash":
            yield "HSET", name, *_all_bytes(_flat(value))
        case "list":
            yield "RPUSH", name, *_all_bytes(value)
        case "set":
            yield "SADD", name, *_all_bytes(value)
        case "zset":
            yield "ZADD", name, *(part for member, score in value for part in (score, _bytes(member)))
        case "stream":
            for entry_id, fields in value or [["0-1", ["only", "temporary"]]]:
                yield "XADD", name, entry_id, *_all_bytes(fields)
            if not value:
                yield "XTRIM", name, "MAXLEN", 0
            yield "XSETID", name, key["last"], "ENTRIESADDED", key["added"], "MAXDELETEDID", key["deleted"]
        case "ReJSON-RL":
            yield "JSON.SET", name, "$", _bytes(value)
    if key["ttl_ms"] is not None:
        yield "PEXPIRE", name, key["ttl_ms"]


def _flat(pairs: Any) -> list[Any]:
    """The parts of all pairs in one list."""
    return [part for pair in (pairs.items() if isinstance(pairs, dict) else pairs) for part in pair]


def _texts(values: Iterable[bytes]) -> list[Any]:
    return [_text(value) for value in values]


def _all_bytes(values: Iterable[Any]) -> list[bytes]:
    return [_bytes(value) for value in values]


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(value).decode()]


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value[0]) if isinstance(value, list) else str(value).encode()
