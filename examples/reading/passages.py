"""Splits a document into sections (by Markdown headings) and passages (sentences, list items, table rows, code).

`quote` of a passage occurs literally in the document, except that each run of white space is one space.
`display_text` has no markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from examples.reading.sentences import sentences

Kind = Literal["sentence", "item", "row", "code", "meta"]

_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{3,})[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(```+|~~~+)")
_ITEM: Final = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+(?=\S)")
_QUOTE_MARKS: Final = re.compile(r"^(?:[ \t]*>)+[ \t]?")
_RULE: Final = re.compile(r"[ \t]*([-*_=~#])(?:[ \t]*\1){2,}[ \t]*$")
_ROW_RULE: Final = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_META: Final = re.compile(
    r"[\s>*_|]*(version|revision|effective|last (?:updated|reviewed|changed)|updated|date|status|owner|author|approved"
    r"|replaces|supersedes|applies (?:to|from)|valid (?:from|until)|review(?:ed)?|contact|next review)\b[^.!?]{0,40}:",
    re.IGNORECASE,
)
_MARKUP: Final = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), ""),
    (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"</?[A-Za-z][^<>]*>"), ""),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)"), r"\1"),
)
_LONGEST_CODE_LINES: Final = 24
"""A longer block is cut to this many lines."""
_LONGEST_HEADING: Final = 120


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence, list item, table row or code block of a document."""

    section: str
    """The headings above it without the title of the document, joined by ` › `; may be empty."""
    quote: str
    """The characters of the document. Each run of white space is one space, except in code."""
    display_text: str
    """The text without markup."""
    kind: Kind
    order: int
    """Its number among the passages of the document, from 0."""
    lead: str = ""
    """The sentence that introduces its list, such as `Bring along:`."""


@dataclass(slots=True)
class _Reader:
    """The state of the parser while it reads the lines of a document."""

    path: list[tuple[int, str]] = field(default_factory=list)
    title: str = ""
    found: list[Passage] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    lead: str = ""
    headers: list[str] = field(default_factory=list)

    @property
    def section(self) -> str:
        return " › ".join(name for level, name in self.path if not (level == 1 and name == self.title))

    def add(self, quote: str, kind: Kind, *, display_text: str | None = None, lead: str = "") -> None:
        text = plain(quote) if display_text is None else display_text
        if re.search(r"\w", text):
            self.found.append(Passage(self.section, quote, text, kind, len(self.found), lead))

    def flush(self) -> None:
        """End of a paragraph or list item."""
        if not self.block:
            return
        lines, self.block = self.block, []
        item = _ITEM.match(lines[0])
        text = single_spaced("\n".join([lines[0][item.end() :] if item else lines[0], *lines[1:]]))
        if not item and _META.match(text) and len(text) < 300 and not self.section:
            for line in lines:
                self.add(single_spaced(line), "meta")
            return
        if not item:
            self.lead = ""
        pieces = list(sentences(text))
        for piece in pieces:
            self.add(piece, "item" if item else "sentence", lead=self.lead if item and piece is pieces[0] else "")
        if not item and pieces and pieces[-1].rstrip("*_ ").endswith((":", "：")):
            self.lead = plain(pieces[-1])

    def enter(self, level: int, name: str) -> None:
        """Starts the section of a heading."""
        self.flush()
        self.lead, self.headers = "", []
        name = plain(name)[:_LONGEST_HEADING]
        if level == 1 and not self.title:
            self.title = name
        self.path = [(above, heading) for above, heading in self.path if above < level] + [(level, name)]

    def row(self, line: str) -> None:
        """Reads a line of a table. The first line has the names of the columns."""
        if _ROW_RULE.match(line):
            return
        cells = [plain(cell) for cell in line.strip().strip("|").split("|")]
        if not self.headers:
            self.headers = cells
            return
        named = [f"{head}: {cell}" if head else cell for head, cell in zip(self.headers, cells, strict=False) if cell]
        first, others = (cells[0], named[1:]) if cells[0] else ("", named)
        self.add(
            single_spaced(line), "row", display_text=(f"{first}: " if first and others else first) + "; ".join(others)
        )


def passages(text: str) -> list[Passage]:
    """All passages of a document, in order."""
    reader = _Reader()
    lines = iter(_without_front_matter(text.removeprefix("\ufeff")).splitlines())
    previous = ""
    for line in lines:
        if fence := _FENCE.match(line):
            reader.flush()
            _code(reader, lines, fence.group(1))
        elif heading := _HEADING.match(line):
            reader.enter(len(heading.group(1)), heading.group(2))
        elif _UNDERLINE.match(line) and len(reader.block) == 1 and previous.strip() and not _ITEM.match(previous):
            name = reader.block.pop()
            reader.enter(1 if "=" in line else 2, name)
        elif not line.strip() or (_RULE.match(line) and "|" not in line):
            reader.flush()
            if not line.strip() and previous.lstrip().startswith("|"):
                reader.headers = []
        elif line.lstrip().startswith("|") and line.count("|") > 1:
            reader.flush()
            reader.row(line)
        else:
            if _ITEM.match(line):
                reader.flush()
            reader.block.append(_QUOTE_MARKS.sub("", line))
        previous = line
    reader.flush()
    return reader.found


def _code(reader: _Reader, lines: Iterator[str], fence: str) -> None:
    code: list[str] = []
    for line in lines:
        if line.strip().startswith(fence):
            break
        code.append(line)
    if code:
        text = "\n".join(code[:_LONGEST_CODE_LINES]).strip("\n")
        reader.add(text, "code", display_text=text, lead=reader.lead)


def _without_front_matter(text: str) -> str:
    if match := re.match(r"---[ \t]*\r?\n(?:[^\n]*\n){0,60}?---[ \t]*\r?(?:\n|$)", text):
        return text[match.end() :]
    return text


def title(text: str) -> str:
    """The document's first heading of the highest level, or an empty text."""
    lines = _without_front_matter(text.removeprefix("\ufeff")).splitlines()[:200]
    fenced = False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            continue
        elif match := _HEADING.match(line):
            if name := plain(match.group(2)):
                return name[:_LONGEST_HEADING]
        elif number and _UNDERLINE.match(line) and (name := plain(lines[number - 1])) and len(name) < _LONGEST_HEADING:
            return name
    return ""


def single_spaced(text: str) -> str:
    """`text` with one space for each run of white space."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """`text` without markup: the words of links, no emphasis marks, no tags."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return single_spaced(text)
