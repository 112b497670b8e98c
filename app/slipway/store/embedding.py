"""Meaning as numbers: what is embedded of an item, how vectors are kept, and how alike two of them are.

A text's vector is kept with length one as 32-bit floats, little-endian, behind one such whole number that says how many
dimensions it has; an item may have several, one for each text that was found in it. With numpy installed a thousand
items are compared in about a millisecond, without it in about a hundred times that.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from langchain_core.embeddings import Embeddings
from langgraph.store.base.embed import ensure_embeddings, get_text_at_path, tokenize_path

from slipway.errors import ConfigError, InvalidRequest, Unavailable
from slipway.graphs.sections import IndexSection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_COUNT: Final = struct.Struct("<I")

Paths = Sequence[str | list[str]]


class Index:
    """Embeds texts by the function that langgraph.json names. `load` gets the attribute that `./file.py:name` means."""

    def __init__(self, section: IndexSection, load: Callable[[str], object]) -> None:
        self.dims = section.dims
        self._paths = _tokenized(section.fields)
        self._embeddings = _embeddings(section.embed, load)

    async def of_values(self, values: Sequence[tuple[dict[str, Any], list[str] | None]]) -> list[bytes]:
        """The vectors of each value, as kept; empty for one without text. A list of paths stands in for the index's
        own. One call of the embedding function for all."""
        texts = [_texts(value, self._paths if paths is None else _tokenized(paths)) for value, paths in values]
        flat = [text for some in texts for text in some]
        vectors = iter(await self._embedded(flat) if flat else [])
        return [_packed([next(vectors) for _ in some]) for some in texts]

    async def _embedded(self, texts: list[str]) -> list[list[float]]:
        try:
            vectors = await self._embeddings.aembed_documents(texts)
        except Exception as error:
            raise _failed(error) from error
        if len(vectors) != len(texts):
            raise ConfigError(f"store.index.embed: made {len(vectors)} vectors of {len(texts)} texts")
        return [_unit(self._checked(vector)) for vector in vectors]

    async def of_query(self, query: str) -> list[float]:
        """The vector of what is looked for."""
        try:
            vector = await self._embeddings.aembed_query(query)
        except Exception as error:
            raise _failed(error) from error
        return _unit(self._checked(vector))

    def _checked(self, vector: Sequence[float]) -> Sequence[float]:
        if len(vector) != self.dims:
            raise ConfigError(
                f"store.index.dims is {self.dims}, but the embedding function makes {len(vector)} numbers"
            )
        return vector


def closeness(query: Sequence[float], kept: Sequence[bytes | None]) -> list[float | None]:
    """How alike each item is to the query: the cosine of its best vector, or None when it has none that compares.

    Uses the processor for a while: not to be called on the event loop with many.
    """
    try:
        import numpy as np
    except ImportError:
        weights = list(query)
        return [max((_dot(weights, vector) for vector in _vectors(data, len(query))), default=None) for data in kept]
    wanted = np.asarray(query, dtype=np.float32)
    found = [_body(data, len(query)) for data in kept]
    if not any(found):
        return [None] * len(found)
    rows = np.frombuffer(b"".join(found), dtype="<f4").reshape(-1, len(query)) @ wanted
    scores: list[float | None] = []
    at = 0
    for body in found:
        count = len(body) // (4 * len(query))
        scores.append(float(rows[at : at + count].max()) if count else None)
        at += count
    return scores


def _failed(error: Exception) -> Unavailable:
    log.error("store.embedding_failed", exc_info=error)
    return Unavailable(f"the embedding function failed: {type(error).__name__}; the server's log has the rest")


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _body(data: bytes | None, dims: int) -> bytes:
    """The numbers, or nothing when they were made by another index."""
    if not data or _COUNT.unpack_from(data)[0] != dims:
        return b""
    return data[_COUNT.size :]


def _vectors(data: bytes | None, dims: int) -> list[tuple[float, ...]]:
    return list(struct.iter_unpack(f"<{dims}f", _body(data, dims)))


def _packed(vectors: Sequence[Sequence[float]]) -> bytes:
    if not vectors:
        return b""
    return _COUNT.pack(len(vectors[0])) + b"".join(struct.pack(f"<{len(each)}f", *each) for each in vectors)


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else [0.0] * len(vector)


def _texts(value: dict[str, Any], paths: Paths) -> list[str]:
    return [text for path in paths for text in get_text_at_path(value, path) if text]  # type: ignore[arg-type,unused-ignore]


def _tokenized(fields: Sequence[str]) -> Paths:
    try:
        return [field if field == "$" else tokenize_path(field) for field in fields]
    except Exception as error:
        raise InvalidRequest("index", f"is not a list of paths: {error}") from None


def _embeddings(named: str, load: Callable[[str], object]) -> Embeddings:
    """By `./file.py:name` or `package.module:name` the user's own, which may be an `Embeddings` or a function, async or
    not; else a provider's model. Raises `ConfigError`."""
    try:
        where = named.rpartition(":")[0]
        if "/" in where or "." in where:
            return ensure_embeddings(load(named))  # type: ignore[arg-type,unused-ignore]
        from langchain.embeddings import init_embeddings

        return init_embeddings(named)  # type: ignore[no-any-return,unused-ignore]
    except ImportError as error:
        raise ConfigError(f"store.index.embed: {named!r} needs a package: {error} (extra `models`)") from error
    except Exception as error:
        raise ConfigError(f"store.index.embed: {named!r} cannot be used: {error}") from error
