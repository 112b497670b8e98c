"""Embeds the texts of items, and compares their vectors with that of a query.

A vector has length one. It is stored as 32-bit little-endian floats behind one 32-bit integer, its number of
dimensions. An item has one vector for each text that the index selects from it. Comparing a thousand items takes about
a millisecond.
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
from slipway.graphs.official_sections import IndexSection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_COUNT: Final = struct.Struct("<I")

Paths = Sequence[str | list[str]]


class VectorIndex:
    """Embeds texts with the function that langgraph.json names. `load` returns the attribute that `./file.py:name`
    names."""

    def __init__(self, section: IndexSection, load: Callable[[str], object]) -> None:
        self.dims = section.dims
        self._paths = _tokenized(section.fields)
        self._embeddings = _embeddings(section.embed, load)

    async def embed_values(self, values: Sequence[tuple[dict[str, Any], list[str] | None]]) -> list[bytes]:
        """The stored form of each value's vectors; empty for a value without text. A list of paths replaces those of
        the index. Calls the embedding function once for all values. Raises `Unavailable` when it fails."""
        texts = [_texts(value, self._paths if paths is None else _tokenized(paths)) for value, paths in values]
        flat = [text for value_texts in texts for text in value_texts]
        vectors = iter(await self._embedded(flat) if flat else [])
        return [_packed([next(vectors) for _ in value_texts]) for value_texts in texts]

    async def _embedded(self, texts: list[str]) -> list[list[float]]:
        try:
            vectors = await self._embeddings.aembed_documents(texts)
        except Exception as error:
            raise _failed(error) from error
        if len(vectors) != len(texts):
            raise ConfigError(f"store.index.embed: returned {len(vectors)} vectors for {len(texts)} texts")
        return [_unit(self._checked(vector)) for vector in vectors]

    async def embed_query(self, query: str) -> list[float]:
        """The vector of a query. Raises `Unavailable` when the embedding function fails."""
        try:
            vector = await self._embeddings.aembed_query(query)
        except Exception as error:
            raise _failed(error) from error
        return _unit(self._checked(vector))

    def _checked(self, vector: Sequence[float]) -> Sequence[float]:
        if len(vector) != self.dims:
            raise ConfigError(
                f"store.index.dims is {self.dims}, but the embedding function returned {len(vector)} numbers"
            )
        return vector


def similarity(query: Sequence[float], stored: Sequence[bytes | None]) -> list[float | None]:
    """The highest cosine of each item's vectors with the query; None for an item without a vector of its dimensions.

    Blocks the calling thread: with many items call it in a thread, not on the event loop.
    """
    import numpy as np  # imported late: only deployments with an index need it

    query_vector = np.asarray(query, dtype=np.float32)
    bodies = [_body(data, len(query)) for data in stored]
    if not any(bodies):
        return [None] * len(bodies)
    rows = np.frombuffer(b"".join(bodies), dtype="<f4").reshape(-1, len(query)) @ query_vector
    scores: list[float | None] = []
    start = 0
    for body in bodies:
        count = len(body) // (4 * len(query))
        scores.append(float(rows[start : start + count].max()) if count else None)
        start += count
    return scores


def _failed(error: Exception) -> Unavailable:
    log.error("store.embedding_failed", exc_info=error)
    return Unavailable(f"the embedding function failed: {type(error).__name__}; the server's log has the details")


def _body(data: bytes | None, dims: int) -> bytes:
    """The floats; empty when they have other dimensions, because the index was changed."""
    if not data or _COUNT.unpack_from(data)[0] != dims:
        return b""
    return data[_COUNT.size :]


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


def _embeddings(text: str, load: Callable[[str], object]) -> Embeddings:
    """`./file.py:name` or `package.module:name` is an object of the project: an `Embeddings`, or a function, async or
    not. Any other text is a provider's model. Raises `ConfigError`."""
    try:
        module = text.rpartition(":")[0]
        if "/" in module or "." in module:
            return ensure_embeddings(load(text))  # type: ignore[arg-type,unused-ignore]
        from langchain.embeddings import init_embeddings

        return init_embeddings(text)  # type: ignore[no-any-return,unused-ignore]
    except ImportError as error:
        raise ConfigError(f"store.index.embed: {text!r} needs a package: {error} (extra `models`)") from error
    except Exception as error:
        raise ConfigError(f"store.index.embed: {text!r} cannot be used: {error}") from error
