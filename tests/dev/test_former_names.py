"""Settings that are set by their former names: the log names them, and some of them prevent the start."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.health import start_checks
from slipway.health.release_checks import redis_problems
from slipway.redis.keys import Keys
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.renamed_settings import renamed_settings_in
from slipway.serialization.encryption import MARK
from slipway.services import open_services
from slipway.settings import Settings
from tests.checkpoints.conftest import put
from tests.environment import bare_environment
from tests.runs.conftest import PROJECT

pytestmark = pytest.mark.processes

KEY = "11" * 32


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without settings of Slipway under their former names."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.fixture
def settings(valkey_url: str, keys: Keys) -> Settings:
    return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT})


def test_former_names_with_a_valid_value_are_recognised() -> None:
    variables = {
        "MAX_STEPS": "7",
        "MAX_RETRIES": "many",
        "CHECKPOINTER": "postgres",
        "WEBHOOK_SECRET": "hush",
        "LOG_LEVEL": "debug",
        "PORT": "80",
        "LEASE_S": "9",
        "SLIPWAY_LEASE_S": "10",
        "DRAIN_S": "",
    }
    assert renamed_settings_in(variables).keys() == {"max_steps", "webhook_secret"}
    assert renamed_settings_in(bare_environment() | {"SLIPWAY_MAX_STEPS": "7"}).get("max_steps") is None


async def test_the_log_has_the_former_names_but_not_their_values(
    settings: Settings, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("WEBHOOK_SECRET", "hush")
    environment.setenv("ENCRYPTION_KEY", "also hush")
    with capture_logs() as lines:
        await start_checks.check(settings, settings.redis)
    assert [(line["event"], line["variable"]) for line in lines] == [
        ("settings.renamed", "ENCRYPTION_KEY"),
        ("settings.renamed", "WEBHOOK_SECRET"),
    ]
    assert "set SLIPWAY_WEBHOOK_SECRET instead" in lines[1]["problem"]
    assert "hush" not in str(lines)


@pytest.mark.parametrize("checkpointer", ["core", "langgraph-redis"])
async def test_a_process_without_the_key_of_encrypted_states_does_not_start(
    checkpointer: str, request: pytest.FixtureRequest, keys: Keys, environment: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("valkey_url" if checkpointer == "core" else "modules_url")
    values = {
        "redis_url": url,
        "key_prefix": keys.prefix,
        "config": PROJECT,
        "checkpointer": checkpointer,
        "langgraph_redis_prefix": f"{keys.prefix}-documents",
    }
    without_key, with_key = Settings.from_values(values), Settings.from_values(values | {"encryption_key": KEY})
    graphs = await Registry.load(PROJECT)
    await start_checks.check(with_key, url)
    async with open_services(with_key, graphs, "cli") as services:
        thread, _ = await services.threads.create_or_get("6f4c1c33-6e39-4a7c-8c0c-6b6d3b7b5d11", {})
        assert services.checkpointer.serde.dumps_typed("x")[1][:1] == MARK
        await put(services.checkpointer, thread.thread_id, {"note": "x"})
        try:
            await start_checks.check(with_key, url)
            with pytest.raises(ConfigError, match="which SLIPWAY_ENCRYPTION_KEY does not have"):
                await start_checks.check(without_key, url)
            environment.setenv("ENCRYPTION_KEY", KEY)
            (problem,) = await redis_problems(without_key)
            assert "set SLIPWAY_ENCRYPTION_KEY instead" in problem
        finally:
            if checkpointer != "core":
                for index in ("", "_write"):
                    await services.pipeline.send("FT.DROPINDEX", f"{keys.prefix}-documents{index}")


async def test_a_process_does_not_start_if_threads_exist_under_the_former_prefix(
    settings: Settings, environment: pytest.MonkeyPatch, pipeline: Pipeline, keys: Keys
) -> None:
    former = f"{keys.prefix}-former"
    environment.setenv("KEY_PREFIX", former)
    await start_checks.check(settings, settings.redis)
    await LayoutRecord(pipeline, Shards(former)).check_or_upgrade()
    await pipeline.send("ZADD", f"{former}:threads", 1, "a thread")
    with pytest.raises(ConfigError, match="set SLIPWAY_KEY_PREFIX instead"):
        await start_checks.check(settings, settings.redis)
    await start_checks.check(settings.model_copy(update={"key_prefix": former}), settings.redis)


async def test_a_process_does_not_start_if_threads_of_the_former_checkpointer_exist(
    settings: Settings, environment: pytest.MonkeyPatch, pipeline: Pipeline, keys: Keys
) -> None:
    environment.setenv("CHECKPOINTER", "langgraph-redis")
    await start_checks.check(settings, settings.redis)
    await pipeline.send("ZADD", keys.threads, 1, "a thread")
    with pytest.raises(ConfigError, match="set SLIPWAY_CHECKPOINTER instead"):
        await start_checks.check(settings, settings.redis)
    environment.setenv("SLIPWAY_CHECKPOINTER", "core")
    await start_checks.check(settings, settings.redis)
