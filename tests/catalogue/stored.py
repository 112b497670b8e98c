"""Compares stored keys and fields with the catalogue."""

from __future__ import annotations

import re
from typing import Final

from slipway.redis.catalogue.declarations import KeyKind
from slipway.redis.catalogue.key_kinds import KEY_KINDS
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


def _pattern(template: str) -> re.Pattern[str]:
    """Ids of runs and threads have no colon; names of groups, duties and namespaces may have colons."""
    text = re.escape(template)
    if template.startswith((":run:", ":thread:", ":cp:")):
        text = text.replace("%s", "([^:]+)", 1)
    return re.compile(text.replace("%s", "(.+)"), re.DOTALL)


_PATTERNS: Final = [(kind, _pattern(kind.template)) for kind in KEY_KINDS.values() if kind.is_ours]


def kind_of(name: str) -> tuple[KeyKind | None, str]:
    """The kind of a key and the id in its name; (None, "") if the catalogue has no such kind. `name` is without the key
    prefix."""
    matches = [(kind, match) for kind, pattern in _PATTERNS if (match := pattern.fullmatch(name))]
    if not matches:
        return None, ""
    kind, match = min(matches, key=lambda pair: (len(pair[1].groups()), sum(map(len, pair[1].groups()))))
    return kind, match[1] if match.groups() else ""


async def undeclared(pipeline: Pipeline, keys: Keys) -> list[str]:
    """One sentence for each key under the prefix that has no declared kind or has another type, and for each field that
    is not declared."""
    problems = []
    for key in await pipeline.send("KEYS", f"{keys.prefix}:*", repeatable=True):
        kind, _ = kind_of(key.decode().removeprefix(keys.prefix))
        stored_type = (await pipeline.send("TYPE", key, repeatable=True)).decode()
        if kind is None:
            problems.append(f"{key.decode()}: no such kind of key")
        elif stored_type not in (kind.type, "none"):
            problems.append(f"{key.decode()}: is a {stored_type}")
        elif kind.fields:
            fields = [field.decode(errors="replace") for field in await pipeline.send("HKEYS", key, repeatable=True)]
            missing = [name for name in fields if not any(field.names(name) for field in kind.fields)]
            problems += [f"{kind.name}: no field {name!r}" for name in missing]
    return problems
