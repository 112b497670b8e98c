"""The generated pages and tables: `make pages` writes them, tests/test_docs.py compares them with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slipway.access.handler_values.all_values import values_table
from slipway.deploy_checks.new_versions import DEPLOY_REASONS
from slipway.go_live.checklist import ACCEPT, CODES
from slipway.go_live.checklist import PARTS as CHECKED_PARTS
from slipway.graphs.verdicts import NOT_FOR_MIGRATIONS, REASON_CODES
from slipway.redis.catalogue.at_rest import PARTS as PARTS_OF_VALUES
from slipway.redis.catalogue.at_rest import how_stored
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.settings import settings_table
from slipway.thread_moves.reasons import MOVE_REASONS
from tests.attacks import table as attacks
from tests.catalogue import page as keys
from tests.metrics.page import metrics_table
from tests.monitoring import dashboard
from tests.mutants import page as faults
from tests.telemetry.page import page as telemetry_page

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
PACKAGES: Final = ("app/slipway", "app/slipway/*", "workers/slipway_workers", "workers/slipway_workers/*")


def folders_table() -> str:
    """The content of each package: the first line of its docstring."""
    folders = sorted(path.parent for pattern in PACKAGES for path in ROOT.glob(f"{pattern}/__init__.py"))
    rows = [f"| `{folder.relative_to(ROOT)}/` | {_first_line(folder / '__init__.py')} |" for folder in folders]
    return "\n".join(["| folder | holds |", "|---|---|", *rows, ""])


def _first_line(module: Path) -> str:
    return (ast.get_docstring(ast.parse(module.read_text())) or "").partition("\n")[0]


def reasons_table() -> str:
    """Why threads are held, by code."""
    rows = [
        f"| `{code}` | {text} | {'no' if code in NOT_FOR_MIGRATIONS else 'yes'} |"
        for code, text in REASON_CODES.items()
    ]
    return "\n".join(["| code | meaning | migration |", "|---|---|---|", *rows, ""])


def other_reasons_table() -> str:
    """Why moves and deploy checks hold threads, by code."""
    rows = [f"| `{code}` | {text} |" for code, text in {**MOVE_REASONS, **DEPLOY_REASONS}.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows, ""])


def encryption_table() -> str:
    """How each field is stored with an encryption key."""
    rows: dict[tuple[str, str], list[str]] = {}
    for kind in KEY_KINDS.values():
        for name in [field.name for field in kind.fields] or ["*"]:
            if stored := how_stored(kind.name, name):
                rows.setdefault((kind.name, stored), []).append(f"`{name}`")
    lines = []
    for (name, stored), names in rows.items():
        inside = PARTS_OF_VALUES.get(name, "") if stored == "encrypted" else ""
        lines.append(f"| `{name}` | {', '.join(names)} | {stored} | {inside} |")
    return "\n".join(["| kind | fields | stored | plain inside |", "|---|---|---|---|", *lines, ""])


def checklist_table() -> str:
    """The lines of `slipway doctor`, by part."""
    rows = [
        f"| `{part.name}` | `{code}` | {about} |" for part in CHECKED_PARTS for code, about in part.codes.items()
    ]
    rows.append(f"| | `{ACCEPT}` | {CODES[ACCEPT]} |")
    return "\n".join(["| part | code | what the line says |", "|---|---|---|", *rows, ""])


PARTS: Final[tuple[tuple[Path, str, Callable[[], str]], ...]] = (
    (DOCS / "settings.md", "settings", settings_table),
    (DOCS / "auth-and-http.md", "values", values_table),
    (DOCS / "versions.md", "reasons", reasons_table),
    (DOCS / "versions.md", "other reasons", other_reasons_table),
    (DOCS / "go-live.md", "checklist", checklist_table),
    (DOCS / "encryption.md", "encryption", encryption_table),
    (DOCS / "metrics.md", "metrics", metrics_table),
    (ROOT / "ARCHITECTURE.md", "folders", folders_table),
)
"""Generated parts of pages, between two comments with the name of the part."""

WHOLE: Final[tuple[tuple[Path, Callable[[], str]], ...]] = (
    (DOCS / "attacks.md", attacks.page),
    (DOCS / "monitoring/grafana-dashboard.json", dashboard.page),
    (DOCS / "keys.md", keys.page),
    (DOCS / "planted-faults.md", faults.page),
    (DOCS / "telemetry.md", telemetry_page),
)


def with_part(page: Path, name: str, text: str) -> str:
    """The text of a page with `text` as its part `name`."""
    part = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    result, count = part.subn(lambda match: match[1] + text + match[2], page.read_text())
    assert count == 1, f"{page.name} has no part {name}"
    return result


def main() -> None:
    for page, name, text in PARTS:
        page.write_text(with_part(page, name, text()))
    for page, text in WHOLE:
        page.write_text(text())


if __name__ == "__main__":
    main()
