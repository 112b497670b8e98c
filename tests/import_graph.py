"""Prints which package imports which, the highest layer first, for `slipway` and inside `slipway.api`: `make
import-graph`.

The exit code is 1 when an arrow points upwards, or when there is a cycle of modules. Arrows exclude only cycles between
packages, so the imports of all modules are checked as well."""

from __future__ import annotations

import sys

from tests.test_boundaries import (
    API_LAYERS,
    LAYERS,
    MODULES,
    Layers,
    import_cycle,
    internal_imports,
    layer_of,
    module_imports,
    name_of,
    part_of,
    points_upwards,
    tree_of,
)


def edges(layers: Layers, package: str) -> dict[str, set[str]]:
    """For each package or module directly below `package` (or `slipway_workers`): the ones that it imports."""
    imports: dict[str, set[str]] = {part: set() for layer in layers for part in layer}
    for importer, imported in internal_imports(package):
        parts = part_of(importer, package), part_of(imported, package)
        if parts[0] != parts[1] and all(part in imports for part in parts):
            imports[parts[0]].add(parts[1])
    return imports


def print_graph(layers: Layers, package: str) -> int:
    """Returns the number of arrows that point upwards."""
    imports, upward = edges(layers, package), 0

    def full(part: str) -> str:
        return part if part == "slipway_workers" else f"{package}.{part}"

    for layer in reversed(layers):
        for part in layer:
            lower = sorted(imports[part], key=lambda name: (-layer_of(full(name), layers, package), name))
            arrows = [
                ("↑ " if points_upwards(full(part), full(name), layers, package) else "") + name for name in lower
            ]
            upward += sum(arrow.startswith("↑") for arrow in arrows)
            print(f"{part:24} → {', '.join(arrows) or 'nothing'}")
    print(f"{package}: {sum(map(len, imports.values()))} arrows, {upward} point upwards\n")
    return upward


def print_cycle() -> int:
    """Returns the number of imports in the cycle that was found, or 0."""
    cycle = import_cycle(module_imports({name_of(path): tree_of(path) for path in MODULES}))
    print(f"{len(MODULES)} modules, {'a cycle: ' + ' → '.join(cycle) if cycle else 'no cycle'}")
    return len(cycle)


def main() -> int:
    """Returns the exit code."""
    return 1 if print_graph(LAYERS, "slipway") + print_graph(API_LAYERS, "slipway.api") + print_cycle() else 0


if __name__ == "__main__":
    sys.exit(main())
