"""The kept lists of planted faults: each breaks one promise, and names the tests that notice it.

A list is a TOML file of this folder, one for each area of the code:

    [[fault]]
    name = "lease-reaped-early"            # unique over all lists
    promise = "A lease is not reaped before its end."
    file = "app/slipway/redis/lua/run_reap.lua"
    old = "…"                              # occurs exactly once in the file
    new = "…"
    tests = ["tests/runs/test_leases.py::test_a_lease_lasts_to_its_end"]

A fault that nobody can ever notice has, instead of `tests`, `harmless` with the reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


@dataclass(frozen=True)
class Fault:
    """One place where the text `old` of `file` is replaced by `new`."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    harmless: str = ""

    @classmethod
    def read(cls, stored: dict[str, object]) -> Self:
        """From a table of the TOML file; `ValueError` names what is wrong with it."""
        name = stored.get("name", "a fault without a name")
        texts = {member: stored.get(member) for member in ("name", "promise", "file", "old")}
        if missing := [member for member, text in texts.items() if not isinstance(text, str) or not text]:
            raise ValueError(f"{name}: {', '.join(missing)} must be a text")
        if unknown := stored.keys() - cls.__dataclass_fields__.keys():
            raise ValueError(f"{name}: unknown {', '.join(sorted(unknown))}")
        tests, new, harmless = stored.get("tests", []), stored.get("new"), stored.get("harmless", "")
        if not isinstance(tests, list) or not isinstance(new, str) or not isinstance(harmless, str):
            raise ValueError(f"{name}: `tests` must be a list, `new` and `harmless` texts")
        if bool(tests) == bool(harmless):
            raise ValueError(f"{name}: either `tests` that notice it, or `harmless` with the reason why nobody can")
        strings = {member: str(text) for member, text in texts.items()}
        return cls(**strings, new=new, tests=tuple(tests), harmless=harmless)

    def planted_in(self, source: str) -> str:
        """The file's text with the fault; `ValueError` where it cannot be planted in exactly one place."""
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: `old` occurs {found} times in {self.file}, not once")
        if self.old == self.new:
            raise ValueError(f"{self.name}: `old` and `new` are the same")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class FaultList:
    """The faults of one TOML file; `about` is the comment that it begins with."""

    area: str
    about: str
    faults: tuple[Fault, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """`ValueError` names the fault that is written wrongly."""
        text = path.read_text()
        about = " ".join(line.lstrip("# ") for line in text.split("\n\n")[0].splitlines())
        faults = tuple(Fault.read(each) for each in tomllib.loads(text).get("fault", []))
        return cls(path.stem, about, faults)


def kept_lists() -> list[FaultList]:
    """All lists, in the order of their areas' names."""
    return [FaultList.read(path) for path in sorted(HERE.glob("*.toml"))]


def to_plant(lists: Iterable[FaultList]) -> list[Fault]:
    """Those that tests must notice."""
    return [fault for each in lists for fault in each.faults if not fault.harmless]
