"""The JavaScript client with API keys of two owners."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.processes.child_commands import slipway
from tests.environment import bare_environment
from tests.js.client_versions import VERSIONS
from tests.site import Site, running_site

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def closed_site(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, list[str]]]:
    """`slipway dev` that demands keys, and a key of `ann` and of `bob`."""
    folder = tmp_path_factory.mktemp("js_keys")
    with running_site(HERE / "project" / "langgraph.json", folder, SLIPWAY_REQUIRE_KEYS="1") as site:
        yield site, [new_key(owner, folder) for owner in ("ann", "bob")]


def new_key(owner: str, data_dir: Path) -> str:
    """The command finds the server of `slipway dev` in its data directory."""
    created = subprocess.run(
        slipway("keys", "create", "--scope", "runs:write", "--owner", owner),
        env={**bare_environment(), "SLIPWAY_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    return created.stdout.strip()


@pytest.mark.parametrize("version", VERSIONS)
def test_owners_use_their_own_records_only(closed_site: tuple[Site, list[str]], version: str) -> None:
    site, keys = closed_site
    result = subprocess.run(
        ("node", "node_keys/keys.mjs", *keys),
        cwd=HERE,
        env={**os.environ, "CLIENT_PACKAGE": VERSIONS[version], "SLIPWAY_URL": site.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "ok\n", result.stderr
