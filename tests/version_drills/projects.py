"""Projects that serve one or both releases of the graphs, with declared versions."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from slipway.graphs.served_version import Moves

RELEASES: Final = Path(__file__).parent
MIGRATED: Final = "desk"
"""The graph that has a migration."""


def project(
    folder: Path, graphs: Sequence[str], releases: Sequence[str], moves: Moves, default: str | None = None
) -> Path:
    """Writes a langgraph.json into the folder. The default is the newest of the releases, unless one is named."""
    sources = {release: os.path.relpath(RELEASES / f"release_{release}" / "graphs.py", folder) for release in releases}
    sections: dict[str, Any] = {}
    for graph in graphs:
        versions = {release: f"{source}:{graph}" for release, source in sources.items()}
        sections[graph] = {"versions": versions, "default": default or releases[-1], "moves": moves}
        if graph == MIGRATED and len(releases) > 1:
            sections[graph]["migrations"] = os.path.relpath(RELEASES / "release_2" / "migrations.py", folder)
    source = sources[default or releases[-1]]
    content = {
        "dependencies": ["."],
        "graphs": {graph: f"{source}:{graph}" for graph in graphs},
        "slipway": {"graphs": sections},
    }
    config = folder / f"serves-{'-'.join(releases)}-{moves}.json"
    config.write_text(json.dumps(content))
    return config
