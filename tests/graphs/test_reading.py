"""Splitting and ranking hold for any text, and versions are told apart from namesakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.graphs.reading.changes import changes
from workers.graphs.reading.differences import difference
from workers.graphs.reading.evidence import gather
from workers.graphs.reading.gist import gist
from workers.graphs.reading.library import Document
from workers.graphs.reading.passages import passages, single_spaced, title
from workers.graphs.reading.questions import understand
from workers.graphs.reading.ranking import search
from workers.graphs.reading.sentences import sentences
from workers.graphs.reading.versions import families, in_order
from workers.graphs.reading.words import stem

LINES = [
    "# A", "## B c", "- item", "1. two", "| a | b |", "|---|---|", "| 1 | 2 |", "```", "---",
    "===", "> quote", "", "A. B! C?",
    "Version: 2",
]  # fmt: skip
MARKDOWN = st.lists(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(LINES),
    ),
    max_size=30,
).map("\n".join)


@given(st.text(max_size=2000))
def test_sentences_lose_nothing(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_sentences_know_abbreviations_and_numbers() -> None:
    text = "Dr. Lee paid 3.50 EUR, e.g. for tea. He left at 5 p.m. and slept. Really? “Yes.” 东京很大。是的！"
    assert list(sentences(text)) == [
        "Dr. Lee paid 3.50 EUR, e.g. for tea.",
        "He left at 5 p.m. and slept.", "Really?", "“Yes.”", "东京很大。", "是的！",
    ]  # fmt: skip


@given(MARKDOWN)
def test_every_passage_stands_in_the_document(text: str) -> None:
    whole = single_spaced(text)
    found = passages(text)
    assert [passage.order for passage in found] == list(range(len(found)))
    for passage in found:
        assert single_spaced(passage.quote) in whole or ">" in text
        assert passage.shown.strip()
    title(text)


@given(MARKDOWN, st.text(max_size=60))
def test_searching_any_text_for_anything_stays_in_bounds(text: str, question: str) -> None:
    asked = understand(question)
    finding = search("name", "Title", text, asked.facets)
    for part in gather([finding], asked.parts, asked.facets):
        scores = [candidate["score"] for candidate in part["passages"]]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
    assert len(gist("name", "Title", text, 4)) <= 5


def test_a_passage_may_answer_several_parts_of_a_question() -> None:
    asked = understand("refund 0? leave 0")
    finding = search("name", "Title", "refund 0 leave", asked.facets)
    assert [part["direct"] for part in gather([finding], asked.parts, asked.facets)] == [True, True]


@given(MARKDOWN, MARKDOWN)
def test_comparing_any_two_texts_quotes_them(old: str, new: str) -> None:
    family = in_order(Document("old", "Old", old), Document("new", "New", new))
    for change in changes(family):
        assert change["before"] or change["after"]
        assert single_spaced(change["after"]) in single_spaced(new) or ">" in new


@given(MARKDOWN)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert changes(in_order(Document("a", "A", text), Document("b", "B", text))) == []


def test_stems_bring_inflections_together() -> None:
    for one, other in (
        ("expenses", "expense"),
        ("policies", "policy"),
        ("deletion", "deleted"),
        ("travelling", "travel"),
    ):
        assert stem(one) == stem(other)


def test_versions_are_told_by_name_title_and_date() -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    pairs = [
        ("rules-v2.md", "rules-v1.md"), ("v2/rules.md", "v1/rules.md"), ("rules-2025-01-02.md", "rules-2024-12-30.md"),
        ("rules_new.md", "rules_old.md"), ("rules v10.md", "rules v9.md"), ("rules.md", "rules-old.md"),
    ]  # fmt: skip
    for newer, older in pairs:
        found = families([Document(newer, "Rules", text), Document(older, "Rules", text)])
        assert [edition.document.name for edition in found[0].editions] == [older, newer]


@pytest.mark.parametrize(
    ("older", "newer", "title"),
    [
        ("Remote work (version 1, January 2024)", "Remote work (version 2, June 2025)", "Remote work"),
        ("Rules [1 March 2024]", "Rules [July 1, 2025]", "Rules"),
        ("Rules, Dezember 2023", "Rules, März 2024", "Rules"),
        ("Rules (v1) of London", "Rules (v2) of London", "Rules of London"),
    ],
)
def test_a_title_loses_all_that_marks_its_version(older: str, newer: str, title: str) -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    for documents in ([older, newer], [newer, older]):
        dated = [Document(name, name, f"{text}\n\nDate: {name}") for name in documents]
        (found,) = families(dated)
        assert found.title == title
        assert [edition.document.name for edition in found.editions] == [older, newer]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Rules (version 2, June 2025)", "version 2 (June 2025)"),
        ("rules-2025-06.md", "version of June 2025"),
        ("rules-2025.md", "version of 2025"),
        ("rules-2025-06-03.md", "version of 3 June 2025"),
        ("Rules, 3 June 2025", "version of 3 June 2025"),
    ],
)
def test_a_version_is_dated_no_more_exactly_than_it_says(name: str, label: str) -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    (found,) = families([Document(other, other, text) for other in (name.replace("2025", "2024"), name)])
    assert found.editions[-1].label == label


def test_namesakes_that_share_no_words_are_no_versions() -> None:
    one = Document("a/readme-v1.md", "Readme", "Boats float on calm water because of buoyancy.")
    other = Document("a/readme-v2.md", "Readme", "Compilers translate programs into machine instructions.")
    assert families([one, other]) == []
    assert (
        families([Document("Document 1", "Document 1", one.text), Document("Document 2", "Document 2", one.text)]) == []
    )


def test_differences_are_said_in_a_few_words() -> None:
    assert difference("Claims within 60 days.", "Claims within 30 days.") == ("30 days instead of 60 days", True)
    assert difference("Open until 17:00 daily.", "Open until 18:00 daily.") == ("18:00 instead of 17:00", True)
    assert difference("Tea is free.", "Tea and cake is free.") == ("adds “cake”", False)
