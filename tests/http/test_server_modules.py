"""On a server without its modules, the checkpointer `langgraph-redis` fails with an error that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.redis import server_modules
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import module_files, require_modules
from slipway.services import open_services
from tests.http.test_langgraph_redis import settings_of


async def test_services_do_not_open_without_the_modules(valkey_url: str, keys: Keys, graphs: Registry) -> None:
    with pytest.raises(ConfigError, match=r"needs the modules RediSearch and RedisJSON, .* use Redis 8"):
        async with open_services(settings_of(valkey_url, keys), graphs, "cli"):
            pass


async def test_missing_modules_are_named(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="no RediSearch and no RedisJSON"):
        await require_modules(pipeline)


def test_module_files_are_found_only_if_all_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incomplete package is reported before the server starts. Otherwise the server would start and exit at once."""
    folder = tmp_path / "a_wheel" / "redis-stack-server" / "lib"
    folder.mkdir(parents=True)
    (tmp_path / "a_wheel" / "__init__.py").touch()
    monkeypatch.setattr(server_modules, "WHEEL", "a_wheel")
    assert module_files() is None
    monkeypatch.syspath_prepend(tmp_path)
    (folder / "redisearch.so").touch()
    assert module_files() is None
    (folder / "rejson.so").touch()
    assert module_files() == [folder / "redisearch.so", folder / "rejson.so"]
