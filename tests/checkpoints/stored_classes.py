"""Classes of the values in `recorded_values.json`, which an earlier release stored."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, PrivateAttr, RootModel


class Shade(enum.Enum):
    DARK = "dark"
    PAIR = ("a", 1)


class Grade(enum.IntEnum):
    HIGH = 3


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Spot(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Part:
    tags: set[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    part: Part
    computed: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass
class Checked:
    amount: int
    doubled: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.doubled = 2 * self.amount


class Page(BaseModel):
    name: str = Field(alias="pageName")
    anything: Any = None


class Secretive(BaseModel):
    name: str
    _private: int = PrivateAttr(default=5)


class Open(BaseModel, extra="allow"):
    name: str


class Names(RootModel[list[str]]):
    pass


def values() -> dict[str, Any]:
    """One value of each sort, by name."""
    return {
        "enum": Shade.DARK,
        "enum of a tuple": Shade.PAIR,
        "int enum": Grade.HIGH,
        "flag": Rights.READ,
        "named tuple": Spot(1, 2),
        "dataclass": Part({"a"}),
        "frozen dataclass with slots": Whole(Part({"b"})),
        "dataclass with __post_init__": Checked(4),
        "model": Page(pageName="one", anything=[Spot(3), {"deep": Page(pageName="two")}]),
        "model with private attributes": Secretive(name="s"),
        "model with extra fields": Open(name="o", more={"a": (1,)}),  # type: ignore[call-arg]
        "root model": Names(["a", "b"]),
    }
