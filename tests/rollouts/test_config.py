"""`slipway.rollouts` of langgraph.json: a wrong value stops a process at its start, with the line of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.graphs.official_sections import UrlSection
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts.store import Announcements
from slipway.run_operations.rollout_announcements import announcements_of
from slipway.webhooks.urls import UrlPolicy


def config_of(folder: Path, section: Any) -> LangGraphJson:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"a": "./a.py:graph"}, "slipway": {"rollouts": section}}, indent=1))
    return read(file)


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ({"min_runs": 5}, 7, "slipway.rollouts.min_runs: expected a number, 10 or more, found 5"),
        ({"p95_factor": 0.5}, 7, "slipway.rollouts.p95_factor: expected a number, 1 or more, found 0.5"),
        ({"error_margin": 5}, 7, "slipway.rollouts.error_margin: unknown key; did you mean 'error_margin_percent'?"),
        ({"false_rollback_percent": 0}, 7, "expected a number above 0, found 0"),
    ],
)
def test_a_wrong_setting_names_the_line(tmp_path: Path, section: Any, line: int, problem: str) -> None:
    with pytest.raises(ConfigError) as rejected:
        config_of(tmp_path, section)
    assert f"langgraph.json:{line}: " in str(rejected.value)
    assert problem in str(rejected.value)


def test_the_defaults_are_those_of_the_page(tmp_path: Path) -> None:
    assert config_of(tmp_path, {}).rollouts == RolloutsSection()
    page = (Path(__file__).parents[2] / "docs" / "rollouts.md").read_text()
    example = page.partition('"slipway": ')[2].partition("\n```")[0]
    shown = json.loads(example)["rollouts"]
    assert RolloutsSection(**shown | {"webhook": None}) == RolloutsSection()


def test_a_webhook_that_is_not_allowed_stops_the_process(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"webhook": "http://169.254.169.254/"})
    with pytest.raises(ConfigError, match=r"langgraph\.json:7: slipway\.rollouts\.webhook: 169\.254\.169\.254 is"):
        announcements_of(config, UrlPolicy(config.webhooks.url))
    allowed = config_of(tmp_path, {"webhook": "https://ops.example.com/rollouts"})
    assert announcements_of(allowed, UrlPolicy(allowed.webhooks.url)) == Announcements(
        "https://ops.example.com/rollouts", "deliveries"
    )
    assert announcements_of(config_of(tmp_path, {}), UrlPolicy(config.webhooks.url)) is None


def test_a_webhook_may_be_a_path_of_this_deployment_if_loopback_is_allowed(tmp_path: Path) -> None:
    """Unlike an endpoint: the project names it, and no client can."""
    config = config_of(tmp_path, {"webhook": "/own/rollouts"})
    assert announcements_of(config, UrlPolicy(UrlSection(disable_loopback=False))) == Announcements(
        "/own/rollouts", "internal_deliveries"
    )
    with pytest.raises(ConfigError, match="disable_loopback"):
        announcements_of(config, UrlPolicy(UrlSection()))
