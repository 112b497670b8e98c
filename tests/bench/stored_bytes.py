"""What one run leaves in Redis, by key and field: a run of the example `research_assistant`, whose final state has 59
KB of JSON, and a small run, each on a new thread.

`python -m tests.bench.stored_bytes [OTHER]` prints the table; with OTHER, the directory of another checkout with an
environment in `.venv`, beside what that one leaves.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from tests.bench.client import connections, new_thread, run_of
from tests.bench.figures import Figure
from tests.bench.setup import CONFIG, Bench, serving

ROOT: Final = Path(__file__).parent.parent.parent
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|(?<=:with:)[\w-]{20}|(?<=0)[0-9a-f]{15}")
_SHOWN_BYTES: Final = 200
"""The smallest field that has a line of its own."""

Sizes = Counter[str]
"""Bytes by key, and by field as `key  field`."""


async def measure(bench: Bench) -> list[Figure]:
    """Bytes by `MEMORY USAGE`, with the keys that are created once."""
    bench.own()
    large, small = await left_by_runs()
    return [
        Figure("Redis bytes left by a research run", _total(large) / 1024, "KiB", goal=60),
        Figure("Redis bytes left by a small run", _total(small) / 1024, "KiB", goal=6),
    ]


async def left_by_runs(python: str | None = None) -> tuple[Sizes, Sizes]:
    """The bytes that the two runs leave."""
    python = python or sys.executable
    library = {"SLIPWAY_LIBRARY_DIR": str(ROOT / "examples" / "library")}
    async with serving(None, quick=True, env=library, config=ROOT / "langgraph.json", python=python) as bench:
        request = run_of("research_assistant", {"question": "Summarize the policy changes"})
        large = await _left_by(bench, request)
    async with serving(None, quick=True, config=CONFIG, python=python) as bench:
        return large, await _left_by(bench, run_of("small", {"text": "hello"}))


async def _left_by(bench: Bench, request: dict[str, object]) -> Sizes:
    redis = bench.own_redis()
    before = set(await redis.send("KEYS", "*", repeatable=True))
    async with connections(bench.url, 1) as (client,):
        await client.post(f"{new_thread()}/runs/wait", request)
    sizes: Sizes = Counter()
    for key in sorted(set(await redis.send("KEYS", "*", repeatable=True)) - before):
        name = _ID.sub("…", key.decode().replace("\0", " "))
        sizes[name] += await redis.send("MEMORY", "USAGE", key, "SAMPLES", 0, repeatable=True)
        if await redis.send("TYPE", key, repeatable=True) == b"hash":
            flat = await redis.send("HGETALL", key, repeatable=True)
            fields = zip(flat[::2], flat[1::2], strict=True)
        else:
            fields = _entries(await _stream(bench, key))
        for field, value in fields:
            sizes[f"{name}  {_ID.sub('…', field.decode().replace(chr(0), ' '))}"] += len(value)
    return sizes


async def _stream(bench: Bench, key: bytes) -> Sequence[tuple[bytes, Sequence[bytes]]]:
    redis = bench.own_redis()
    if await redis.send("TYPE", key, repeatable=True) != b"stream":
        return []
    entries: Sequence[tuple[bytes, Sequence[bytes]]] = await redis.send("XRANGE", key, "-", "+", repeatable=True)
    return entries


def _entries(entries: Sequence[tuple[bytes, Sequence[bytes]]]) -> zip[tuple[bytes, bytes]]:
    """The frames and results by the names of their events."""
    names, values = [], []
    for _, flat in entries:
        stored = dict(zip(flat[::2], flat[1::2], strict=True))
        for field in stored.keys() - {b"n"}:
            names.append(stored[b"n"] + b" " + field)
            values.append(stored[field])
    return zip(names, values, strict=True)


def _total(sizes: Sizes) -> int:
    return sum(size for name, size in sizes.items() if "  " not in name)


def lines(title: str, now: Sizes, before: Sizes | None) -> list[str]:
    """The table of one run: keys with all their bytes, and below each the bytes of its large fields."""
    shown = [
        name
        for name in sorted(now.keys() | (before or {}).keys())
        if "  " not in name or max(now[name], (before or now)[name]) >= _SHOWN_BYTES
    ]
    columns = [now] if before is None else [before, now]
    width = max(map(len, shown))
    rows = [f"    {name.replace('  ', '    '):{width + 2}}" + _cells(columns, name) for name in shown]
    total = f"    {'all keys':{width + 2}}" + "".join(f"{_total(sizes):9d}" for sizes in columns)
    return [f"{title}, bytes{' before and now' if before is not None else ''}:", *rows, total]


def _cells(columns: Sequence[Sizes], name: str) -> str:
    return "".join(f"{sizes[name]:9d}" for sizes in columns)


async def _print(other: Path | None) -> None:
    now = await left_by_runs()
    before = None if other is None else await left_by_runs(str(other / ".venv" / "bin" / "python"))
    for number, title in enumerate(("a research run", "a small run")):
        print("\n".join(lines(title, now[number], before[number] if before else None)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stored_bytes", description=__doc__)
    parser.add_argument("other", nargs="?", type=Path, help="the directory of another checkout")
    uvloop.run(_print(parser.parse_args().other))


if __name__ == "__main__":
    main()
