"""Prints which package imports which, the highest layer first: `make import-graph`.

The exit code is 1 when an arrow points upwards. When every arrow points to a lower layer, there is no cycle."""

from __future__ import annotations

import sys

from tests.test_boundaries import LAYERS, MODULES, imports, layer_of, name_of, part_of, points_upwards, tree_of


def edges() -> dict[str, set[str]]:
    """Package or module right below `slipway` (or `slipway_workers`) → those that it imports."""
    names = {name_of(path) for path in MODULES}
    found: dict[str, set[str]] = {part: set() for layer in LAYERS for part in layer}
    for path in MODULES:
        importer = name_of(path)
        if part_of(importer):
            imported = {name for name in imports(tree_of(path)) if name in names and part_of(name)}
            found[part_of(importer)] |= {part_of(name) for name in imported} - {part_of(importer)}
    return found


def main() -> int:
    """Returns the exit code."""
    found, upward = edges(), 0
    for layer in reversed(LAYERS):
        for part in layer:
            lower = sorted(found[part], key=lambda name: (-layer_of(_full(name)), name))
            arrows = [("↑ " if points_upwards(_full(part), _full(name)) else "") + name for name in lower]
            upward += sum(arrow.startswith("↑") for arrow in arrows)
            print(f"{part:24} → {', '.join(arrows) or 'nothing'}")
    print(f"{sum(map(len, found.values()))} arrows, {upward} point upwards")
    return 1 if upward else 0


def _full(part: str) -> str:
    return part if part == "slipway_workers" else f"slipway.{part}"


if __name__ == "__main__":
    sys.exit(main())
