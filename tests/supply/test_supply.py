"""The list of requirements in an image, and their comparison with known vulnerabilities."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.cluster import ROOT
from tests.supply.audit import Audit

pytestmark = pytest.mark.processes


def test_the_list_has_every_pinned_requirement_with_its_hashes(tmp_path: Path) -> None:
    command = ("cyclonedx_py", "requirements", "requirements.txt", "--pyproject", "pyproject.toml")
    output = tmp_path / "sbom.cdx.json"
    options = ("--output-reproducible", "--output-format", "JSON", "--output-file", str(output))
    subprocess.run(
        (sys.executable, "-W", "ignore", "-m", *command, *options), cwd=ROOT, check=True, capture_output=True
    )
    sbom = json.loads(output.read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["name"] == "slipway"
    listed = {f"{each['name']}=={each['version']}" for each in sbom["components"]}
    assert listed == set(re.findall(r"^([\w.-]+==[\w.+-]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert all(each["externalReferences"][0]["hashes"] for each in sbom["components"])


def test_vulnerabilities_are_reported_and_packages_that_nobody_knows_are_counted() -> None:
    report = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]},
            {"name": "unknown", "skip_reason": "not found"},
        ],
        "fixes": [],
    }
    assert Audit.of(report) == Audit(2, 1, ["bad 2 has CVE-1, fixed in 3"])


def test_the_image_runs_without_root_and_its_code_belongs_to_root() -> None:
    """Each file is copied before the user is changed, so a process of the image cannot change its own code."""
    steps = [line.partition(" ")[::2] for line in (ROOT / "Dockerfile").read_text().splitlines()]
    names = [name for name, _ in steps]
    user = names.index("USER")
    assert dict(steps)["USER"] not in ("root", "0")
    assert not {"COPY", "ADD", "RUN"} & set(names[user:])
    assert "chown" not in (ROOT / "Dockerfile").read_text()
