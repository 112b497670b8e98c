"""Settings: their sources, and the values that are rejected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from slipway import failpoints
from slipway.errors import ConfigError
from slipway.processes import readiness
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.settings import Settings, settings_table
from tests.environment import bare_environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without variables that configure Slipway."""
    for name in os.environ.keys() - bare_environment().keys():
        monkeypatch.delenv(name)
    return monkeypatch


def test_construction_reads_no_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLIPWAY_MAX_STEPS", "7")
    assert Settings().max_steps == 500


def test_the_environment_sets_values_and_the_command_line_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLIPWAY_MAX_STEPS", "7")
    environment.setenv("SLIPWAY_PORT", "5001")
    settings = Settings.load(port=5002, host=None)
    assert (settings.max_steps, settings.port, settings.host) == (7, 5002, "127.0.0.1")


def test_an_empty_variable_is_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLIPWAY_MAX_STEPS", "")
    assert Settings.load().max_steps == 500


def test_the_environment_overrides_variables_of_the_project(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLIPWAY_MAX_STEPS", "8")
    settings = Settings.load(project={"SLIPWAY_MAX_STEPS": "7", "SLIPWAY_MAX_RETRIES": "3", "OTHER": "1"})
    assert (settings.max_steps, settings.max_retries) == (8, 3)


HOSTILE = {
    "MAX_TOKENS": "4k",
    "CHECKPOINTER": "postgres",
    "REDIS_URL": "redis://project",
    "REDIS_TLS_URL": "rediss://project",
    "LOG_LEVEL": "INFO",
    "PORT": "abc",
    "HOST": "?",
    "CONFIG": "nowhere.json",
    "MAX_STEPS": "many",
    "ENCRYPTION_KEY": "short",
}
"""Variables that a project may use itself."""


def test_a_projects_own_variables_configure_nothing() -> None:
    assert Settings.load({}, HOSTILE) == Settings()
    own = {name: value for name, value in HOSTILE.items() if name not in ("PORT", "REDIS_URL", "REDIS_TLS_URL")}
    assert Settings.load(own) == Settings()


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_read_by_its_name(setting: str) -> None:
    """Text settings accept any word; all other settings reject it with an error that names the variable."""
    variable = f"SLIPWAY_{setting.upper()}"
    try:
        outcome = repr(getattr(Settings.load({variable: "word"}), setting))
    except ConfigError as refused:
        outcome = str(refused)
    assert outcome.startswith(f"{variable}: ") or outcome != repr(getattr(Settings(), setting))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"REDISCLOUD_URL": "redis://c"}, "redis://c"),
        ({"REDISCLOUD_URL": "redis://c", "REDIS_URL": "redis://b"}, "redis://b"),
        ({"REDIS_URL": "redis://b", "REDIS_TLS_URL": "rediss://a"}, "rediss://a"),
        ({"HEROKU_REDIS_PINK_URL": "rediss://p"}, "rediss://p"),
        ({"HEROKU_REDIS_PINK_URL": "rediss://p", "REDIS_URL": "redis://b"}, "redis://b"),
        ({"REDIS_TLS_URL": "rediss://a", "SLIPWAY_REDIS_URL": "redis://s"}, "redis://s"),
        ({"REDIS_TLS_URL": "", "REDIS_URL": "redis://b"}, "redis://b"),
    ],
)
def test_the_redis_url_is_read_from_variables_of_the_platform(given: dict[str, str], found: str) -> None:
    assert Settings.load(given).redis == found


def test_different_urls_of_several_add_ons_are_rejected() -> None:
    with pytest.raises(ConfigError, match="HEROKU_REDIS_PINK_URL, HEROKU_REDIS_RED_URL differ: set SLIPWAY_REDIS_URL"):
        Settings.load({"HEROKU_REDIS_PINK_URL": "rediss://p", "HEROKU_REDIS_RED_URL": "rediss://r"})


def test_the_port_is_read_from_the_variable_of_the_platform() -> None:
    assert Settings.load({"PORT": "5001"}).port == 5001
    assert Settings.load({"PORT": "abc", "SLIPWAY_PORT": "5002"}).port == 5002
    with pytest.raises(ConfigError, match=r"^PORT: "):
        Settings.load({"PORT": "abc"})


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("SLIPWAY_MAX_STEP", "SLIPWAY_MAX_STEP: there is no such setting; did you mean SLIPWAY_MAX_STEPS?"),
        ("SLIPWAY_ENCRYPTON_KEY", "did you mean SLIPWAY_ENCRYPTION_KEY?"),
        ("SLIPWAY_MAX_TOKEN", "did you mean SLIPWAY_MAX_TOKENS?"),
        ("SLIPWAY_SSE_BUFFER_EVENTS", "SLIPWAY_SSE_BUFFER_EVENTS: this setting was removed"),
        ("SLIPWAY_QQQ", "SLIPWAY_QQQ: there is no such setting$"),
    ],
)
def test_an_unknown_setting_is_rejected_with_a_suggestion(variable: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        Settings.load({variable: "7"})
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        Settings.load({}, {variable: "7"})


def test_internal_variables_of_slipway_are_ignored() -> None:
    names = (failpoints.VARIABLE, failpoints.SIGNAL, readiness.VARIABLE, "SLIPWAY_PARENT_PID")
    assert Settings.load(dict.fromkeys(names, "1")) == Settings()


def test_variables_of_a_kubernetes_service_named_slipway_are_ignored() -> None:
    service = {
        "SLIPWAY_SERVICE_HOST": "10.0.0.1",
        "SLIPWAY_SERVICE_PORT": "80",
        "SLIPWAY_SERVICE_PORT_HTTP": "80",
        "SLIPWAY_PORT": "tcp://10.0.0.1:80",
        "SLIPWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "SLIPWAY_WEB_SERVICE_HOST": "10.0.0.2",
        "SLIPWAY_WEB_PORT": "tcp://10.0.0.2:80",
    }
    assert Settings.load(service | {"SLIPWAY_MAX_STEPS": "7"}) == Settings(max_steps=7)


@pytest.mark.parametrize("level", ["INFO", "Warning", "debug"])
def test_enumerations_are_read_in_any_case(level: str) -> None:
    settings = Settings.load({"SLIPWAY_LOG_LEVEL": level, "SLIPWAY_CHECKPOINTER": "LangGraph-Redis"})
    assert (settings.log_level, settings.checkpointer) == (level.lower(), "langgraph-redis")


def test_the_error_of_a_missing_redis_url_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_URL must be set, or one of REDIS_TLS_URL, REDIS_URL"):
        _ = Settings().redis


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_values({"redis_url": "redis://:hush@host", "encryption_key": "hush"})
    assert "hush" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"max_steps": "many"}, "SLIPWAY_MAX_STEPS"),
        ({"max_steps": 0}, "SLIPWAY_MAX_STEPS"),
        ({"checkpointer": "other"}, "SLIPWAY_CHECKPOINTER"),
        ({"langgraph_redis_prefix": "a b"}, "SLIPWAY_LANGGRAPH_REDIS_PREFIX"),
        ({"port": 70_000}, "SLIPWAY_PORT"),
        ({"key_prefix": "a b"}, "SLIPWAY_KEY_PREFIX"),
        ({"drain_s": 30}, "SLIPWAY_DRAIN_S"),
        ({"log_level": "loud"}, "SLIPWAY_LOG_LEVEL"),
        ({"lease_s": 4, "heartbeat_s": 2}, "SLIPWAY_LEASE_S .* SLIPWAY_HEARTBEAT_S"),
        ({"reap_every_s": 9}, "SLIPWAY_REAP_EVERY_S .* SLIPWAY_LEASE_S"),
        ({"redis_patience_worker_s": 1}, "SLIPWAY_REDIS_PATIENCE_WORKER_S .* SLIPWAY_REDIS_PATIENCE_WEB_S"),
        ({"max_body_bytes": 2**30}, "SLIPWAY_MAX_BODY_BYTES .* SLIPWAY_MAX_STATE_BYTES"),
    ],
)
def test_the_error_of_an_invalid_setting_names_it(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Settings.from_values(values)


def test_the_error_of_a_setting_does_not_contain_its_value() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_values({"redis_url": ["hush"]})
    assert "hush" not in str(refused.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_setting_has_help_and_a_row() -> None:
    table = settings_table()
    for name, setting in Settings.model_fields.items():
        assert setting.description, name
        assert f"| `SLIPWAY_{name.upper()}` |" in table


class TestProjectEnvironment:
    """The `env` of langgraph.json."""

    def test_its_settings_count(self, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": {"SLIPWAY_MODEL": "some:model", "SLIPWAY_LEASE_S": 9}}')
        environment.setenv("SLIPWAY_LEASE_S", "10")
        settings = load_settings_and_logs("web", config, port=None)
        assert (settings.model, settings.lease_s) == ("some:model", 10)

    def test_a_misspelt_one_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("SLIPWAY_MODELL=x\n")
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": ".env"}')
        with pytest.raises(ConfigError, match=r"did you mean SLIPWAY_MODEL\?"):
            load_settings_and_logs("web", config)

    def test_nothing_else_of_it_does_and_a_supervisors_children_do_not_inherit_it(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in HOSTILE.items()))
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": ".env"}')
        before = dict(os.environ)
        assert load_settings_and_logs("dev", config) == Settings(config=config)
        assert dict(os.environ) == before


def test_zero_retries_are_accepted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLIPWAY_MAX_RETRIES", "0")
    assert Settings.load().max_retries == 0


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ('{"gpt-5": {"input": -1, "output": 1}}', "SLIPWAY_PRICES.gpt-5.input: expected a number, 0 or more, found -1"),
        ('{"gpt-5": {"input": 1}}', "SLIPWAY_PRICES.gpt-5.output: is required"),
        ('{"gpt-5": {"input": 1, "output": 1, "in": 1}}', "SLIPWAY_PRICES.gpt-5.in: unknown key"),
        (
            '{"gpt-5": {"input": "x", "output": 1}}',
            "SLIPWAY_PRICES.gpt-5.input: expected a number, found the string 'x'",
        ),
        ('{"gpt-5": 1}', "SLIPWAY_PRICES.gpt-5: expected an object, found a number"),
    ],
)
def test_a_wrong_price_is_said_as_for_langgraph_json(prices: str, problem: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        Settings.load({"SLIPWAY_PRICES": prices})
    assert str(wrong.value) == problem


@pytest.mark.parametrize(
    ("environment", "release"),
    [
        ({}, ""),
        ({"RELEASE": "v42", "GIT_COMMIT": "a" * 40}, "v42"),
        ({"RELEASE": "v42", "SLIPWAY_RELEASE": "mine"}, "mine"),
        ({"HEROKU_SLUG_COMMIT": "0123456789abcdef0123456789ABCDEF01234567"}, "0123456789ab"),
        ({"FLY_IMAGE_REF": "registry.fly.io/desk:deployment-01H"}, "registry.fly.io-desk-deployment-01H"),
        ({"K_REVISION": "  "}, ""),
        ({"RELEASE": "@@", "GIT_COMMIT": "feature/" + "x" * 60}, "x" * 48),
    ],
)
def test_the_release_is_read_from_the_platform(environment: dict[str, str], release: str) -> None:
    assert Settings.load(environment).release == release


def test_a_release_that_cannot_be_part_of_a_name_is_rejected() -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_RELEASE"):
        Settings.load({"SLIPWAY_RELEASE": "a@b"})
