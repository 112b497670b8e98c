"""When a web process controls access, and when it does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.access.access_control import AccessControl
from slipway.access.required_keys import keys_are_required
from slipway.api.auth import first_key_check
from slipway.api.auth.access_settings import load_access
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.errors import ConfigError
from slipway.graphs.official_sections import AuthSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings

NO_AUTH = AuthSection()
ISSUER = {"jwt_issuer": "https://issuer.example", "jwt_audience": "slipway"}


def no_object(reference: str) -> object:
    raise AssertionError(reference)


@pytest.mark.parametrize(
    ("given", "controlled"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "127.0.0.1", "require_keys": "1"}, True),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "10.0.0.5"}, True),
        ({"host": "box"}, True),
        ({"host": "0.0.0.0", "require_keys": "0"}, False),
        ({"host": "0.0.0.0", "require_keys": "0"} | ISSUER, True),
        (ISSUER, True),
    ],
)
def test_the_setting_says_who_needs_a_key(given: dict[str, Any], controlled: bool) -> None:
    access = load_access(Settings.from_values(given), NO_AUTH, no_object)
    assert isinstance(access, AccessControl) is controlled


@pytest.mark.parametrize("text", ["maybe", "2", "auto,1"])
def test_a_misspelt_setting_is_rejected(text: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REQUIRE_KEYS"):
        Settings.from_values({"require_keys": text})
    assert keys_are_required(Settings.from_values({"require_keys": "AUTO", "host": "0.0.0.0"}))


async def test_a_process_that_others_can_reach_does_not_start_before_there_is_a_key(
    valkey_url: str, keys: Keys, pipeline: Pipeline, tmp_path: Path
) -> None:
    def settings(**given: Any) -> Settings:
        return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix} | given)

    reachable = settings(host="0.0.0.0")
    store = ApiKeyStore(ApiKeyScripts(pipeline, keys))
    with pytest.raises(ConfigError) as refused:
        await first_key_check.check(reachable, NO_AUTH)
    for advice in (
        "slipway keys create --scope administer",
        "auth.path",
        "SLIPWAY_JWT_ISSUER",
        "SLIPWAY_REQUIRE_KEYS=0",
    ):
        assert advice in str(refused.value)
    assert "\n" not in str(refused.value)
    for allowed in (settings(host="0.0.0.0", require_keys="0"), settings(), settings(host="0.0.0.0", **ISSUER)):
        await first_key_check.check(allowed, NO_AUTH)
    await first_key_check.check(reachable, AuthSection(path="./auth.py:auth"))

    new = await store.create(scopes=["administer"], owner=None, expires=None, name="", by="x")
    await first_key_check.check(reachable, NO_AUTH)
    with capture_logs() as logs:
        await first_key_check.check(settings(), NO_AUTH)
    assert [line["event"] for line in logs] == ["access.keys_not_needed"]
    await store.revoke(new.key.key_id, "x")
    with pytest.raises(ConfigError):
        await first_key_check.check(reachable, NO_AUTH)
    with capture_logs() as logs:
        await first_key_check.check(settings(require_keys="1"), NO_AUTH)
    assert [line["event"] for line in logs] == ["access.no_key"]
