"""A server without the modules is one clear line."""

from __future__ import annotations

import sys

import pytest

from app.checkpointing.checkpointer_choice import check
from app.errors import ConfigError
from app.keyspace.names import Keys
from app.redis.server_modules import require_modules
from app.redis.wire import Wire
from app.services import open_services
from tests.http.test_langgraph_redis import settings_of
from workers.registry import Registry


async def test_services_do_not_open(valkey_url: str, keys: Keys, graphs: Registry) -> None:
    with pytest.raises(ConfigError, match=r"needs the modules RediSearch and RedisJSON, .* use Redis 8"):
        async with open_services(settings_of(valkey_url, keys), graphs, "cli"):
            pass


async def test_what_is_lacking_is_named(wire: Wire) -> None:
    with pytest.raises(ConfigError, match="no RediSearch and no RedisJSON"):
        await require_modules(wire)


async def test_a_missing_package_is_named(valkey_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.redis", None)
    with pytest.raises(ConfigError, match=r"\.\[langgraph-redis\]"):
        await check(settings_of(valkey_url, keys), valkey_url)
