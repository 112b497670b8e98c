"""Sentences, passages, ranking and versions of documents, also for random text."""

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


def contains(text: str, quote: str) -> bool:
    """Whether the text contains the quote. White space, and the marks of a block quote at the start of a line, are
    ignored."""
    unmarked = "\n".join(re.sub(r"^([ \t]*>)+", "", line) for line in text.splitlines())
    return any(single_spaced(quote) in single_spaced(version) for version in (text, unmarked))


@given(st.text(max_size=2000))
def test_sentences_contain_all_text(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    text = "Dr. Lee paid 3.50 EUR, e.g. for tea. He left at 5 p.m. and slept. Really? “Yes.” 东京很大。是的！"
    assert list(sentences(text)) == [
        "Dr. Lee paid 3.50 EUR, e.g. for tea.",
        "He left at 5 p.m. and slept.", "Really?", "“Yes.”", "东京很大。", "是的！",
    ]  # fmt: skip


@given(MARKDOWN)
@example("> one > two\n> three")
@example("- a\n  b > c\n\n> d\ne")
def test_every_passage_is_in_the_document(text: str) -> None:
    result = passages(text)
    assert [passage.order for passage in result] == list(range(len(result)))
    for passage in result:
        assert contains(text, passage.quote)
        assert passage.display_text.strip()
    title(text)


def test_passages_of_a_block_quote_have_no_quote_marks() -> None:
    assert [passage.quote for passage in passages("> Pay > 5 EUR\n>now.\n\n> > Or later.")] == [
        "Pay > 5 EUR now.",
        "Or later.",
    ]


@given(MARKDOWN, st.text(max_size=60))
@example("# Tea\n\n" + "\n\n".join(f"## Part {n}\n\nTea number {n} is a hot drink." for n in range(6)), "Tea?")
def test_search_results_are_sorted_and_limited_for_any_text(text: str, question: str) -> None:
    parsed = parse_question(question)
    finding = search("name", "Title", text, parsed.facets)
    for part in gather_evidence([finding], parsed.parts, parsed.facets):
        scores = [candidate["score"] for candidate in part["passages"]]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
    summary = key_sentences("name", "Title", text, 4)
    assert len(summary) <= 4
    orders = [candidate["order"] for candidate in summary]
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
def test_questions_about_earlier_versions_are_recognised(question: str, earlier: bool) -> None:
    assert wants_earlier(question) is earlier


def test_a_summary_has_the_best_passage_of_each_section() -> None:
    lunch = "Lunch is served at noon in the hall and lunch costs 5 EUR for guests of the hall."
    text = f"# Rules\n\n## Lunch\n\nIt is so.\n\n{lunch}\n\n## Doors\n\nDoors of the hall close at ten.\n"
    doors = "Doors of the hall close at ten."
    assert [passage["display_text"] for passage in key_sentences("name", "Rules", text, 2)] == [lunch, doors]
    assert [passage["display_text"] for passage in key_sentences("name", "Rules", text, 1)] == [lunch]


def test_outdated_versions_are_not_searched() -> None:
    old, new = [Document(f"rules-v{number}.md", "Rules", f"Lunch costs {number} EUR in the hall.") for number in (1, 2)]
    for documents in ([old, new], [new, old]):
        part = search_documents("What does lunch cost?", documents)
        assert part is not None
        assert [passage["quote"] for passage in part["passages"]] == ["Lunch costs 2 EUR in the hall."]


def test_a_section_of_only_one_version_is_new_or_removed() -> None:
    kept = "## Kept\n\nDogs may come in.\n\n"
    old, new = f"{kept}## Cash\n\nCash is paid out at noon.\n\nBring a slip.\n", f"{kept}## Cards\n\nAsk for one.\n"
    family = declared_versions(Document("old", "Old", old), Document("new", "New", new))
    assert [
        (change["section"], change["kind"], change["before"], change["after"], change["more"])
        for change in changes(family)
    ] == [
        ("Cards", "new section", "", "Ask for one.", 0),
        ("Cash", "section removed", "Cash is paid out at noon.", "", 1),
    ]


def test_a_passage_can_answer_several_parts_of_a_question() -> None:
    parsed = parse_question("refund 0? leave 0")
    finding = search("name", "Title", "refund 0 leave", parsed.facets)
    assert [part["direct"] for part in gather_evidence([finding], parsed.parts, parsed.facets)] == [True, True]


@given(MARKDOWN, MARKDOWN)
@example("> Pay > 5 EUR\n> at once.", "> Pay > 6 EUR\n> at once.")
def test_changes_between_any_two_texts_are_quotes_of_them(old: str, new: str) -> None:
    family = declared_versions(Document("old", "Old", old), Document("new", "New", new))
    for change in changes(family):
        assert change["before"] or change["after"]
        assert contains(old, change["before"])
        assert contains(new, change["after"])


@given(MARKDOWN)
def test_a_text_has_no_changes_to_itself(text: str) -> None:
    assert changes(declared_versions(Document("a", "A", text), Document("b", "B", text))) == []


def test_inflections_have_the_same_stem() -> None:
    for first, second in (
        ("expenses", "expense"),
        ("policies", "policy"),
        ("deletion", "deleted"),
        ("travelling", "travel"),
    ):
        assert stem(first) == stem(second)


def test_versions_are_recognised_by_name_title_and_date() -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    pairs = [
        ("rules-v2.md", "rules-v1.md"), ("v2/rules.md", "v1/rules.md"), ("rules-2025-01-02.md", "rules-2024-12-30.md"),
        ("rules_new.md", "rules_old.md"), ("rules v10.md", "rules v9.md"), ("rules.md", "rules-old.md"),
    ]  # fmt: skip
    for newer, older in pairs:
        result = families([Document(newer, "Rules", text), Document(older, "Rules", text)])
        assert [edition.document.name for edition in result[0].editions] == [older, newer]


@pytest.mark.parametrize(
    ("older", "newer", "title"),
    [
        ("Remote work (version 1, January 2024)", "Remote work (version 2, June 2025)", "Remote work"),
        ("Rules [1 March 2024]", "Rules [July 1, 2025]", "Rules"),
        ("Rules, Dezember 2023", "Rules, März 2024", "Rules"),
        ("Rules (v1) of London", "Rules (v2) of London", "Rules of London"),
    ],
)
def test_the_title_of_a_family_has_no_version(older: str, newer: str, title: str) -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    for documents in ([older, newer], [newer, older]):
        dated = [Document(name, name, f"{text}\n\nDate: {name}") for name in documents]
        (result,) = families(dated)
        assert result.title == title
        assert [edition.document.name for edition in result.editions] == [older, newer]


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
def test_the_label_of_a_version_has_the_precision_of_its_date(name: str, label: str) -> None:
    text = "Guests sign in at the desk and wear a badge all day."
    (result,) = families([Document(other, other, text) for other in (name.replace("2025", "2024"), name)])
    assert result.editions[-1].label == label


def test_documents_with_the_same_name_and_different_text_are_not_versions() -> None:
    one = Document("a/readme-v1.md", "Readme", "Boats float on calm water because of buoyancy.")
    other = Document("a/readme-v2.md", "Readme", "Compilers translate programs into machine instructions.")
    assert families([one, other]) == []
    assert (
        families([Document("Document 1", "Document 1", one.text), Document("Document 2", "Document 2", one.text)]) == []
    )


def test_differences_are_described_in_a_few_words() -> None:
    assert difference("Claims within 60 days.", "Claims within 30 days.") == ("30 days instead of 60 days", True)
    assert difference("Open until 17:00 daily.", "Open until 18:00 daily.") == ("18:00 instead of 17:00", True)
    assert difference("Tea is free.", "Tea and cake is free.") == ("adds “cake”", False)


def test_the_text_files_of_a_library_are_listed_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.MD", "more/c.markdown", ".hidden.md", ".git/d.md", "more/.e.md", "picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Tea is hot.")
    assert library.file_names(tmp_path) == ["a.MD", "b.txt", "more/c.markdown"]
    monkeypatch.setattr(library, "MAX_FILES", 2)
    assert [document.name for document in library.read_library(tmp_path)[0]] == ["a.MD", "b.txt"]


@pytest.mark.parametrize(("text", "read", "cut"), [("Tea is", "Tea is", False), ("Tea is hot", "Tea is", True)])
def test_only_a_file_over_the_limit_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, read: str, cut: bool
) -> None:
    monkeypatch.setattr(library, "MAX_FILE_BYTES", 6)
    (tmp_path / "tea.md").write_text(text)
    document = library.read_file(tmp_path, "tea.md")
    assert (document.text, document.title, document.cut) == (read, "Tea", cut)
