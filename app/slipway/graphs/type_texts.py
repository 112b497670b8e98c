"""Compares types by their texts (`describe`): whether every stored value of one is a value of the other."""

from __future__ import annotations

from typing import Final

_ANYTHING: Final = frozenset({"Any", "object"})
_OPENING, _CLOSING = "[{(", "]})"
_LITERAL: Final = "Literal["
_TYPED_DICT: Final = "dict{"


def accepts(new: str, old: str) -> bool:
    """Whether a value of the type `old` certainly is a value of the type `new`: the types are equal, `new` is wider
    (`int | None` instead of `int`), or a typed dict with fewer keys. False if the texts do not say so."""
    if new == old or new in _ANYTHING:
        return True
    new_parts, old_parts = _alternatives(new), _alternatives(old)
    if len(new_parts) > 1 or len(old_parts) > 1:
        return all(any(accepts(wider, each) for wider in new_parts) for each in old_parts)
    return _typed_dict_accepts(new, old) if new.startswith(_TYPED_DICT) else _generic_accepts(new, old)


def _generic_accepts(new: str, old: str) -> bool:
    """`list[A]` for `list[B]` and `dict[str, A]` for `dict[str, B]`, if A accepts B. A plain `list` accepts both."""
    new_name, new_arguments = _arguments(new)
    old_name, old_arguments = _arguments(old)
    if new_name != old_name or "{" in new_name:
        return False
    if not new_arguments:
        return True
    return len(new_arguments) == len(old_arguments) and all(map(accepts, new_arguments, old_arguments))


def _typed_dict_accepts(new: str, old: str) -> bool:
    if not old.startswith(_TYPED_DICT):
        return False
    old_fields = _fields(old)
    return all(name in old_fields and accepts(kind, old_fields[name]) for name, kind in _fields(new).items())


def _fields(text: str) -> dict[str, str]:
    members = (part.partition(": ") for part in split(text[len(_TYPED_DICT) : -1], ", "))
    return {name: kind for name, _, kind in members if name}


def _alternatives(text: str) -> list[str]:
    """The parts of a union; the options of a literal are parts too."""
    parts: list[str] = []
    for part in split(text, " | "):
        if part.startswith(_LITERAL) and part.endswith("]"):
            parts += [f"{_LITERAL}{option}]" for option in split(part[len(_LITERAL) : -1], ", ")]
        else:
            parts.append(part)
    return parts


def _arguments(text: str) -> tuple[str, list[str]]:
    name, bracket, rest = text.partition("[")
    return (name, split(rest[:-1], ", ")) if bracket and rest.endswith("]") and name != "Literal" else (text, [])


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that are not within brackets or quotes."""
    parts, depth, quote, start, at = list[str](), 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif depth == 0 and text.startswith(separator, at):
            parts.append(text[start:at])
            at += len(separator)
            start = at
            continue
        at += 1
    return [*parts, text[start:]]
