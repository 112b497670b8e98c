"""Compares types by their texts (`describe`): whether every stored value of one is a value of the other."""

from __future__ import annotations

from typing import Final, NamedTuple

_ANYTHING: Final = frozenset({"Any", "object"})
_OPENING, _CLOSING = "[{(", "]})"
_LITERAL: Final = "Literal["
_TYPED_DICT: Final = "dict"


class _Field(NamedTuple):
    kind: str
    is_optional: bool


def accepts(new: str, old: str) -> bool:
    """Whether a value of the type `old` certainly is a value of the type `new`: the types are equal, `new` is wider
    (`int | None` instead of `int`), the class has new fields that may be missing, the enum has new members, or the
    typed dict has fewer keys. False if the texts do not say so."""
    if new == old or new in _ANYTHING:
        return True
    new_parts, old_parts = _alternatives(new), _alternatives(old)
    if len(new_parts) > 1 or len(old_parts) > 1:
        return all(any(accepts(wider, each) for wider in new_parts) for each in old_parts)
    return _record_accepts(new, old) if _is_record(new) else _generic_accepts(new, old)


def _generic_accepts(new: str, old: str) -> bool:
    """`list[A]` for `list[B]` and `dict[str, A]` for `dict[str, B]`, if A accepts B. A plain `list` accepts both."""
    new_name, new_arguments = _arguments(new)
    old_name, old_arguments = _arguments(old)
    if new_name != old_name or _is_record(new):
        return False
    if not new_arguments:
        return True
    return len(new_arguments) == len(old_arguments) and all(map(accepts, new_arguments, old_arguments))


def _is_record(text: str) -> bool:
    """Whether it is the text of a typed dict, or of a class or an enum of the project."""
    return text.endswith("}") and "[" not in text.partition("{")[0]


def _record_accepts(new: str, old: str) -> bool:
    """A class must keep all its fields, or else their values would be lost. An enum must keep its members, whose kind
    is empty. Nobody misses a key of a typed dict that is not declared any more."""
    new_name, new_fields = _fields(new)
    old_name, old_fields = _fields(old)
    if new_name != old_name or (new_name != _TYPED_DICT and not old_fields.keys() <= new_fields.keys()):
        return False
    return all(_field_accepts(field, old_fields.get(name)) for name, field in new_fields.items())


def _field_accepts(new: _Field, old: _Field | None) -> bool:
    if old is None:
        return new.is_optional
    return accepts(new.kind, old.kind) and (new.is_optional or not old.is_optional)


def _fields(text: str) -> tuple[str, dict[str, _Field]]:
    """The name of a record and its fields, or the members of an enum, by name."""
    record, _, rest = text.partition("{")
    fields: dict[str, _Field] = {}
    for part in filter(None, split(rest[:-1], ", ")):
        name, colon, kind = part.partition(": ")
        fields[name.removesuffix("?")] = _Field(kind, is_optional=name.endswith("?") or not colon)
    return record, fields


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
