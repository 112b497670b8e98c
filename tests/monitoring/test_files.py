"""The rules, the alerts and the dashboard: parsed by promtool, and made of the metrics of the table only."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # types-PyYAML would be one more dependency

from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.whole_table import METRICS
from tests.monitoring import dashboard
from tests.monitoring.conftest import FOLDER, program

pytestmark = [pytest.mark.processes, pytest.mark.one_python]

DOCS: Final = FOLDER.parent
TARGET_LABELS: Final = {"job", "instance", "le"}
VARIABLES: Final = {"$__rate_interval": "5m", "$job": ".*", "$graph": ".*"}


def promtool(*arguments: str) -> str:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for name in ("recording-rules.yml", "alerts.yml") for rule in rules(name))
    yield from dashboard.queries()


def samples() -> dict[str, MetricKind]:
    """The names of the series of /metrics."""
    ends = {
        MetricType.COUNTER: ("_total",),
        MetricType.GAUGE: ("",),
        MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
    }
    return {f"{kind.name}{end}": kind for kind in METRICS.values() for end in ends[kind.type]}


def test_the_example_configuration_and_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "config", str(FOLDER / "prometheus.yml"))


def test_the_rules_say_what_they_should(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "rules.test.yml").read_text()
    for word, name in (("RECORDING", "recording-rules.yml"), ("ALERTS", "alerts.yml")):
        text = text.replace(f"  - {word}\n", f"  - {FOLDER / name}\n")
    (tmp_path / "rules.test.yml").write_text(text)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "rules.test.yml"))


def test_every_alert_fires_in_a_unit_test() -> None:
    text = yaml.safe_load((Path(__file__).parent / "rules.test.yml").read_text())
    fired = {each["alertname"] for test in text["tests"] for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules("alerts.yml")}


def test_every_expression_of_the_dashboard_is_parsed(tmp_path: Path) -> None:
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, written in enumerate(dashboard.queries()):
        query = written
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)
        assert "$" not in query, query
        lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(query)}"]
    file = tmp_path / "dashboard.yml"
    file.write_text("\n".join(lines))
    assert f"{len(dashboard.queries())} rules found" in promtool("check", "rules", str(file))


def test_only_metrics_and_labels_of_the_table_are_used() -> None:
    known, recorded = samples(), {rule["record"] for rule in rules("recording-rules.yml")}
    labels = {field.name for kind in METRICS.values() for field in kind.labels} | TARGET_LABELS
    for expression in expressions():
        bare = re.sub(r'"[^"]*"', '""', expression)
        names = set(re.findall(r"\bslipway_[a-z0-9_]+", bare))
        assert names <= known.keys(), (names - known.keys(), expression)
        assert set(re.findall(r"\bslipway:[a-z0-9_:]+", bare)) <= recorded, expression
        used = {each.strip() for group in re.findall(r"(?:by|without) \(([^)]*)\)", bare) for each in group.split(",")}
        matched = {each for group in re.findall(r"\{([^}]*)\}", bare) for each in re.findall(r"(\w+)\s*[=!]", group)}
        assert used | matched <= labels | {""}, expression
        grouped = {each.strip() for group in re.findall(r"by \(([^)]*)\)", bare) for each in group.split(",")} - {""}
        own = {field.name for name in names for field in known[name].labels} | TARGET_LABELS
        assert not names or grouped <= own, (grouped - own, expression)


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    """Those that are left out are here, each with the panel that says the same."""
    left_out = {
        "slipway_attempts_started": "the attempts that ended",
        "slipway_run_events": "the runs",
        "slipway_queued_jobs": "the queue depth",
        "slipway_leases": "the stored runs by phase",
        "slipway_store_probe_seconds": "the round trips",
        "slipway_version_new_threads": "the runs since the ramp began",
        "slipway_breaker_openings": "the open circuit breakers",
    }
    text = "\n".join(expressions())
    unused = {name for name in METRICS if not re.search(rf"\b{name}(_total|_bucket)?\b", text)}
    assert unused == left_out.keys()


def test_each_alert_has_a_section_in_the_documentation() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", (DOCS / "monitoring.md").read_text(), re.MULTILINE)
    }
    alerts = [rule for rule in rules("alerts.yml") if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor in headings) == ("docs/monitoring.md", True), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]


def test_the_dashboard_is_what_grafana_imports() -> None:
    model = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    assert "__inputs" not in model, "an input would have to be chosen at each import"
    assert [each["type"] for each in model["templating"]["list"]] == ["datasource", "query", "query"]
    panels = model["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        assert panel["type"] in ("row", "stat", "timeseries")
        for target in panel.get("targets", ()):
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert target["expr"]
