"""The citation marks in an answer, and the list of sources below it."""

from __future__ import annotations

from examples.reading.ranking import Candidate
from examples.research_assistant.state import Citation


class Citations:
    """Numbers the sections that an answer quotes, in the order of their first use."""

    def __init__(self, labels: dict[str, str] | None = None) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._labels = labels or {}
        self.entries: list[Citation] = []

    def mark(self, name: str, document: str, section: str, quote: str) -> str:
        """A mark such as `[3]`. Adds the quote to the entries under this number."""
        n = self._numbers.setdefault((name, section), len(self._numbers) + 1)
        entry: Citation = {"n": n, "document": document, "section": section, "quote": quote, "name": name}
        if entry not in self.entries:
            self.entries.append(entry)
        return f"[{n}]"

    def cite(self, passage: Candidate) -> str:
        """The mark of a passage. Adds its quote to the entries."""
        return self.mark(passage["name"], passage["document"], passage["section"], passage["quote"])

    def sources(self) -> str:
        """The list of sources: one line for each document, with its sections; empty if nothing was quoted."""
        documents: dict[str, tuple[str, dict[int, str]]] = {}
        for entry in sorted(self.entries, key=lambda entry: entry["n"]):
            label = self._labels.get(entry["name"])
            whole = f"**{entry['document']}**" + (f", {label}" if label else "")
            documents.setdefault(entry["name"], (whole, {}))[1][entry["n"]] = entry["section"] or "opening"
        lines = [
            f"- {whole}: " + " · ".join(f"[{n}] {section}" for n, section in sections.items())
            for whole, sections in documents.values()
        ]
        return "**Sources**\n\n" + "\n".join(lines) if lines else ""
