"""What the commands that list records share: conditions in options, and tables of texts that others have written."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.clock import microseconds
from slipway.errors import ConfigError


def time_option_us(option: str, text: str | None) -> int | None:
    """The time that an option names in ISO 8601, in µs. Raises `ConfigError`."""
    try:
        return None if text is None else microseconds(text)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is not a time such as 2026-01-31T12:00:00Z") from None


def check_choices(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises `ConfigError` for a name that is not one of `known`."""
    for name in names:
        if name not in known:
            raise ConfigError(f"{option}: {name!r} is not one of {', '.join(known)}")


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines of aligned columns. The first row has their titles."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in shown)
    return "\n".join(line.rstrip() for line in lines)


def printable(text: str) -> str:
    """The text with escapes such as `\\x1b` for characters that a terminal would obey: those of a question or of a
    reason could otherwise forge lines, hide them, or change their direction."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
