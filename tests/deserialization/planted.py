"""What attackers want to be executed: a module whose import, functions and classes leave a mark on disk."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import ormsgpack

MODULE: Final = "slipway_planted_module"

_SOURCE = """
from pathlib import Path

MARK = Path({mark!r})
MARK.touch()


def explode(*args, **kwargs):
    MARK.touch()


class Planted:
    def __new__(cls, *args, **kwargs):
        MARK.touch()
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        MARK.touch()

    def __setstate__(self, state):
        MARK.touch()

    @classmethod
    def build(cls, *args, **kwargs):
        MARK.touch()
        return cls()
"""


@contextmanager
def planted(folder: Path) -> Iterator[None]:
    """Inside the block the module can be imported. At its end it must not have been."""
    mark, module = folder / "executed", folder / f"{MODULE}.py"
    module.write_text(_SOURCE.format(mark=str(mark)))
    sys.path.insert(0, str(folder))
    try:
        yield
        assert MODULE not in sys.modules, "the module was imported"
        assert not mark.exists(), "its code was executed"
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(MODULE, None)


def constructors() -> list[Any]:
    """JSON that looks like a serialized constructor, by the rules of LangChain and of LangGraph."""
    return [
        {"lc": 2, "type": "constructor", "id": [MODULE, "explode"], "args": ["x"], "kwargs": {"a": 1}},
        {"lc": 2, "type": "constructor", "id": [MODULE, "Planted"], "method": "build", "kwargs": {}},
        {"lc": 2, "type": "constructor", "id": [MODULE, "Planted"], "method": [None, "build"], "args": [[]]},
        {"lc": 1, "type": "constructor", "id": [MODULE, "Planted"], "kwargs": {"x": 1}},
        {"lc": 1, "type": "constructor", "id": ["langchain", MODULE, "Planted"], "kwargs": {}},
        {"lc": 1, "type": "secret", "id": ["PATH"]},
        {"lc": 2, "type": "constructor", "id": ["builtins", "eval"], "args": [f"__import__({MODULE!r})"]},
        {"lc": 2, "type": "constructor", "id": ["importlib", "import_module"], "args": [MODULE]},
        {"__type__": f"{MODULE}.Planted", "__class__": "Planted", "py/object": f"{MODULE}.Planted"},
    ]


def extensions() -> list[bytes]:
    """MessagePack with extension types that name a callable: those of LangGraph, those of Slipway, and all others."""
    names: list[Any] = [
        (MODULE, "explode", "x"),
        (MODULE, "Planted", ["x"]),
        (MODULE, "Planted", {"x": 1}),
        (MODULE, "Planted", {"x": 1}, "build"),
        (MODULE, "Planted", {"x": 1}, "model_validate_json"),
        ([MODULE, "Planted"], {"x": 1}),
        (f"{MODULE}:Planted", {"x": 1}),
        (f"{MODULE}.Planted", {"x": 1}),
        ("builtins", "eval", f"__import__({MODULE!r})"),
        ("importlib", "import_module", MODULE),
    ]
    return [ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(name))) for code in range(128) for name in names]


class _Reduced:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return __import__, (MODULE,)


def pickles() -> list[bytes]:
    """Pickles that import the module when they are loaded, in each protocol."""
    return [pickle.dumps(_Reduced(), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


def hostile_bytes() -> list[bytes]:
    """All of them as stored values."""
    texts = [orjson.dumps(each) for each in constructors()]
    return [*texts, *map(ormsgpack.packb, constructors()), *extensions(), *pickles()]
