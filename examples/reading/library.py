"""Loads documents: texts in the input, or the files in SLIPWAY_LIBRARY_DIR."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.reading.passages import title as first_heading

SHIPPED: Final = Path(__file__).resolve().parents[1] / "library"
SUFFIXES: Final = frozenset({".md", ".markdown", ".txt"})
MAX_FILES: Final = 500
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
_MAX_ODD_SHARE: Final = 0.02
_LONGEST_SIGN_BYTES: Final = 4
_ASCII_END: Final = 127


class NotText(ValueError):
    """The file is not text; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `name` is unique; `title` is displayed."""

    name: str
    title: str
    text: str
    cut: bool = False
    """Whether only the first MAX_FILE_BYTES were read."""


def library_dir() -> Path:
    """The folder that SLIPWAY_LIBRARY_DIR names, read now; without it, the documents that ship with the examples."""
    named = os.environ.get("SLIPWAY_LIBRARY_DIR")
    return Path(named).expanduser() if named else SHIPPED


def file_names(folder: Path) -> list[str]:
    """The readable files below `folder`, relative, sorted, hidden ones left out; at most MAX_FILES. Blocks."""
    if not folder.is_dir():
        return []
    found = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    return [name for name in found if not any(part.startswith(".") for part in name.split("/"))][:MAX_FILES]


def read_file(folder: Path, name: str) -> Document:
    """The document in a file; `NotText` when it is none. Blocks: call it in a thread."""
    with (folder / name).open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    text = decoded(raw[:MAX_FILE_BYTES], name)
    return Document(name, _title(text, name), text, cut=len(raw) > MAX_FILE_BYTES)


def decoded(raw: bytes, name: str) -> str:
    """The text in `raw`: UTF-8 or UTF-16 by its mark, else Latin-1 when that makes sense."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if b"\x00" in raw:
        raise NotText(f"{name} is not text: it has zero bytes in it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(raw) - error.start < _LONGEST_SIGN_BYTES:  # the file was cut within a sign
            return raw[: error.start].decode("utf-8-sig")
    text = raw.decode("utf-8-sig", errors="replace")
    damaged = text.count("\ufffd")
    if damaged <= sum(1 for char in text if ord(char) > _ASCII_END) - damaged:
        return text
    text = raw.decode("latin-1")
    odd = sum(1 for char in text if (ord(char) < 32 and char not in "\t\n\r\f") or 127 <= ord(char) < 160)
    if odd > max(1, len(text) * _MAX_ODD_SHARE):
        raise NotText(f"{name} is not text: too many of its bytes are no characters")
    return text


def read_library(folder: Path) -> tuple[list[Document], list[str]]:
    """All documents of a folder, and a sentence for each file that could not be read. Blocks."""
    documents: list[Document] = []
    problems: list[str] = []
    for name in file_names(folder):
        try:
            documents.append(read_file(folder, name))
        except (OSError, NotText) as error:
            problems.append(str(error))
    return documents, problems


def given(documents: object) -> list[Document]:
    """The documents that came with the input; a ValueError names the one that is wrong."""
    if not isinstance(documents, list):
        raise ValueError("documents: a list of texts, or of objects with title and text, is expected")
    taken: dict[str, int] = {}
    return [_given(item, position, taken) for position, item in enumerate(documents)]


def _given(item: object, position: int, taken: dict[str, int]) -> Document:
    text, called = (item.get("text"), item.get("title")) if isinstance(item, Mapping) else (item, None)
    if not isinstance(text, str):
        raise ValueError(f"documents[{position}].text: a text is expected, not {type(text).__name__}")
    if called is not None and not isinstance(called, str):
        raise ValueError(f"documents[{position}].title: a text is expected, not {type(called).__name__}")
    name = (called or "").strip() or first_heading(text) or f"Document {position + 1}"
    taken[name] = taken.get(name, 0) + 1
    unique = name if taken[name] == 1 else f"{name} ({taken[name]})"
    return Document(unique, name if taken[name] == 1 else unique, text)


def _title(text: str, name: str) -> str:
    """The first heading, else the file's name made readable."""
    return first_heading(text) or Path(name).stem.replace("_", " ").replace("-", " ").strip().capitalize() or name
