"""Compresses large stored values: channel values, pending writes, events, results, thread values, run options, store
items.

A compressed value begins with one byte that names its codec. The formats that are stored otherwise never begin with
such a byte, so a value without one is plain, also if a release without compression wrote it: JSON and frames begin with
a printable character, an encrypted value with `MARK`, and a MessagePack value that begins with a byte below 32 is that
one byte. A plain value that would be mistaken for a compressed one is stored with the codec `_PLAIN`.

Values below `COMPRESSED_FROM_BYTES` stay plain, and so do values that are not smaller when they are compressed. A value
above `MOST_PLAIN_BYTES` stays plain as well, and reading rejects a compressed value that claims to be larger: what is
read needs at most as much memory as a value that was written, whatever somebody has stored. Compression comes before
encryption, because encrypted bytes cannot be compressed.

Records of checkpoints are small and resemble each other: `compressed_record` uses a dictionary, whatever their size.
`compressed_similar` uses other values as the dictionary, which whoever reads the value must have. The frame has a
checksum, so that another dictionary is an error and never another value.

Level 1 was measured with the values of a run of the research assistant (240 KB): 1.5 ms of CPU per MB to compress and
0.7 ms to decompress, at a fifth of the size. Level 3 takes 2.0 ms for 2 % less, level 6 takes 8.6 ms for 8 % less.
"""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from slipway.errors import StoredDataError

COMPRESSED_FROM_BYTES: Final = 1024
MOST_PLAIN_BYTES: Final = 64 * 1024 * 1024
LEVEL: Final = 1
RECORD_LEVEL: Final = -1
"""For records of checkpoints. Level 1 executes twice as many instructions for 5 % fewer bytes."""

_FRAME_HEADER_BYTES: Final = 18
"""The most bytes at the begin of a zstd frame that say its size."""
_ZSTD: Final = b"\x01"
_PLAIN: Final = b"\x02"
_ZSTD_RECORD: Final = b"\x03"
_ZSTD_SIMILAR: Final = b"\x04"
CODECS_END: Final = 32
"""Codecs are the bytes from 1 to 31."""


_RECORD_DICTIONARY: Final = zstandard.ZstdCompressionDict(
    b"\x92\x84\xa1v\x04\xa2ts\xd9 2026-11-29T17:26:4+00:00\xadversions_seen\x83\xa9__input__\x80"
    b"\xa9__start__\x81\xa9__start__\xb00000000102\xa6answer\x81\xb0branch:to:\xb0000000002\xb0updated_channels\x91\xa4text\x87\xa6source\xa4loop\xa5input"
    b"\xa4step\x00\xa7parents\x80\xa8graph_id\xa5\xaacreated_by\xa6system\xacassistant_id\xd9$-\xabrun_attempt\x01",
    dict_type=zstandard.DICT_TYPE_RAWCONTENT,
)
"""Parts of a typical record. It must never change, because stored records cannot be read without it: a better one gets
another codec."""


class _Contexts(threading.local):
    """zstandard's objects must not be used by two threads at once, and a new one costs as much as 2 KB of data."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()
        self.record_compressor = zstandard.ZstdCompressor(level=RECORD_LEVEL, dict_data=_RECORD_DICTIONARY)
        self.record_decompressor = zstandard.ZstdDecompressor(dict_data=_RECORD_DICTIONARY)


_contexts: Final = _Contexts()


def compressed(plain: bytes) -> bytes:
    """The stored form of `plain`. It takes CPU on the calling thread, 1.5 ms per MB; several threads may call it at
    once."""
    size = len(plain)
    if COMPRESSED_FROM_BYTES <= size <= MOST_PLAIN_BYTES:
        smaller = _contexts.compressor.compress(plain)
        if len(smaller) + 1 < size:
            return _ZSTD + smaller
    return _PLAIN + plain if size > 1 and 0 < plain[0] < CODECS_END else plain


def compressed_record(plain: bytes) -> bytes:
    """The stored form of a checkpoint's record, or a similar value. It takes 2 to 4 µs for a small record."""
    if 0 < len(plain) <= MOST_PLAIN_BYTES:
        smaller = _contexts.record_compressor.compress(plain)
        if len(smaller) + 1 < len(plain):
            return _ZSTD_RECORD + smaller
    return _PLAIN + plain if _names_codec(plain) else plain


def compressed_similar(plain: bytes, dictionary: bytes) -> bytes:
    """The stored form of a value that has much in common with `dictionary`, without which it cannot be read. It takes
    1.6 ms of CPU per MB of both, and 20 µs."""
    if dictionary and 0 < len(plain) <= MOST_PLAIN_BYTES:
        compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=_raw(dictionary), write_checksum=True)
        smaller = compressor.compress(plain)
        if len(smaller) + 1 < len(plain):
            return _ZSTD_SIMILAR + smaller
    return compressed(plain)


def decompressed(stored: bytes, dictionary: bytes = b"") -> bytes:
    """The plain form of a stored value. `dictionary` is that of `compressed_similar`. Raises `StoredDataError` if the
    value is damaged, too large, or compressed by a codec that this release does not know, or with another
    dictionary."""
    if not _names_codec(stored):
        return stored
    codec, body = stored[:1], stored[1:]
    if codec == _PLAIN:
        return body
    if codec not in (_ZSTD, _ZSTD_RECORD, _ZSTD_SIMILAR):
        raise StoredDataError(
            f"a stored value is compressed by the codec {codec[0]}, which this release does not know: a later release "
            "wrote it"
        )
    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= MOST_PLAIN_BYTES:
            raise StoredDataError(f"a compressed value has no size, or more than {MOST_PLAIN_BYTES} bytes")
        plain = _decompressor(codec, dictionary).decompress(body, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise StoredDataError(f"a compressed value is damaged: {error}") from error
    if len(plain) != size:
        raise StoredDataError("a compressed value is damaged: it has another size than it claims")
    return plain


def _decompressor(codec: bytes, dictionary: bytes) -> zstandard.ZstdDecompressor:
    if codec == _ZSTD_SIMILAR:
        return zstandard.ZstdDecompressor(dict_data=_raw(dictionary))
    return _contexts.decompressor if codec == _ZSTD else _contexts.record_decompressor


def _raw(dictionary: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def stored_plain(plain: bytes) -> bytes:
    """The stored form of bytes that stay plain although they begin like another stored form."""
    return _PLAIN + plain


def plain_size(stored: bytes) -> int:
    """The bytes of the plain form, as far as the value says it: 0 for one that is not compressed, or damaged."""
    if stored[:1] not in (_ZSTD, _ZSTD_RECORD):
        return 0
    try:
        return max(0, int(zstandard.frame_content_size(stored[1 : 1 + _FRAME_HEADER_BYTES])))
    except zstandard.ZstdError:
        return 0


def is_compressed(stored: bytes) -> bool:
    """Whether reading the value takes the time of a decompression."""
    return stored[:1] == _ZSTD and len(stored) > 1


def _names_codec(data: bytes) -> bool:
    return len(data) > 1 and 0 < data[0] < CODECS_END
