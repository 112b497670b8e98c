"""Secrets may be in files, as orchestrators mount them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway.environment_variables import LARGEST_SECRET_BYTES, variable_or_file
from slipway.errors import ConfigError
from slipway.settings import Settings
from slipway.tool_gateway.secrets import secret_value, take_secrets


@pytest.mark.parametrize("setting", sorted(Settings.secrets()))
def test_every_secret_setting_may_be_in_a_file(setting: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("redis://:of-a-file@host/0\n")
    settings = Settings.load({f"SLIPWAY_{setting.upper()}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, setting).get_secret_value() == "redis://:of-a-file@host/0"
    assert "of-a-file" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_secrets_are_those_that_the_documentation_names() -> None:
    assert Settings.secrets() >= {"redis_url", "encryption_key", "webhook_secret"}


def test_a_file_for_a_setting_that_is_no_secret_is_unknown() -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_MAX_STEPS_FILE: there is no such setting"):
        Settings.load({"SLIPWAY_MAX_STEPS_FILE": "/dev/null"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not a text in UTF-8"),
        (b"x" * (LARGEST_SECRET_BYTES + 1), "has more than 65536 bytes"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_have_a_secret_is_named_without_its_content(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        Settings.load({"SLIPWAY_ENCRYPTION_KEY_FILE": str(file)})
    assert str(error.value).startswith(f"SLIPWAY_ENCRYPTION_KEY_FILE: {file} ")
    assert problem in str(error.value)
    assert "xxx" not in str(error.value)


def test_a_value_and_a_file_are_a_contradiction(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("b")
    environment = {"SLIPWAY_WEBHOOK_SECRET": "a-secret", "SLIPWAY_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")}
    with pytest.raises(ConfigError, match="are both set: remove one of them") as error:
        Settings.load(environment)
    assert "a-secret" not in str(error.value)


def test_an_empty_file_variable_counts_as_not_set() -> None:
    assert variable_or_file({"A_KEY": "value", "A_KEY_FILE": " "}, "A_KEY") == "value"
    assert variable_or_file({}, "A_KEY") is None


def test_the_secret_of_a_tool_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("of-the-tool\n")
    monkeypatch.setenv("A_TOOL_KEY_FILE", str(tmp_path / "secret"))
    take_secrets(["A_TOOL_KEY"])
    assert secret_value("A_TOOL_KEY") == "of-the-tool"
    assert "A_TOOL_KEY" not in os.environ
