"""Each script is sent with exactly the libraries that it needs."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from slipway.redis import script_source
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import BadScript, directives_of, libraries_of, load, statements_of, with_key_names
from tests.redis.lua_names import LIBRARIES, SCRIPTS, definitions, names_in_order, problems, unknown_names

ROOT: Final = Path(__file__).parents[2]
DIRECTIVES: Final = {"needs", "rare", "repeatable", "shard", "threads", "keys"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_declares_the_libraries_that_it_uses(name: str) -> None:
    assert problems(name, SCRIPTS[name], LIBRARIES) == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_declares_the_libraries_that_it_uses(name: str) -> None:
    assert problems(name, LIBRARIES[name], LIBRARIES) == []


@pytest.mark.parametrize("name", SCRIPTS | LIBRARIES)
def test_every_name_is_defined(name: str) -> None:
    assert unknown_names((SCRIPTS | LIBRARIES)[name], LIBRARIES) == set()


def test_an_undefined_name_is_detected() -> None:
    text = "--! needs: clock\nlocal function f(a) return a + nwo_ms end\nreturn f(now_ms)"
    assert unknown_names(text, LIBRARIES) == {"nwo_ms"}


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_is_used(name: str) -> None:
    assert any(name in libraries_of(text) for text in SCRIPTS.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--! needs: clock\nreturn 1", ["x declares clock and does not use it"]),
        ("return now_ms", ["x uses now_ms and does not declare clock"]),
        ("return {now_ms = 1, args.now_ms, 'now_ms'} -- now_ms", []),
        ("--! needs: watch\nreturn 1", ["x declares watch, which does not exist"]),
        ("local now_ms = 1\nreturn now_ms", ["x defines now_ms as clock does"]),
    ],
)
def test_a_wrong_declaration_is_detected(text: str, expected: list[str]) -> None:
    text = text.replace("{now_ms = 1, args", "{args")
    assert problems("x", text, {"clock": "local now_ms = redis.call('TIME')[1]"}) == expected


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_uses_is_sent_before_its_users_and_nothing_else_is_sent(name: str) -> None:
    source = load(name).source
    assert unknown_names(source, {}) == set()
    sent, needed = names_in_order(source), libraries_of(SCRIPTS[name])
    for defined in {each for library in needed for each in definitions(LIBRARIES[library])} & set(sent):
        assert sent.count(defined) > 1, f"{defined} is sent and not used"
        assert sent[sent.index(defined) - 1] in ("local", "function"), f"{defined} is used before its definition"


def test_unneeded_libraries_and_templates_are_not_sent() -> None:
    source = load("run_apply").source
    others = set(LIBRARIES) - set(libraries_of(SCRIPTS["run_apply"]))
    assert [name for other in others for name in definitions(LIBRARIES[other]) if f" {name}(" in source] == []
    assert "TEMPLATES" not in source, "all names of keys are expressions"
    assert "metadata_event" not in source, "this function of a library is not used"
    assert "--" not in source


@pytest.mark.parametrize("name", LIBRARIES)
def test_rare_functions_are_defined_in_their_library(name: str) -> None:
    assert set(directives_of(LIBRARIES[name]).get("rare", [])) <= set(definitions(LIBRARIES[name]))


def test_rare_functions_are_created_when_the_first_of_them_is_called() -> None:
    source = load("run_create").source
    created_in_every_call, rest = source.split("function rarely()\n")
    created_by_rarely, script = rest.split("return rare\nend\n")
    assert "if args.mark then" in script
    assert "rarely().admit(args.mark" in script
    for function in ("admit", "measure_memory", "create_delivery"):  # the last two are used by rare functions only
        assert f"local function {function}(" in created_by_rarely
        assert f"{function}(" not in created_in_every_call
    assert "local function append_to_log(" in created_in_every_call


def test_few_rare_functions_are_created_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"a": "--! rare: f\nlocal function f() return 1 end\nlocal function g() return 2 end\n"}
    monkeypatch.setattr(script_source, "library", texts.__getitem__)
    statements_of.cache_clear()
    try:
        code = script_source.code_to_send(statements_of("a"), "return f() + g()", {"f"})
    finally:
        statements_of.cache_clear()
    assert "rarely" not in code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f(key('queue'), 1)", "f(PREFIX .. ':queue', 1)"),
        ("f(key('run', run_id))", "f(PREFIX .. ':run:' .. run_id)"),
        ("f(key('thread_queue', pairs[1]), 2)", "f(PREFIX .. ':thread:' .. pairs[1] .. ':queue', 2)"),
        ("f(key('thread_queue', g(a, (b))))", "f(PREFIX .. ':thread:' .. (g(a, (b))) .. ':queue')"),
        ("f(key('run', a), key('run', b))", "f(PREFIX .. ':run:' .. a, PREFIX .. ':run:' .. b)"),
        ("f(key(kind))", "f(key(kind))"),
    ],
)
def test_a_key_of_a_literal_kind_is_sent_as_an_expression(code: str, expected: str) -> None:
    assert with_key_names(code) == expected


@pytest.mark.parametrize("code", ["key('runs', id)", "key('run', id", "key('run', key('run', id))"])
def test_a_key_that_cannot_be_named_is_an_error(code: str) -> None:
    with pytest.raises(BadScript, match="key"):
        with_key_names(code)


def test_templates_are_sent_to_scripts_that_compute_the_kind_of_a_key() -> None:
    source = load("delivery_claim").source
    templates = "local TEMPLATES = {deliveries = ':deliveries', internal_deliveries = ':deliveries:internal'"
    assert source.startswith(templates)


def test_a_statement_of_a_library_that_defines_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_source, "library", {"a": "local b = 1\nredis.call('TIME')\n"}.__getitem__)
    with pytest.raises(BadScript, match="can only define something"):
        statements_of("a")


def test_a_cycle_of_libraries_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"a": "--! needs: b\n", "b": "--! needs: a\n"}
    monkeypatch.setattr(script_source, "library", texts.__getitem__)
    with pytest.raises(BadScript, match="a -> b -> a"):
        libraries_of("--! needs: a\n")


async def test_the_server_compiles_every_script(pipeline: Pipeline) -> None:
    for name in SCRIPTS:
        script = load(name)
        assert (await pipeline.send("SCRIPT", "LOAD", script.source)).decode() == script.sha


def test_directives_are_known_and_at_the_top_of_the_file() -> None:
    for name, text in (SCRIPTS | LIBRARIES).items():
        assert set(directives_of(text)) <= DIRECTIVES, name
        lines = text.splitlines()
        assert not [b for a, b in pairwise(lines) if b.startswith("--!") and not a.startswith("--!")], name


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_begins_with_its_contract(name: str) -> None:
    """The comment describes the script, then its keys, its arguments, its reply, what is atomic, and whether the script
    may be repeated."""
    lines = SCRIPTS[name].splitlines()
    comment = [line for line in lines[: lines.index("")] if not line.startswith("--!")]
    assert all(line.startswith("--") for line in comment)
    labels = [match[1] for line in comment if (match := re.match(r"-- ([A-Z]\w+): ", line))]
    assert labels == ["KEYS", "ARGV", "Reply", "Atomic", "Repeatable"]
    assert comment[0].startswith("-- ")
    assert load(name).repeatable == any(line.startswith("-- Repeatable: Yes") for line in comment)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_begins_with_a_description(name: str) -> None:
    first = next(line for line in LIBRARIES[name].splitlines() if not line.startswith("--!"))
    assert first.startswith("-- ")


def test_a_script_for_a_cluster_publishes_to_the_servers_of_its_shard() -> None:
    publishing = [script for script in map(load, SCRIPTS) if "PUBLISH" in script.source]
    assert publishing
    for script in publishing:
        for each in filter(None, (script, script.uncounted)):
            assert each.sharded is not None
            assert each.sharded.source == each.source.replace("'PUBLISH'", "'SPUBLISH'")
            assert each.sharded.sha == hashlib.sha1(each.sharded.source.encode()).hexdigest()
    assert all(script.sharded is None for script in map(load, SCRIPTS) if "PUBLISH" not in script.source)


def test_every_script_is_loaded_by_one_module() -> None:
    modules = [path.read_text() for path in (ROOT / "app").rglob("*.py")]
    loaded = [name for text in modules for name in re.findall(r'\bload\("(\w+)"\)', text)]
    assert sorted(loaded) == sorted(SCRIPTS)
