"""The versions of installed packages, and of Slipway itself in a checkout."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

UNKNOWN: Final = "0.0.0"


@cache
def version_of(package: str) -> str:
    """The version of a package, or `0.0.0` if it is not installed. The version of Slipway is also read from a
    checkout. A process reads it once: this parses the metadata of the package, which takes 0.4 ms, and a package that
    is installed later is not the one that it has imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return _version_of_the_checkout() if package == "slipway" else UNKNOWN


def _version_of_the_checkout() -> str:
    file = Path(__file__).parents[2] / "pyproject.toml"
    return str(tomllib.loads(file.read_text("utf-8"))["project"]["version"]) if file.is_file() else UNKNOWN
