"""Compressed values: which are compressed, what is read again, and what is rejected."""

from __future__ import annotations

import os

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.errors import StoredDataError
from slipway.serialization.compression import (
    COMPRESSED_FROM_BYTES,
    MOST_PLAIN_BYTES,
    compressed,
    decompressed,
    is_compressed,
)
from slipway.serialization.encryption import MARK, Encryption
from slipway.serialization.serde import Serde
from tests.incompressible import incompressible

TEXT = b'{"answer":"' + b"a word, " * 500 + b'"}'
ZSTD = b"\x01"


@given(st.binary(max_size=40) | st.integers(1000, 1050).map(lambda size: b"x" * size))
@example(b"")
@example(b"\x01")
@example(b"\x01x")
@example(b"\x02" + TEXT)
def test_every_value_is_read_again(value: bytes) -> None:
    assert decompressed(compressed(value)) == value


def test_values_from_one_kib_on_are_compressed_if_that_makes_them_smaller() -> None:
    assert not is_compressed(compressed(b"x" * (COMPRESSED_FROM_BYTES - 1)))
    assert is_compressed(compressed(b"x" * COMPRESSED_FROM_BYTES))
    assert len(compressed(TEXT)) < len(TEXT) / 20
    assert compressed(incompressible(5000)) == incompressible(5000)


@pytest.mark.parametrize(
    "plain", [TEXT, b"event: values\r\ndata: {}\r\n", b"\x05", b"\xc0", b"\x93\x01\x02\x03", b"null"]
)
def test_values_that_were_stored_without_compression_are_read(plain: bytes) -> None:
    assert decompressed(plain) == plain


def test_a_codec_of_a_later_release_is_rejected_with_a_clear_error() -> None:
    with pytest.raises(StoredDataError, match="codec 9, which this release does not know: a later release wrote it"):
        decompressed(b"\x09" + TEXT)


@pytest.mark.parametrize(
    "damaged",
    [
        ZSTD + b"nothing",
        ZSTD + zstandard.compress(TEXT)[:-2],
        ZSTD + zstandard.compress(TEXT) + b"more",
        ZSTD + zstandard.compress(TEXT) * 2,
        ZSTD + zstandard.ZstdCompressor(write_content_size=False).compress(TEXT),
    ],
    ids=["no zstd", "cut", "longer", "twice", "without a size"],
)
def test_damaged_values_are_rejected(damaged: bytes) -> None:
    with pytest.raises(StoredDataError, match="a compressed value"):
        decompressed(damaged)


def test_a_value_that_expands_above_the_limit_is_rejected_before_it_is_expanded() -> None:
    bomb = ZSTD + zstandard.compress(bytes(MOST_PLAIN_BYTES + 1))
    assert len(bomb) < 5000
    with pytest.raises(StoredDataError, match=f"more than {MOST_PLAIN_BYTES} bytes"):
        decompressed(bomb)
    assert not is_compressed(compressed(bytes(MOST_PLAIN_BYTES + 1)))


def test_values_are_compressed_before_they_are_encrypted() -> None:
    serde = Serde(encryption=Encryption([os.urandom(32)]))
    stored = serde.dumps(["a word, " * 500])
    assert stored[:1] == MARK
    assert len(stored) < 200
    assert serde.loads(stored) == ["a word, " * 500]
