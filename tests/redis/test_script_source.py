"""Each script is sent with exactly the libraries that it needs."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from slipway.redis import script_source
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import BadScript, directives_of, libraries_of, load
from tests.redis.lua_names import LIBRARIES, SCRIPTS, definitions, problems, unknown_names

ROOT: Final = Path(__file__).parents[2]
DIRECTIVES: Final = {"needs", "repeatable", "shard", "threads", "keys"}


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


def test_each_library_is_sent_once_and_before_its_users() -> None:
    for name, text in SCRIPTS.items():
        source = load(name).source
        for library in libraries_of(text):
            position = source.index(f"local {_first_definition(library)}")
            for needed in directives_of(LIBRARIES[library]).get("needs", []):
                assert source.index(f"local {_first_definition(needed)}") < position, (name, library, needed)
            assert source.count(f"local {_first_definition(library)}") == 1


def _first_definition(library: str) -> str:
    match = re.search(r"^local (function \w+\(|\w+ =)", LIBRARIES[library], re.MULTILINE)
    assert match is not None
    return match[1]


def test_unneeded_libraries_and_templates_are_not_sent() -> None:
    source = load("run_apply").source
    others = set(LIBRARIES) - set(libraries_of(SCRIPTS["run_apply"]))
    assert [name for other in others for name in definitions(LIBRARIES[other]) if f" {name}(" in source] == []
    assert "crons" not in source, "templates of other key kinds are not sent"
    assert "--" not in source


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


def test_every_script_is_loaded_by_one_module() -> None:
    modules = [path.read_text() for path in (ROOT / "app").rglob("*.py")]
    loaded = [name for text in modules for name in re.findall(r'\bload\("(\w+)"\)', text)]
    assert sorted(loaded) == sorted(SCRIPTS)
