"""The number of shards comes from the settings, and is never another one than that of the stored data."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from slipway.graphs.registry import Registry
from slipway.processes.child_commands import slipway
from slipway.redis.deployment_shards import shards_of
from slipway.redis.keys import Keys
from slipway.services import open_services
from slipway.settings import CLUSTER_SHARDS, Settings
from tests.environment import bare_environment
from tests.runs.conftest import PROJECT


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 1),  # `slipway dev` starts a server
        ({"redis_url": "redis://a:6379"}, 1),
        ({"redis_url": "redis://a:6379", "shards": "8"}, 8),
        ({"redis_url": "redis://a:6379,b:6379"}, CLUSTER_SHARDS),
        ({"redis_url": "redis://a:6379", "redis_cluster": "1"}, CLUSTER_SHARDS),
        ({"redis_url": "redis://a:6379,b:6379", "shards": "16"}, 16),
    ],
)
def test_a_cluster_has_more_shards_than_one_server(variables: dict[str, str], expected: int) -> None:
    settings = Settings.load({f"SLIPWAY_{name.upper()}": value for name, value in variables.items()})
    assert shards_of(settings).count == expected


@pytest.mark.processes
async def test_another_number_than_the_stored_one_ends_each_command(valkey_url: str, keys: Keys) -> None:
    stored = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT, "shards": 8})
    graphs = await Registry.load(PROJECT)
    process = await _slipway(stored, "8", "release")
    assert process.returncode == 0, process.stdout
    async with open_services(stored, graphs, "cli") as services:
        assert len(services.shards.threads) == 8
    for command in (("web", "--port", "0"), ("worker",), ("runs",)):
        process = await _slipway(stored, "4", *command)
        assert process.returncode == 2, process.stdout
        (line,) = process.stdout.strip().splitlines()
        assert "SLIPWAY_SHARDS is 4, and the data in Redis" in line
        assert "were stored with 8: set SLIPWAY_SHARDS=8" in line


@pytest.mark.processes
@pytest.mark.parametrize("command", [("keys", "create", "--scope", "administer"), ("pause",)])
async def test_a_command_that_stores_the_first_record_stores_the_number_too(
    valkey_url: str, keys: Keys, command: tuple[str, ...]
) -> None:
    settings = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT})
    for reads in (("keys", "list"), ("switches",), ("runs",)):
        process = await _slipway(settings, "4", *reads)
        assert process.returncode == 0, process.stdout
    process = await _slipway(settings, "8", *command)
    assert process.returncode == 0, process.stdout
    process = await _slipway(settings, "1", "keys", "list")
    assert process.returncode == 2, process.stdout
    assert "were stored with 8: set SLIPWAY_SHARDS=8" in process.stdout


async def _slipway(settings: Settings, shards: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {
        "SLIPWAY_REDIS_URL": settings.redis,
        "SLIPWAY_KEY_PREFIX": settings.key_prefix,
        "SLIPWAY_CONFIG": str(settings.config),
        "SLIPWAY_SHARDS": shards,
    }
    return await asyncio.to_thread(
        subprocess.run,
        slipway(*arguments),
        env={**bare_environment(), **variables, "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
