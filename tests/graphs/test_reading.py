"""Splitting and ranking hold for any text, and versions are told apart from namesakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from examples.reading import library
from examples.reading.changes import changes
from examples.reading.differences import difference
from examples.reading.document_search import search_documents
from examples.reading.evidence import gather_evidence
from examples.reading.key_sentences import key_sentences
from examples.reading.library import Document
from examples.reading.passages import passages, single_spaced, title
from examples.reading.questions import parse_question, wants_earlier
from examples.reading.ranking import search
from examples.reading.sentences import sentences
from examples.reading.versions import declared_versions, families
from examples.reading.words import stem

LINES = [
    "# A", "## B c", "- item", "1. two", "| a | b |", "|---|---|", "| 1 | 2 |", "```", "---",
    "===", "> quote", "", "A. B! C?",
    "Version: 2", "a > b", "> c > d",
]  # fmt: skip
MARKDOWN = st.lists(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(LINES),
    ),
    max_size=30,
).map("\n".join)


def stands_in(quote: str, text: str) -> bool:
    """Whether the document has these words, one behind the other: as it is, or in a block quote, whose marks at the
    beginning of each line are no words. White space does not count."""
    unmarked = "\n".join(re.sub(r"^([ \t]*>)+", "", line) for line in text.splitlines())
    return any(single_spaced(quote) in single_spaced(whole) for whole in (text, unmarked))


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
@example("> one > two\n> three")
@example("- a\n  b > c\n\n> d\ne")
def test_every_passage_stands_in_the_document(text: str) -> None:
    found = passages(text)
    assert [passage.order for passage in found] == list(range(len(found)))
    for passage in found:
        assert stands_in(passage.quote, text)
        assert passage.display_text.strip()
    title(text)


def test_a_block_quote_is_quoted_without_the_marks_of_its_lines() -> None:
    assert [passage.quote for passage in passages("> Pay > 5 EUR\n>now.\n\n> > Or later.")] == [
        "Pay > 5 EUR now.",
        "Or later.",
    ]


@given(MARKDOWN, st.text(max_size=60))
@example("# Tea\n\n" + "\n\n".join(f"## Part {n}\n\nTea number {n} is a hot drink." for n in range(6)), "Tea?")
def test_searching_any_text_for_anything_stays_in_bounds(text: str, question: str) -> None:
    asked = parse_question(question)
    finding = search("name", "Title", text, asked.facets)
    for part in gather_evidence([finding], asked.parts, asked.facets):
        scores = [candidate["score"] for candidate in part["passages"]]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
    summed_up = key_sentences("name", "Title", text, 4)
    assert len(summed_up) <= 4
    orders = [candidate["order"] for candidate in summed_up]
    assert orders == sorted(set(orders))


@pytest.mark.parametrize(
    ("question", "earlier"),
    [
        ("What was the old limit?", True),
        ("What did the older version say?", True),
        ("How was it previously?", True),
        ("What is the limit?", False),
        ("How old must I be?", False),
    ],
)
def test_a_question_may_be_about_how_things_were(question: str, earlier: bool) -> None:
    assert wants_earlier(question) is earlier


def test_a_summary_names_each_section_by_its_best_passage() -> None:
    lunch = "Lunch is served at noon in the hall and lunch costs 5 EUR for guests of the hall."
    text = f"# Rules\n\n## Lunch\n\nIt is so.\n\n{lunch}\n\n## Doors\n\nDoors of the hall close at ten.\n"
    doors = "Doors of the hall close at ten."
    assert [one["display_text"] for one in key_sentences("name", "Rules", text, 2)] == [lunch, doors]
    assert [one["display_text"] for one in key_sentences("name", "Rules", text, 1)] == [lunch]


def test_a_short_answer_is_not_looked_up_in_an_outdated_version() -> None:
    old, new = [Document(f"rules-v{number}.md", "Rules", f"Lunch costs {number} EUR in the hall.") for number in (1, 2)]
    for documents in ([old, new], [new, old]):
        part = search_documents("What does lunch cost?", documents)
        assert part is not None
        assert [passage["quote"] for passage in part["passages"]] == ["Lunch costs 2 EUR in the hall."]


def test_a_section_that_only_one_version_has_is_new_or_removed() -> None:
    kept = "## Kept\n\nDogs may come in.\n\n"
    old, new = f"{kept}## Cash\n\nCash is paid out at noon.\n\nBring a slip.\n", f"{kept}## Cards\n\nAsk for one.\n"
    family = declared_versions(Document("old", "Old", old), Document("new", "New", new))
    assert [(one["section"], one["kind"], one["before"], one["after"], one["more"]) for one in changes(family)] == [
        ("Cards", "new section", "", "Ask for one.", 0),
        ("Cash", "section removed", "Cash is paid out at noon.", "", 1),
    ]


def test_a_passage_may_answer_several_parts_of_a_question() -> None:
    asked = parse_question("refund 0? leave 0")
    finding = search("name", "Title", "refund 0 leave", asked.facets)
    assert [part["direct"] for part in gather_evidence([finding], asked.parts, asked.facets)] == [True, True]


@given(MARKDOWN, MARKDOWN)
@example("> Pay > 5 EUR\n> at once.", "> Pay > 6 EUR\n> at once.")
def test_comparing_any_two_texts_quotes_them(old: str, new: str) -> None:
    family = declared_versions(Document("old", "Old", old), Document("new", "New", new))
    for change in changes(family):
        assert change["before"] or change["after"]
        assert stands_in(change["before"], old)
        assert stands_in(change["after"], new)


@given(MARKDOWN)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert changes(declared_versions(Document("a", "A", text), Document("b", "B", text))) == []


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


def test_the_files_of_a_library_are_its_texts_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.MD", "more/c.markdown", ".hidden.md", ".git/d.md", "more/.e.md", "picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Tea is hot.")
    assert library.file_names(tmp_path) == ["a.MD", "b.txt", "more/c.markdown"]
    monkeypatch.setattr(library, "MAX_FILES", 2)
    assert [document.name for document in library.read_library(tmp_path)[0]] == ["a.MD", "b.txt"]


@pytest.mark.parametrize(("text", "read", "cut"), [("Tea is", "Tea is", False), ("Tea is hot", "Tea is", True)])
def test_only_a_file_that_is_too_long_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, read: str, cut: bool
) -> None:
    monkeypatch.setattr(library, "MAX_FILE_BYTES", 6)
    (tmp_path / "tea.md").write_text(text)
    document = library.read_file(tmp_path, "tea.md")
    assert (document.text, document.title, document.cut) == (read, "Tea", cut)
