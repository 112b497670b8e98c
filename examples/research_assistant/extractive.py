"""Builds the answer from sentences of the documents: to a question, as a summary, or as a list of changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from examples.reading.changes import Change
from examples.reading.evidence import Part
from examples.reading.passages import plain
from examples.reading.questions import Facet
from examples.reading.ranking import Candidate
from examples.reading.words import content
from examples.research_assistant.citations import Citations

MOST_CHANGES: Final = 20
"""Changes of a document in an answer. Further changes are counted, and are in `changes`."""
_MOST_IN_LEAD: Final = 6
_MOST_FURTHER: Final = 4
MOST_SUMMARY_PASSAGES: Final = 30
"""Passages of a summary, divided among the documents; at least two of each."""


def answer_question(
    parts: Sequence[Part], changes: Sequence[Change], missing: Sequence[str], citations: Citations
) -> str:
    """For each part the best passage with its neighbours, then further passages, then the words that were not found."""
    blocks: list[str] = []
    quoted: set[tuple[str, int]] = set()
    for part in parts:
        if len(parts) > 1:
            blocks.append(f"**{part['text'][:1].upper()}{part['text'][1:]}**")
        blocks.extend(_part(part, changes, quoted, citations))
    if missing and any(part["passages"] for part in parts):
        blocks.append(f"The documents do not mention {listed([f'“{word}”' for word in missing], 'or')}.")
    return "\n\n".join(blocks)


def _part(part: Part, changes: Sequence[Change], quoted: set[tuple[str, int]], citations: Citations) -> list[str]:
    passages = part["passages"]
    if not passages:
        return ["The documents have no information about this."]
    best = passages[0]
    first = [p for p in passages if (p["name"], p["section"]) == (best["name"], best["section"])]
    first = sorted(first[:_MOST_IN_LEAD], key=lambda p: p["order"])
    blocks = [] if part["direct"] else ["No passage answers this directly. The closest passages:"]
    blocks.append(_together(first, citations) + _earlier_wording(first, changes, citations))
    quoted.update((p["name"], p["order"]) for p in first)
    further = [p for p in passages if (p["name"], p["order"]) not in quoted][:_MOST_FURTHER]
    quoted.update((p["name"], p["order"]) for p in further)
    if further:
        lines = [f"- *{_where(p)}*: {_shown(p)} {citations.cite(p)}" for p in further if p["kind"] != "code"]
        codes = [f"*{_where(p)}* {citations.cite(p)}\n\n{_shown(p)}" for p in further if p["kind"] == "code"]
        blocks += ["Also:\n\n" + "\n".join(lines)] if lines else []
        blocks += codes
    return blocks


def _together(passages: Sequence[Candidate], citations: Citations) -> str:
    """Passages of one section in their order: bullets for a list, else a paragraph."""
    if len(passages) > 1 and all(p["kind"] in ("item", "row") for p in passages):
        lead = passages[0]["lead"] or (f"{passages[0]['section']}:" if passages[0]["section"] else "")
        return f"{lead}\n\n" + "\n".join(f"- {p['display_text']} {citations.cite(p)}" for p in passages)
    text, last, lead = "", -1, ""
    listing = [passage for passage in passages if passage["kind"] in ("item", "row")]
    if len(listing) > 1:
        prose = [passage for passage in passages if passage not in listing]
        return "\n\n".join(_together(part, citations) for part in (prose, listing))
    for passage in passages:
        if passage["kind"] == "code":
            text += f"\n\n{_shown(passage)}\n\n"
        else:
            gap = "" if not text or text.endswith("\n") else " … " if passage["order"] > last + 1 else " "
            text += gap + (passage["display_text"] if passage["lead"] == lead else _shown(passage))
        last, lead = passage["order"], passage["lead"]
    marks = list(dict.fromkeys(citations.cite(passage) for passage in passages))
    return f"{text.strip()}{chr(10) if text.endswith(chr(10)) else ' '}{''.join(marks)}"


def _earlier_wording(passages: Iterable[Candidate], changes: Sequence[Change], citations: Citations) -> str:
    """The text of the older version, if the passage changed."""
    current = {(passage["name"], passage["quote"]) for passage in passages}
    former = [c for c in changes if c["before"] and (c["after_name"], c["after"]) in current][:2]
    if not former:
        return ""
    quotes = " ".join(f"“{plain(change['before'])}” {_old(change, citations)}" for change in former)
    return f"\n\n*Before ({former[0]['before_version']}):* {quotes}"


def answer_summary(summaries: Sequence[Sequence[Candidate]], outdated: dict[str, str], citations: Citations) -> str:
    """A summary of each document. Older versions are only named."""
    current = [sentences for sentences in summaries if sentences and sentences[0]["name"] not in outdated]
    keep = max(2, MOST_SUMMARY_PASSAGES // max(1, len(current)))
    current = [_best(sentences, keep) for sentences in current]
    several = len(current) > 1
    blocks = []
    if several:
        titles = [sentences[0]["document"] for sentences in current]
        blocks.append(f"{count(len(current), 'document').capitalize()}: {listed(titles)}.")
    for sentences in current:
        opening = [p for p in sentences if not p["section"]][:2]
        body = [p for p in sentences if p not in opening]
        blocks.append(
            (f"### {sentences[0]['document']}\n\n" if several else "")
            + (_together(opening, citations) if opening else "")
        )
        if body:
            blocks.append("\n".join(f"- {_headed(p)}{_shown(p)} {citations.cite(p)}" for p in body))
    if outdated:
        blocks.append("Older versions are not included: " + listed([f"{name}" for name in outdated]) + ".")
    return "\n\n".join(block.rstrip() for block in blocks if block.strip())


def _best(sentences: Sequence[Candidate], keep: int) -> list[Candidate]:
    """The passages with the highest scores, in the order of the document."""
    highest = sorted(sentences, key=lambda p: -p["score"])[:keep]
    return [passage for passage in sentences if passage in highest]


def answer_changes(
    changes: Sequence[Change], compared: Sequence[str], subject: Sequence[Facet], citations: Citations
) -> str:
    """The changes: a heading for each document and a bullet for each change."""
    chosen = _about(changes, subject)
    grouped = [(key, list(group)) for key, group in groupby(chosen, key=lambda c: (c["document"], c["after_name"]))]
    if not grouped:
        return f"The versions do not differ: {listed(list(compared))}."
    opening = [f"**{document}** ({count(len(group), 'change')})" for (document, _), group in grouped]
    several = len(grouped) > 1
    blocks = [f"{listed(opening)} {'have' if several else 'has'} changed."]
    for (document, _), group in grouped:
        blocks.append(f"### {document}: {group[0]['before_version']} → {group[0]['after_version']}")
        blocks.append("\n".join(_bullets(group[:MOST_CHANGES], citations)))
        if len(group) > MOST_CHANGES:
            blocks.append(f"… and {count(len(group) - MOST_CHANGES, 'further change')}.")
    return "\n\n".join(blocks)


def _about(changes: Sequence[Change], subject: Sequence[Facet]) -> list[Change]:
    """The changes that the question is about: those of the documents, or else of the sections, that its words name."""
    stems = {stem for facet in subject for stem in facet["stems"]}
    titles = {change["document"] for change in changes}
    common = set.intersection(*(set(content(title)) for title in titles)) if len(titles) > 1 else set()
    distinctive = stems - common
    for scope in ("document", "section"):
        hits = [
            change
            for change in changes
            if distinctive & set(content(change["document" if scope == "document" else "section"]))
        ]
        if hits:
            narrower = [c for c in hits if distinctive & set(content(f"{c['section']} {c['before']} {c['after']}"))]
            beyond = distinctive - {stem for c in hits for stem in content(c["document"])}
            return narrower if scope == "document" and beyond and narrower else hits
    hits = [change for change in changes if distinctive & set(content(f"{change['before']} {change['after']}"))]
    return hits or list(changes)


def _bullets(group: Sequence[Change], citations: Citations) -> list[str]:
    lines: list[str] = []
    for section, under in groupby(group, key=lambda change: change["section"]):
        texts = [_change_text(change, citations) for change in under]
        if not section:
            lines += [f"- {line}" for line in texts]
        elif len(texts) == 1:
            lines.append(f"- **{section}**: {texts[0]}")
        else:
            lines += [f"- **{section}**", *(f"  - {line}" for line in texts)]
    return lines


def _change_text(change: Change, citations: Citations) -> str:
    before, after = plain(change["before"]), plain(change["after"])
    more = f" (and {count(change['more'], 'more point')})" if change["more"] else ""
    if change["kind"] in ("new section", "added"):
        return (
            f"{'new section. ' if change['kind'] == 'new section' else 'new: '}{after}{more} {_new(change, citations)}"
        )
    if change["kind"] in ("section removed", "removed"):
        label = "section removed. Its text: " if change["kind"] == "section removed" else "removed: "
        return f"{label}{before}{more} {_old(change, citations)}"
    if change["summary"]:
        return f"{change['summary']}. “{after}” {_new(change, citations)}{_old(change, citations)}"
    return f"now “{after}” {_new(change, citations)} Before: “{before}” {_old(change, citations)}"


def _new(change: Change, citations: Citations) -> str:
    return citations.mark(change["after_name"], change["document"], change["section"], change["after"])


def _old(change: Change, citations: Citations) -> str:
    return citations.mark(change["before_name"], change["document"], change["section"], change["before"])


def _where(passage: Candidate) -> str:
    return passage["document"] + (f" › {passage['section']}" if passage["section"] else "")


def _headed(passage: Candidate) -> str:
    return f"**{passage['section']}**: " if passage["section"] else ""


def _shown(passage: Candidate) -> str:
    if passage["kind"] == "code":
        return f"```\n{passage['display_text']}\n```"
    return f"{passage['lead']} {passage['display_text']}" if passage["lead"] else passage["display_text"]


def count(number: int, noun: str) -> str:
    """`1 change`, `3 changes`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def listed(items: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else "nothing"
