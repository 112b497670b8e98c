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
_LONGEST_CHARACTER_BYTES: Final = 4
_ASCII_END: Final = 127


class NotText(ValueError):
    """The file is not text. The message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `name` is unique; `title` is displayed."""

    name: str
    title: str
    text: str
    cut: bool = False
    """Whether only the first MAX_FILE_BYTES were read."""


def library_dir() -> Path:
    """The folder that SLIPWAY_LIBRARY_DIR names now, or else the documents that are part of the examples."""
    named = os.environ.get("SLIPWAY_LIBRARY_DIR")
    return Path(named).expanduser() if named else SHIPPED


def file_names(folder: Path) -> list[str]:
    """Relative paths of the text files below `folder`, sorted, without hidden files; at most MAX_FILES. Blocks."""
    if not folder.is_dir():
        return []
    found = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    return [name for name in found if not any(part.startswith(".") for part in name.split("/"))][:MAX_FILES]


def read_file(folder: Path, name: str) -> Document:
    """The document in a file. Raises `NotText`. Blocks: call it in a thread."""
    with (folder / name).open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    text = decode(raw[:MAX_FILE_BYTES], name)
    return Document(name, _title(text, name), text, cut=len(raw) > MAX_FILE_BYTES)


def decode(raw: bytes, name: str) -> str:
    """Decodes UTF-8, UTF-16 with a byte order mark, or Latin-1. Raises `NotText`."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if b"\x00" in raw:
        raise NotText(f"{name} is not text: it contains zero bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(raw) - error.start < _LONGEST_CHARACTER_BYTES:  # the file was cut within a character
            return raw[: error.start].decode("utf-8-sig")
    text = raw.decode("utf-8-sig", errors="replace")
    damaged = text.count("\ufffd")
    if damaged <= sum(1 for char in text if ord(char) > _ASCII_END) - damaged:
        return text
    text = raw.decode("latin-1")
    odd = sum(1 for char in text if (ord(char) < 32 and char not in "\t\n\r\f") or 127 <= ord(char) < 160)
    if odd > max(1, len(text) * _MAX_ODD_SHARE):
        raise NotText(f"{name} is not text: too many of its bytes are not characters")
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


def from_input(documents: object) -> list[Document]:
    """The documents in the input of a run. Raises ValueError, which names the invalid document."""
    if not isinstance(documents, list):
        raise ValueError("documents: a list of texts, or of objects with title and text, is expected")
    uses: dict[str, int] = {}
    return [_from_input(item, position, uses) for position, item in enumerate(documents)]


def _from_input(item: object, position: int, uses: dict[str, int]) -> Document:
    text, input_title = (item.get("text"), item.get("title")) if isinstance(item, Mapping) else (item, None)
    if not isinstance(text, str):
        raise ValueError(f"documents[{position}].text: text is expected, not {type(text).__name__}")
    if input_title is not None and not isinstance(input_title, str):
        raise ValueError(f"documents[{position}].title: text is expected, not {type(input_title).__name__}")
    name = (input_title or "").strip() or first_heading(text) or f"Document {position + 1}"
    uses[name] = uses.get(name, 0) + 1
    unique = name if uses[name] == 1 else f"{name} ({uses[name]})"
    return Document(unique, name if uses[name] == 1 else unique, text)


def _title(text: str, name: str) -> str:
    """The first heading, or else the name of the file with spaces and a capital letter."""
    return first_heading(text) or Path(name).stem.replace("_", " ").replace("-", " ").strip().capitalize() or name
