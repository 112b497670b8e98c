"""No order of deploys, resumes, rollbacks, moves and crashes executes a thread on a version that its verdict forbids.

`SLIPWAY_TEST_SEEDS` sets the number of histories; `make soak-versions` executes many.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from slipway.graphs.registry import Registry
from slipway.graphs.served_version import Moves
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.version_drills.executed import FILE
from tests.version_drills.histories import GRAPHS, KINDS, history
from tests.version_drills.projects import project

SEEDS: Final = int(os.environ.get("SLIPWAY_TEST_SEEDS", "3"))
STEPS: Final = 25
PATIENCE_S: Final = 20
"""A machine that is busy for seconds is no event of a history."""
MOVES: Final[tuple[Moves, ...]] = ("at-resume", "at-next-run", "pinned")


@pytest.fixture(scope="session")
def registries(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[tuple[str, ...], Moves], tuple[Path, Registry]]:
    """The graphs of each kind of worker, loaded once."""
    folder = tmp_path_factory.mktemp("projects")
    configs = {(kind, moves): project(folder, GRAPHS, kind, moves) for kind in KINDS for moves in MOVES}
    return {key: (config, asyncio.run(Registry.load(config))) for key, config in configs.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_order_of_events_executes_a_forbidden_version(
    seed: int,
    registries: dict[tuple[tuple[str, ...], Moves], tuple[Path, Registry]],
    valkey_url: str,
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "executed"))

    def projects(kind: tuple[str, ...]) -> tuple[Settings, Registry]:
        config, graphs = registries[kind, MOVES[seed % len(MOVES)]]
        values = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config, "max_attempts": 100}
        return Settings.from_values(values | {"redis_patience_web_s": PATIENCE_S}), graphs

    async with history(projects, seed) as lived:
        await lived.begin()
        for _ in range(STEPS):
            await lived.act()
        await lived.end()
        assert await lived.problems() == [], lived.done
