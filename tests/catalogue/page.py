"""Generates docs/keys.md: the catalogue, with the scripts and packages that use each key and field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType
from slipway.redis.catalogue.key_kinds import KINDS_BY_SECTION
from tests.catalogue.lua_use import UNNAMED, Use
from tests.catalogue.scripts import uses

PAGE: Final = Path(__file__).parents[2] / "docs" / "keys.md"

_HEAD: Final = """# Keys and fields

Everything that Slipway stores in Redis. `python -m tests.catalogue` generates this page from the declarations in
`app/slipway/redis/catalogue/` and the source of the scripts in `app/slipway/redis/lua/`. Tests check that the page is
current, and compare the catalogue with the scripts, with the Python code and with the data of a running deployment.

`<p>` is the setting `SLIPWAY_KEY_PREFIX`, `<d>` is `SLIPWAY_LANGGRAPH_REDIS_PREFIX`. Ids are UUIDs as text. Times are
on the clock of Redis. A **script** is a file of `app/slipway/redis/lua/`; the keys and fields that its libraries use
count as used by the script. A **package** (`slipway.runs`) sends commands of its own, or decodes a record. Keys of one
**shard** live together in one slot of a cluster. A channel belongs to no shard: a cluster sends what is published to
all of its nodes.
"""

_IDS: Final = {
    "run": ("run",),
    "events": ("run",),
    "run_notifications": ("run",),
    "runs_with": ("term",),
    "checkpoint_threads": ("run",),
    "idempotency": ("digest",),
    "graph_assistants": ("graph",),
    "parked_queue": ("group",),
    "duty": ("duty",),
    "control": ("worker",),
    "worker_health": ("host",),
    "probe": ("process",),
    "assistant": ("assistant",),
    "cron": ("cron",),
    "delivery": ("delivery",),
    "delivery_tries": ("delivery",),
    "deliveries_with": ("value",),
    "delivery_calls": ("target",),
    "target": ("target",),
    "target_calls": ("target",),
    "target_waiting": ("target",),
    "delivery_looks": ("queues",),
    "parked_deliveries": ("target",),
    "webhook_origin": ("origin",),
    "webhook_endpoint": ("endpoint",),
    "group_runs": ("group",),
    "store_items": ("namespace",),
    "store_order": ("namespace",),
    "store_vectors": ("namespace",),
    "checkpoint_writes": ("thread", "checkpoint"),
}
"""The ids in the template of a key kind. A kind that is not in this table has the id of a thread."""

_Users = Mapping[tuple[str, str | None, bool], set[str]]


def page() -> str:
    """The text of docs/keys.md."""
    users = _users(uses())
    parts = [_HEAD]
    for heading, kinds in KINDS_BY_SECTION.items():
        parts.append(f"\n## {heading}\n")
        parts.append(_table(("key", "type", "shard", "exists", "holds"), map(_key_row, kinds)))
        for kind in kinds:
            parts.append(f"\n### {_name(kind)}\n\n{_use_sentence(kind, users)}\n")
            if kind.fields:
                header = ("field", "stored as", "meaning", "absent when", "written by", "read by")
                parts.append("\n" + _table(header, (_field_row(kind, field, users) for field in kind.fields)))
    return "".join(parts)


def _users(all_uses: Iterable[Use]) -> _Users:
    users: dict[tuple[str, str | None, bool], set[str]] = defaultdict(set)
    for use in all_uses:
        users[use.kind, use.field, use.writes].add(use.script)
    return users


def _name(kind: KeyKind) -> str:
    if not kind.is_ours:
        return f"`{kind.template}`"
    ids = tuple(f"<{name}>" for name in _IDS.get(kind.name, ("thread",)))
    return f"`<p>{kind.template % ids if '%s' in kind.template else kind.template}`"


def _key_row(kind: KeyKind) -> tuple[str, ...]:
    return _name(kind), kind.type, kind.shard or "", kind.lifetime, kind.meaning


def _use_sentence(kind: KeyKind, users: _Users) -> str:
    written = _joined(users[kind.name, None, True], kind.python_writers)
    read = _joined(users[kind.name, None, False], kind.python_readers)
    verbs = ("Published", "received") if kind.type is RedisType.CHANNEL else ("Written", "read")
    return f"`{kind.name}`. {verbs[0]} by {written or 'no code'}; {verbs[1]} by {read or 'no code'}."


def _field_row(kind: KeyKind, field: Field, users: _Users) -> tuple[str, ...]:
    written = _scripts_using(kind, field, users, writes=True)
    read = _scripts_using(kind, field, users, writes=False)
    encoding = field.encoding + (f", {field.unit}" if field.unit else "")
    return (
        f"`{field.name}`",
        "1 or absent" if field.encoding is Encoding.FLAG else encoding,
        field.meaning,
        field.absent,
        _joined(written, field.python_writers),
        _joined(read, () if field.scripts_only else kind.python_readers),
    )


def _scripts_using(kind: KeyKind, field: Field, users: _Users, *, writes: bool) -> set[str]:
    """The scripts that name a field in their source. A script that receives the name from Python is not included:
    the page lists the Python package instead."""
    return {
        script
        for (name, used, writing), scripts in users.items()
        if name == kind.name and writing == writes and used is not None and _declares(field, used)
        for script in scripts
    }


def _declares(field: Field, used: str) -> bool:
    return used == field.name if UNNAMED in (used, field.name) else field.names(used)


def _joined(scripts: Iterable[str], packages: Iterable[str]) -> str:
    return ", ".join([*sorted(scripts), *(f"`{package}`" for package in packages)])


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|") if text else ""
