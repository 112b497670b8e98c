"""Short texts about records, for lists and headings."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from slipway.api.ui.rendering import readable_name
from slipway.run_options import RunOptions

LONGEST: Final = 90
"""The characters of a summary."""


def input_summary(options: RunOptions) -> str:
    """A short text about the input of a run."""
    command, run_input = options.command, options.input
    if command:
        text = f"Answer: {first_text(command['resume'])}" if "resume" in command else "Command"
    elif isinstance(run_input, dict):
        text = " · ".join(_short_text(name, each) for name, each in list(run_input.items())[:3] if first_text(each))
    else:
        text = "Continues the thread" if run_input is None else first_text(run_input)
    return shortened(text)


def shortened(text: str) -> str:
    """The text, cut to `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _short_text(name: str, value: Any) -> str:
    return first_text(value) if isinstance(value, str | list) else f"{readable_name(name)} {first_text(value)}"


def first_text(value: Any, depth: int = 0) -> str:
    """The first text in a JSON value, in one line."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict | list) and depth < 4:
        inner = value.get("content", list(value.values())) if isinstance(value, dict) else value[-1:] or value
        parts = inner if isinstance(inner, list) else [inner]
        return next((text for each in parts if (text := first_text(each, depth + 1))), "")
    return "" if value is None or isinstance(value, dict | list) else str(value)


def duration(now: datetime, since: str) -> str:
    """How long ago a time was, such as `3 min`. `since` is in ISO 8601."""
    seconds = max(int((now - datetime.fromisoformat(since)).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
