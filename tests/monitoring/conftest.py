"""The programs of Debian's package `prometheus`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "docs" / "monitoring"


def program(name: str) -> str:
    """The path of `promtool` or `prometheus`. Where it is missing the test is skipped; in CI that is a failure."""
    found = shutil.which(name)
    if found is None:
        problem = f"{name} is missing: apt-get install prometheus"
        if os.environ.get("CI") and shutil.which("apt-get"):
            pytest.fail(problem)
        pytest.skip(problem)
    return found
