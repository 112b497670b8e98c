"""The documents say what the code does: options, ceilings, error codes, commands, versions, files they point to."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.access.handler_values.catalogue import values_table
from slipway.cli import cli
from slipway.errors import SlipwayError
from slipway.settings import MIB, Settings, settings_table

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = sorted((*ROOT.glob("*.md"), *DOCS.glob("*.md")))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def all_errors(kind: type[SlipwayError] = SlipwayError) -> Iterator[type[SlipwayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from all_errors(child)


def generated(page: Path, name: str) -> str:
    """The part of a page that is written from the code, between two comments."""
    between = re.search(rf"<!-- {name}:[^\n]*-->\n(.*?)<!-- end of {name} -->", page.read_text(), re.DOTALL)
    assert between is not None
    return between[1]


def test_the_options_are_those_of_the_code() -> None:
    """To write them anew: `python -c "from slipway.settings import settings_table; print(settings_table())"`."""
    text = generated(DOCS / "settings.md", "options")
    assert text == settings_table()


def test_the_members_of_values_are_those_of_the_code() -> None:
    """To write them anew:

    `python -c "from slipway.access.handler_values.catalogue import values_table; print(values_table())"`."""
    text = generated(DOCS / "auth-and-http.md", "values")
    assert text == values_table()


def test_the_folders_are_what_they_say() -> None:
    text = generated(ROOT / "ARCHITECTURE.md", "folders")
    shown = dict(re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", text, re.MULTILINE))
    packages = [
        path.parent
        for pattern in ("app/slipway", "app/slipway/*", "workers/slipway_workers", "workers/slipway_workers/*")
        for path in ROOT.glob(f"{pattern}/__init__.py")
    ]
    docstrings = {path: ast.get_docstring(ast.parse((path / "__init__.py").read_text())) or "" for path in packages}
    assert shown == {str(path.relative_to(ROOT)): text.splitlines()[0] for path, text in docstrings.items()}


def test_the_ceilings_have_their_defaults() -> None:
    text = (DOCS / "ceilings.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `SLIPWAY_(MAX_\w+)` \| ([^|]+) \| `ceiling\.\w+` \|$", text, re.MULTILINE)
    assert len(rows) >= 8
    for option, shown in rows:
        default = Settings.model_fields[option.lower()].default
        if default is None:
            assert shown == "as `SLIPWAY_MAX_STEPS`"
            continue
        assert shown in (str(default), f"{default} s", f"{default // MIB} MiB"), option


def test_every_error_code_is_explained() -> None:
    documented = set(re.findall(r"`([a-z_.*]+)`", (DOCS / "errors.md").read_text()))
    codes = {
        kind.code
        for kind in all_errors()
        if kind.__module__ == "slipway.errors" and not kind.code.startswith("ceiling")
    }
    assert codes - documented == set()
    assert documented - codes == {"ceiling.*"}


def test_every_command_is_explained() -> None:
    shown = [command for command in cli.registered_commands if not command.hidden]
    commands = {command.name or command.callback.__name__ for command in shown if command.callback}
    text = (DOCS / "commands.md").read_text()
    assert set(re.findall(r"^\| `slipway (\w+)` \|", text, re.MULTILINE)) == commands


def test_the_changelog_has_this_version() -> None:
    versions = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = set(re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()))
    local = {target for target in targets if not target.startswith(("http://", "https://"))}
    assert {target for target in local if not (page.parent / target).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:app|workers|examples|tests|docs)/[\w./-]+)`", page.read_text()))
    assert page.name == "CHANGELOG.md" or {name for name in named if not (ROOT / name).exists()} == set()


def test_the_graphs_of_the_readme_are_shipped() -> None:
    shipped = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    assert set(re.findall(r'"assistant_id": "(\w+)"', README)) <= set(shipped)


def test_bodies_of_curl_are_json() -> None:
    bodies = re.findall(r"-d '(\{.*?\})'", README, re.DOTALL)
    assert len(bodies) >= 4
    for body in bodies:
        json.loads(body)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_and_name_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    for line in text.replace(" \\\n    --hash", " --hash").splitlines():
        assert re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}$", line), line[:80]
    assert "://" not in text
    assert "index" not in re.sub(r"(?m)^[a-z0-9._-]+==", "", text)


def test_requirements_have_what_the_project_wants() -> None:
    pinned = set(re.findall(r"(?m)^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text()))
    wanted = {re.split(r"[<>=;\[ ]", line)[0] for line in PROJECT["dependencies"]}
    assert wanted - pinned == set()


def test_npm_packages_are_pinned_and_name_no_host() -> None:
    folder = ROOT / "tests" / "js"
    wanted = json.loads((folder / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"(npm:@?[\w/-]+@)?\d+\.\d+\.\d+", spec) for spec in wanted.values())
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["devDependencies"] == wanted
    for name, package in locked.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
