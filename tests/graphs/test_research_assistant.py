"""The research assistant, on the shipped library and on documents of the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from examples.reading.library import SHIPPED
from examples.reading.passages import single_spaced
from examples.research_assistant.citations import Citations
from examples.research_assistant.graph import build
from slipway.model_routes.current_routes import provide_routes
from slipway.model_routes.routes import ModelRoutes

Result = dict[str, Any]
Graph = CompiledStateGraph[Any, Any, Any, Any]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_MODEL", raising=False)
    monkeypatch.setenv("SLIPWAY_LIBRARY_DIR", str(SHIPPED))


@pytest.fixture
def graph() -> Graph:
    return build()


async def ask(question: object, documents: object = None, **context: object) -> Result:
    graph_input = {"question": question} if documents is None else {"question": question, "documents": documents}
    graph: Graph = build()
    result: Result = await graph.ainvoke(graph_input, context=context or None)
    assert json.loads(json.dumps(result)) == result
    return result


def assert_quotes_are_in_the_documents(result: Result, texts: dict[str, str]) -> None:
    assert result["citations"]
    for citation in result["citations"]:
        text = texts[citation["name"]]
        assert single_spaced(citation["quote"]) in single_spaced(text)
        assert f"[{citation['n']}]" in result["answer"].partition("\n\n**Sources**")[0]
        assert all(part in text for part in citation["section"].split(" › "))


async def test_policy_changes_of_the_shipped_library_are_listed_with_figures_and_sources() -> None:
    result = await ask("Summarize the policy changes")
    for words in ("60 EUR instead of 45 EUR", "three days instead of two days", "Company cards", "Cash advances"):
        assert words in result["answer"]
    kinds = {(change["section"], change["kind"]) for change in result["changes"]}
    assert {("Meals", "figure"), ("Company cards", "new section"), ("Cash advances", "section removed")} <= kinds
    assert not any(change["section"] == "Ending the arrangement" for change in result["changes"])
    assert result["coverage"]["ended_by"] == "covered"
    assert_quotes_are_in_the_documents(result, {path.name: path.read_text() for path in SHIPPED.iterdir()})


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How long are invoices kept?", "10 years"),
        ("How much is reimbursed for meals per day?", "60 EUR per day"),
        ("How many vacation days do I have?", "28 days"),
        ("How soon must a lost device be reported?", "within one hour"),
        ("What is the limit for a hotel night?", "140 EUR"),
        ("Can I bring my dog?", "In Bristol and Porto yes"),
    ],
)
async def test_questions_to_the_shipped_library_are_answered_from_the_newest_version(question: str, words: str) -> None:
    result = await ask(question)
    assert words in result["answer"].split("\n\nAlso:")[0]
    assert_quotes_are_in_the_documents(result, {path.name: path.read_text() for path in SHIPPED.iterdir()})


async def test_questions_about_the_past_are_answered_from_older_versions() -> None:
    result = await ask("How much was previously reimbursed for meals per day?")
    assert result["answer"].startswith("Meals on a business trip are reimbursed up to 45 EUR per day. [1]")
    assert [citation["name"] for citation in result["citations"]] == ["expense-policy-v1.md"]


async def test_a_changed_answer_shows_the_earlier_one() -> None:
    result = await ask("How much is reimbursed for meals per day?")
    assert "*Before (version 1.0 (1 March 2024)):*" in result["answer"]
    assert "up to 45 EUR per day" in result["answer"]


async def test_only_changes_about_the_question_are_listed() -> None:
    result = await ask("What changed about hotels?")
    assert "140 EUR instead of 120 EUR" in result["answer"]
    assert "Company cards" not in result["answer"]


async def test_two_given_documents_are_compared_by_their_titles() -> None:
    before = "# Rules\n\nLunch is at noon. Dogs may come in on Fridays.\n"
    after = "# Rules\n\nLunch is at one. Dogs may come in on Fridays. Cats may come in too.\n"
    result = await ask("What changed?", [{"title": "Rules v1", "text": before}, {"title": "Rules v2", "text": after}])
    changed = {(change["kind"], change["before"], change["after"]) for change in result["changes"]}
    assert changed == {("changed", "Lunch is at noon.", "Lunch is at one."), ("added", "", "Cats may come in too.")}
    assert_quotes_are_in_the_documents(result, {"Rules v1": before, "Rules v2": after})


async def test_the_answer_without_versions_explains_that_nothing_can_be_compared() -> None:
    result = await ask("What changed?", ["# Tea\n\nTea is served at four o'clock in the garden."])
    assert "No document exists in two versions" in result["answer"]
    assert result["changes"] == []


@pytest.mark.parametrize("question", ["", "   ", None, 7])
async def test_the_error_of_a_missing_question_names_the_field(question: object) -> None:
    with pytest.raises(ValueError, match=r"^question:"):
        await ask(question)


@pytest.mark.parametrize(
    ("documents", "field"),
    [([{"title": "x"}], r"documents\[0\]\.text"), (["a", 5], r"documents\[1\]\.text"), ("a", "documents")],
)
async def test_the_error_of_an_invalid_document_names_the_field(documents: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        await ask("What is this?", documents)


async def test_the_answer_names_empty_documents() -> None:
    answer = (await ask("Summarize the policy changes", [""]))["answer"]
    assert answer.startswith("The documents are empty.")
    assert "Document 1 is empty" in answer


async def test_the_answer_names_an_empty_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_LIBRARY_DIR", str(tmp_path / "nowhere"))
    result = await ask("What is the notice period?")
    assert result["answer"].startswith("There are no documents to read.")
    assert result["citations"] == []


async def test_files_that_are_not_text_are_skipped_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "picture.md").write_bytes(b"\x89PNG\r\n\x00\x00" + bytes(range(256)))
    (tmp_path / "latin.txt").write_bytes("Der Kaffee ist für alle gratis.".encode("latin-1"))
    monkeypatch.setenv("SLIPWAY_LIBRARY_DIR", str(tmp_path))
    result = await ask("Wie teuer ist der Kaffee?")
    assert "Der Kaffee ist für alle gratis." in result["answer"]
    assert any("picture.md is not text" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("text", "question", "words"),
    [
        ("Der Urlaub beträgt dreißig Tage. Die Kantine öffnet um elf.", "Wann öffnet die Kantine?", "öffnet um elf"),
        ("东京是日本的首都。富士山是日本最高的山。", "日本最高的山", "富士山是日本最高的山"),
        ("Отпуск длится тридцать дней. Столовая закрыта.", "Сколько длится отпуск?", "тридцать дней"),
    ],
)
async def test_documents_in_other_languages_without_headings_are_searched(text: str, question: str, words: str) -> None:
    result = await ask(question, [text])
    assert words in result["answer"]
    assert_quotes_are_in_the_documents(result, {"Document 1": text})


@pytest.mark.slow
async def test_one_huge_document_is_searched() -> None:
    filler = "The committee met and talked about the weather at length without any result. " * 20_000
    result = await ask("Where is the treasure?", [filler + "\n\nThe treasure lies under the old oak.\n\n" + filler])
    assert "under the old oak" in result["answer"]


async def test_the_search_adds_synonyms_and_counts_its_rounds() -> None:
    document = ["Employees have twenty days of leave. " * 2 + "The sky is blue."]
    result = await ask("How much vacation is there?", document)
    assert "twenty days of leave" in result["answer"]
    assert result["coverage"]["rounds"] == 2
    assert result["coverage"]["ended_by"] == "covered"


async def test_the_search_ends_at_its_ceiling() -> None:
    result = await ask("How much vacation is there?", ["Employees have twenty days of leave."], max_rounds=1)
    assert result["coverage"]["ended_by"] == "ceiling"
    assert result["coverage"]["missing"] == ["vacation"]


async def test_the_search_ends_when_no_words_remain() -> None:
    result = await ask("What about xylophones?", ["Employees have twenty days of leave."], max_rounds=10)
    assert result["coverage"]["ended_by"] == "nothing left to try"
    assert "“xylophones”" in result["answer"]


@pytest.mark.parametrize("rounds", [0, 11, True, "many"])
async def test_the_error_of_an_invalid_ceiling_names_the_field(rounds: object) -> None:
    with pytest.raises(ValueError, match=r"^context\.max_rounds:"):
        await ask("What about leave?", ["Employees have leave. Xylophones."], max_rounds=rounds)


async def test_progress_is_streamed_for_each_document(graph: Graph) -> None:
    graph_input = {
        "question": "What is said about tea?",
        "documents": ["Tea is hot.", "Tea is green.", "Coffee is black."],
    }
    events = [event async for event in graph.astream(graph_input, stream_mode="custom")]
    stages = [event["stage"] for event in events if isinstance(event, dict)]
    assert stages[0] == "plan"
    assert stages.count("extract") == 3
    assert stages[-1] == "write"


async def test_a_second_question_on_a_thread_uses_new_documents() -> None:
    graph: Graph = build()
    graph.checkpointer = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    first = await graph.ainvoke({"question": "What is tea?", "documents": ["Tea is a drink."]}, config)
    second = await graph.ainvoke({"question": "What is coffee?", "documents": ["Coffee is a bean."]}, config)
    assert "Tea is a drink." in first["answer"]
    assert "Coffee is a bean." in second["answer"]
    assert {citation["quote"] for citation in second["citations"]} == {"Coffee is a bean."}


async def test_a_second_question_does_not_count_the_documents_of_the_first() -> None:
    graph: Graph = build()
    graph.checkpointer = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    answers = []
    for title, text in (("Tea", "Tea is a drink that is served hot."), ("Coffee", "Coffee is a bean that is roasted.")):
        graph_input = {"question": "Summarize the documents", "documents": [{"title": title, "text": text}]}
        answers.append(await graph.ainvoke(graph_input, config))
    assert [result["coverage"]["documents"] for result in answers] == [1, 1]
    assert "Tea" in answers[0]["answer"]
    assert "Tea" not in answers[1]["answer"]


def test_quotes_of_one_section_have_one_number() -> None:
    cite = Citations({"rules.md": "version 2"})
    marks = [
        cite.mark("rules.md", "Rules", section, quote)
        for section, quote in (("Lunch", "One."), ("Doors", "Two."), ("Lunch", "Three."), ("Lunch", "One."))
    ]
    assert marks == ["[1]", "[2]", "[1]", "[1]"]
    assert [(entry["n"], entry["quote"]) for entry in cite.entries] == [(1, "One."), (2, "Two."), (1, "Three.")]
    assert cite.sources() == "**Sources**\n\n- **Rules**, version 2: [1] Lunch · [2] Doors"


async def test_invented_citations_of_a_model_are_removed() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Tea is a drink, it says [1], and more [9].")]))
    with provide_routes(ModelRoutes("./some.py:model", load_object={"./some.py:model": model}.__getitem__)):
        result = await ask("What is tea?", ["Tea is a drink."])
    assert result["answer"].startswith("Tea is a drink, it says [1], and more .")
    assert "**Sources**" in result["answer"]


async def test_an_unavailable_model_is_a_note_and_the_answer_has_no_model_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL", "unknown:model")
    result = await ask("What is tea?", ["Tea is a drink."])
    assert "Tea is a drink." in result["answer"]
    assert any("unknown:model" in note for note in result["notes"])
