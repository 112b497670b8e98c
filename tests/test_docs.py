"""The documents match the code: settings, ceilings, error codes, commands, versions, links."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from slipway.cli import cli
from slipway.errors import SlipwayError
from slipway.settings import MIB, Settings
from tests.generated_pages import PARTS, with_part

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = sorted((*ROOT.glob("*.md"), *DOCS.glob("*.md")))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def all_errors(kind: type[SlipwayError] = SlipwayError) -> Iterator[type[SlipwayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from all_errors(child)


@pytest.mark.parametrize(("page", "name", "text"), PARTS, ids=[name for _, name, _ in PARTS])
def test_generated_parts_are_up_to_date(page: Path, name: str, text: Callable[[], str]) -> None:
    """`make pages` writes them."""
    assert page.read_text() == with_part(page, name, text())


def test_the_ceilings_have_their_defaults() -> None:
    text = (DOCS / "ceilings.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `SLIPWAY_(MAX_\w+)` \| ([^|]+) \| `ceiling\.\w+` \|$", text, re.MULTILINE)
    assert len(rows) >= 8
    for setting, shown in rows:
        default = Settings.model_fields[setting.lower()].default
        if default is None:
            assert shown == ("as `SLIPWAY_MAX_STEPS`" if setting == "MAX_NODE_VISITS" else "none")
            continue
        assert shown in (str(default), f"{default} s", f"{default // MIB} MiB"), setting


def test_every_error_code_is_explained() -> None:
    documented = set(re.findall(r"`([a-z_.*]+)`", (DOCS / "errors.md").read_text()))
    codes = {
        kind.code
        for kind in all_errors()
        if kind.__module__ == "slipway.errors" and not kind.code.startswith("ceiling")
    }
    assert codes - documented == set()
    assert documented - codes == {"ceiling.*"}


def commands_of(group: typer.Typer, name: str = "") -> Iterator[str]:
    """The commands of a group and of the groups in it, as they are typed after `slipway`."""
    if name and group.info.invoke_without_command is True:
        yield name
    for command in group.registered_commands:
        if command.callback and not command.hidden:
            yield f"{name} {command.name or command.callback.__name__}".strip()
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands_of(inner.typer_instance, f"{name} {inner.name}".strip())


def test_every_command_is_explained() -> None:
    rows = re.findall(r"^\| (`slipway .+?`) \|", (DOCS / "command-line.md").read_text(), re.MULTILINE)
    explained = {words for row in rows for words in re.findall(r"`slipway ([a-z -]*[a-z])", row)}
    assert explained == set(commands_of(cli))


def test_the_changelog_has_this_version() -> None:
    versions = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()))
    local = {target for target in targets if not target.startswith(("http://", "https://"))}
    assert {target for target in local if not (page.parent / target).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:app|workers|examples|tests|docs)/[\w./-]+)`", page.read_text()))
    assert page.name == "CHANGELOG.md" or {name for name in named if not (ROOT / name).exists()} == set()


def test_files_that_the_architecture_names_exist() -> None:
    """Its paths are relative to the packages, and those of scripts to their folder."""
    named = set(re.findall(r"`([\w/]+(?:\.py|\.lua|/))`", (ROOT / "ARCHITECTURE.md").read_text()))
    roots = [ROOT / folder for folder in ("", "app/slipway", "workers", "app/slipway/redis/lua")]
    assert {name for name in named if not any((root / name).exists() for root in roots)} == set()


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


def test_requirements_contain_all_dependencies() -> None:
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
