"""The lines of the JavaScript client that are tested: what they are called in package.json, by their version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

SDK: Final = "@langchain/langgraph-sdk"
"""The name that applications import."""


def _lines() -> dict[str, str]:
    wanted = json.loads(Path(__file__).with_name("package.json").read_text())["devDependencies"]
    return {spec.rpartition("@")[2]: name for name, spec in wanted.items() if name == SDK or SDK in spec}


LINES: Final[dict[str, str]] = _lines()
"""Version -> package."""
