"""The lines of scripts fit on a screen, as those of Python do, which ruff checks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
LONGEST: Final = 120


def test_no_line_of_a_script_is_too_long() -> None:
    """A directive is a single line, however many libraries it names."""
    files = [path for folder in ("app", "tests") for path in (ROOT / folder).rglob("*.lua")]
    too_long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > LONGEST and not line.startswith("--!")
    ]
    assert files
    assert too_long == []
