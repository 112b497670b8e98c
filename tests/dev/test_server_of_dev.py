"""Which commands use the Valkey of `slipway dev` in the same folder when no address is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.processes.embedded_valkey import socket_path
from slipway.processes.settings_and_logs import load_settings_and_logs
from tests.runs.conftest import PROJECT


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that has the socket of a server."""
    for name in ("SLIPWAY_REDIS_URL", "REDIS_URL", "REDIS_TLS_URL", "REDISCLOUD_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLIPWAY_DATA_DIR", str(tmp_path))
    socket_path(tmp_path.resolve()).parent.mkdir(parents=True, exist_ok=True)
    socket_path(tmp_path.resolve()).touch()
    return tmp_path


@pytest.mark.parametrize("command", ["keys", "webhooks", "reviews", "encryption", "doctor"])
def test_a_command_uses_the_server_of_dev(command: str, data_dir: Path) -> None:
    settings = load_settings_and_logs(command, PROJECT)
    assert settings.redis == f"unix://{socket_path(data_dir.resolve())}"


@pytest.mark.parametrize("process", ["web", "worker", "release", "dev"])
@pytest.mark.usefixtures("data_dir")
def test_a_process_of_a_deployment_never_does(process: str) -> None:
    assert load_settings_and_logs(process, PROJECT).redis_url is None


@pytest.mark.parametrize("command", ["trace", "why", "reviews"])
def test_a_command_needs_no_langgraph_json_beside_the_server(
    command: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIPWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert load_settings_and_logs(command).redis == f"unix://{socket_path(data_dir.resolve())}"


@pytest.mark.usefixtures("data_dir")
def test_a_named_langgraph_json_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load_settings_and_logs("why", tmp_path / "langgraph.json")


def test_a_folder_without_langgraph_json_and_server_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIPWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--config"):
        load_settings_and_logs("why")


@pytest.mark.usefixtures("data_dir")
def test_an_address_that_is_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://host/0")
    assert load_settings_and_logs("keys", PROJECT).redis == "redis://host/0"
