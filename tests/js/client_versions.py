"""The versions of the JavaScript client that are tested, and their names in package.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

SDK: Final = "@langchain/langgraph-sdk"
"""The package that applications import."""


def _read_versions() -> dict[str, str]:
    dependencies = json.loads(Path(__file__).with_name("package.json").read_text())["devDependencies"]
    return {spec.rpartition("@")[2]: name for name, spec in dependencies.items() if name == SDK or SDK in spec}


VERSIONS: Final[dict[str, str]] = _read_versions()
"""Version -> package."""
