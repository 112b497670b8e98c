"""The lists of planted faults. Each fault breaks one promise and names the tests that notice it.

A list is a TOML file of this folder, one for each area of the code:

    [[fault]]
    name = "lease-reaped-early"            # unique over all lists
    promise = "A lease is not reaped before its end."
    file = "app/slipway/redis/lua/run_reap.lua"
    old = "…"                              # occurs exactly once in the file
    new = "…"
    tests = ["tests/runs/test_leases.py::test_a_run_is_not_reclaimed_before_its_lease_expires"]

A fault that no test can notice has `harmless` with the reason instead of `tests`.
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
        """From a table of the TOML file. Raises `ValueError`, which names the fault and the wrong member."""
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
            raise ValueError(f"{name}: either `tests` that notice it, or `harmless` with the reason why no test can")
        strings = {member: str(text) for member, text in texts.items()}
        return cls(**strings, new=new, tests=tuple(tests), harmless=harmless)

    def planted_in(self, source: str) -> str:
        """The source with the fault. Raises `ValueError` if `old` does not occur exactly once."""
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: `old` occurs {count} times in {self.file}, not once")
        if self.old == self.new:
            raise ValueError(f"{self.name}: `old` and `new` are the same")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class FaultList:
    """The faults of one TOML file; `about` is its first comment."""

    area: str
    about: str
    faults: tuple[Fault, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `ValueError`, which names the invalid fault."""
        text = path.read_text()
        about = " ".join(line.lstrip("# ") for line in text.split("\n\n")[0].splitlines())
        faults = tuple(Fault.read(table) for table in tomllib.loads(text).get("fault", []))
        return cls(path.stem, about, faults)


def fault_lists() -> list[FaultList]:
    """All lists, by the names of their areas."""
    return [FaultList.read(path) for path in sorted(HERE.glob("*.toml"))]


def to_plant(lists: Iterable[FaultList]) -> list[Fault]:
    """The faults that tests must notice."""
    return [fault for fault_list in lists for fault in fault_list.faults if not fault.harmless]
