"""Compares the pinned requirements with known vulnerabilities: `python -m tests.supply.audit`.

pip-audit asks the package index, or the service that `PIP_AUDIT_VULNERABILITY_SERVICE` names. On a machine without the
internet nothing is compared: then the command says so and succeeds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
FILES: Final = ("requirements.txt", "requirements-sbom.txt")


class Audit(NamedTuple):
    """What pip-audit reports: how many packages it compared, and the vulnerabilities of each, as sentences."""

    compared: int
    skipped: int
    vulnerable: list[str]

    @classmethod
    def of(cls, report: dict[str, Any]) -> Audit:
        packages = report["dependencies"]
        skipped = [package for package in packages if "skip_reason" in package]
        vulnerable = [_sentence(package, each) for package in packages for each in package.get("vulns", ())]
        return cls(len(packages) - len(skipped), len(skipped), vulnerable)


def audited(file: Path) -> Audit:
    """Raises `RuntimeError` if pip-audit itself fails."""
    command = ("-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    words = (sys.executable, *command, "--requirement", str(file))
    result = subprocess.run(words, check=False, capture_output=True, text=True)  # it fails if it finds something
    try:
        return Audit.of(json.loads(result.stdout))
    except (json.JSONDecodeError, KeyError) as error:
        raise RuntimeError(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else str(error)) from error


def main() -> int:
    vulnerable = False
    for name in FILES:
        try:
            audit = audited(ROOT / name)
        except RuntimeError as error:
            print(f"{name}: not compared: {error}")
            continue
        for sentence in audit.vulnerable:
            print(f"{name}: {sentence}")
        vulnerable = vulnerable or bool(audit.vulnerable)
        known = "" if not audit.skipped else f"; no service knows the other {audit.skipped}"
        print(f"{name}: {audit.compared} packages compared{known}")
    return int(vulnerable)


def _sentence(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no release yet"
    return f"{package['name']} {package['version']} has {vulnerability['id']}, fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
