"""The list of tools of an MCP server as an operator has seen it: stored beside langgraph.json and pinned by its hash.

The model and the gateway use names, descriptions and schemas of this list only. What a server says now cannot change
them. The annotations of a server, such as `readOnlyHint`, are neither stored nor used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from slipway.canonical_json import canonical_json
from slipway.errors import ConfigError

FOLDER: Final = "mcp-tools"
"""The folder beside langgraph.json that has the lists."""


@dataclass(frozen=True, slots=True)
class PinnedTool:
    """One tool of a server."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PinnedList:
    """All tools of a server, by name."""

    tools: tuple[PinnedTool, ...]

    @classmethod
    def of(cls, tools: Sequence[PinnedTool]) -> PinnedList:
        return cls(tuple(sorted(tools, key=lambda each: each.name)))

    @property
    def hash(self) -> str:
        """Such as `sha256:0a1b…`. Equal lists have equal hashes, in whatever order the server names its tools."""
        text = canonical_json([asdict(tool) for tool in self.tools])
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def difference_to(self, other: PinnedList) -> str:
        """What is different in `other`, in words. Empty if the lists are equal."""
        before, after = ({tool.name: tool for tool in each.tools} for each in (self, other))
        parts = {
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        }
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts.items() if names)

    def write(self, folder: Path, server: str) -> Path:
        """Stores the list in the folder of langgraph.json. Returns the file."""
        file = _file(folder, server)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps([asdict(tool) for tool in self.tools], indent=2, sort_keys=True) + "\n")
        return file


def read_pinned(folder: Path, server: str, where: str, pinned: str | None) -> PinnedList:
    """The stored list of a server. `where` is file and line of its section. Raises `ConfigError` if there is none, or
    if its hash is not `pinned`."""
    file, pin = (
        _file(folder, server),
        f"run `slipway tools pin {server}`, read the list, and set the hash that it prints",
    )
    if pinned is None:
        raise ConfigError(f"{where}: slipway.mcp.{server}.pinned: is required: {pin}")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        found = PinnedList.of([PinnedTool(**each) for each in stored])
        actual = found.hash
    except FileNotFoundError:
        raise ConfigError(f"{where}: slipway.mcp.{server}: {file} is missing: {pin}") from None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: slipway.mcp.{server}: {file} cannot be read ({error}): {pin}") from None
    if actual != pinned:
        raise ConfigError(f"{where}: slipway.mcp.{server}.pinned: {file} has the hash {actual}: {pin}")
    return found


def _file(folder: Path, server: str) -> Path:
    return folder / FOLDER / f"{server}.json"
