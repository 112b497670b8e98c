"""Settings: where they come from, and what they refuse."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app import logs
from app.errors import ConfigError
from app.processes.environment import apply_graph_environment, prepare
from app.settings import Settings, settings_table


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of our options."""
    for name in (*Settings.model_fields, "rediscloud_url"):
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_construction_reads_no_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAX_STEPS", "7")
    assert Settings().max_steps == 500


def test_the_environment_sets_options_and_the_command_line_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAX_STEPS", "7")
    environment.setenv("PORT", "5001")
    settings = Settings.load(port=5002, host=None)
    assert (settings.max_steps, settings.port, settings.host) == (7, 5002, "127.0.0.1")


def test_an_empty_variable_is_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAX_TOKENS", "")
    assert Settings.load().max_tokens is None


def test_a_file_is_read_below_the_environment(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("MAX_STEPS=7\nMAX_RETRIES=3\nSOMETHING_ELSE=1\n")
    environment.setenv("MAX_STEPS", "8")
    settings = Settings.load(file)
    assert (settings.max_steps, settings.max_retries) == (8, 3)


def test_redis_cloud_is_found_under_its_own_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDISCLOUD_URL", "redis://:a@b:1")
    assert Settings.load().redis == "redis://:a@b:1"
    environment.setenv("REDIS_URL", "redis://c")
    assert Settings.load().redis == "redis://c"


def test_no_address_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="REDIS_URL"):
        _ = Settings().redis


def test_secrets_are_not_shown() -> None:
    settings = Settings.of({"redis_url": "redis://:hush@host", "encryption_key": "hush"})
    assert "hush" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"max_steps": "many"}, "MAX_STEPS"),
        ({"max_steps": 0}, "MAX_STEPS"),
        ({"checkpointer": "other"}, "CHECKPOINTER"),
        ({"langgraph_redis_prefix": "a b"}, "LANGGRAPH_REDIS_PREFIX"),
        ({"port": 70_000}, "PORT"),
        ({"key_prefix": "a b"}, "KEY_PREFIX"),
        ({"drain_s": 30}, "DRAIN_S"),
        ({"log_level": "loud"}, "LOG_LEVEL"),
        ({"lease_s": 4, "heartbeat_s": 2}, "LEASE_S .* HEARTBEAT_S"),
        ({"reap_every_s": 9}, "REAP_EVERY_S .* LEASE_S"),
        ({"redis_patience_worker_s": 1}, "REDIS_PATIENCE_WORKER_S .* REDIS_PATIENCE_WEB_S"),
        ({"max_body_bytes": 2**30}, "MAX_BODY_BYTES .* MAX_STATE_BYTES"),
    ],
)
def test_what_cannot_work_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Settings.of(values)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.of({"redis_url": ["hush"]})
    assert "hush" not in str(refused.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_option_has_help_and_a_row() -> None:
    table = settings_table()
    for name, option in Settings.model_fields.items():
        assert option.description, name
        assert f"| `{name.upper()}` |" in table


def test_every_option_does_something() -> None:
    """An option is read as an attribute of settings, by name (ceilings), or from the environment (graphs that ship)."""
    root = Path(__file__).parent.parent
    sources = [path for package in ("app", "workers") for path in (root / package).rglob("*.py")]
    code = "\n".join(path.read_text() for path in sources if path.name != "settings.py")
    used = re.compile(r"settings\.([a-z_]+)|\"([a-z_]+)\"|environ\.get\(\"([A-Z_]+)\"\)")
    names = {name.lower() for match in used.finditer(code) for name in match.groups() if name}
    assert set(Settings.model_fields) - {"redis_url"} - names == set()


class TestGraphEnvironment:
    """The `env` of langgraph.json."""

    def test_a_mapping_is_set_below_what_is_set_already(self, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
        environment.setenv("ONE", "mine")
        environment.setenv("TWO", "")
        environment.delenv("TWO")
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": {"ONE": "1", "TWO": "2"}}')
        apply_graph_environment(config)
        assert (os.environ["ONE"], os.environ["TWO"]) == ("mine", "2")

    def test_a_path_is_a_dotenv_file_beside_it(self, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
        environment.setenv("KEY_OF_A_GRAPH", "")
        environment.delenv("KEY_OF_A_GRAPH")
        (tmp_path / ".env").write_text("KEY_OF_A_GRAPH=abc\n")
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": ".env"}')
        apply_graph_environment(config)
        assert os.environ["KEY_OF_A_GRAPH"] == "abc"

    def test_it_may_name_settings(self, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
        environment.setenv("MODEL", "")
        environment.delenv("MODEL")
        environment.setattr(logs, "configure", lambda settings, process: None)  # pytest's own handlers stay
        config = tmp_path / "langgraph.json"
        config.write_text('{"graphs": {"a": "./a.py:a"}, "env": {"MODEL": "some:model"}}')
        assert prepare("web", config, port=None).model == "some:model"
