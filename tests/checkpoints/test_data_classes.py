"""Objects of classes that no state schema names: they are restored with their class, and their code does not run."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import sys
import threading
import types
import warnings
from collections import deque, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration
from langgraph.store.base import SearchItem
from langgraph.types import Command, Interrupt, Send
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from structlog.testing import capture_logs

from slipway.errors import StateRefused, StoredDataError
from slipway.serialization import class_allowlist
from slipway.serialization.class_allowlist import ALWAYS, ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde, UnknownObject

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydantic warns on Python 3.14 that it does not support this
    from pydantic import v1

T = TypeVar("T")
executed: list[str] = []
"""The names of methods of the classes below that have run."""


def serde(**options: Any) -> Serde:
    """A serializer that restores data classes of every module that this process has imported."""
    return Serde(ClassAllowlist(modules=imported_module), **options)


def restore(value: Any) -> Any:
    """The value, stored by one serializer and restored by another."""
    stored = serde().dumps(value)
    executed.clear()
    return serde().loads(stored)


class Shade(enum.Enum):
    DARK = "dark"
    PAIR = ("a", 1)
    LIST = ["x"]  # noqa: RUF012
    ALIAS = "dark"


class Size(enum.IntEnum):
    BIG = 3


class Word(enum.StrEnum):
    YES = "yes"


class Planet(enum.Enum):
    EARTH = (5.97, 6.37)

    def __init__(self, mass: float, radius: float) -> None:
        self.mass, self.radius = mass, radius


class Coded(bytes, enum.Enum):
    ONE = (1, "first")

    def __new__(cls, code: int, text: str) -> Coded:
        made = bytes.__new__(cls, [code])
        made._value_ = code
        made.text = text
        return made

    text: str


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    LOW = 1
    HIGH = 8


class Trapped(enum.Enum):
    REAL = 1

    @classmethod
    def _missing_(cls, value: object) -> Trapped:
        executed.append("_missing_")
        return cls.REAL


class Spot(NamedTuple):
    x: int
    y: int = 0


Old = namedtuple("Old", ["a", "b"])


class Careful(Spot):
    __slots__ = ()

    def __new__(cls, x: int, y: int = 0) -> Careful:
        executed.append("__new__")
        return super().__new__(cls, x, y)


@dataclasses.dataclass
class Plain:
    number: int
    inside: Any = None
    tags: list[str] = dataclasses.field(default_factory=list)
    kind: ClassVar[str] = "plain"

    @dataclasses.dataclass(frozen=True)
    class Nested:
        name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tight:
    name: str
    length: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass
class TightBase:
    __slots__ = ("first",)
    first: int


@dataclasses.dataclass
class Mixed(TightBase):
    second: int = 2


class Descriptor:
    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, holder: Any, owner: type) -> Any:
        return getattr(holder, self.name, 7) if holder is not None else 7

    def __set__(self, holder: Any, value: Any) -> None:
        executed.append("__set__")
        setattr(holder, self.name, value)


@dataclasses.dataclass
class Described:
    measured: Any = Descriptor()
    other: int = 1


@dataclasses.dataclass
class Busy:
    """A dataclass with code in every method that creates or restores an object."""

    amount: int
    start: dataclasses.InitVar[int] = 1
    total: int = dataclasses.field(init=False)

    def __new__(cls, *args: Any, **kwargs: Any) -> Busy:
        executed.append("__new__")
        return super().__new__(cls)

    def __post_init__(self, start: int) -> None:
        executed.append("__post_init__")
        self.total = self.amount + start
        self.beside = {"made": "in __post_init__"}
        self.lock = threading.Lock()

    def __setattr__(self, name: str, value: Any) -> None:
        executed.append("__setattr__")
        super().__setattr__(name, value)

    def __setstate__(self, state: Any) -> None:
        executed.append("__setstate__")

    @functools.cached_property
    def costly(self) -> object:
        return object()


@pydantic_dataclass
class Validated:
    number: int
    when: dt.date


class Leaf(BaseModel):
    moment: dt.datetime
    spot: Spot | None = None


class Tree(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(alias="treeName")
    leaves: list[Leaf] = []
    anything: Any = None
    _private: Any = PrivateAttr(default=5)


class BusyModel(BaseModel):
    """A model with code in every method that creates, restores or dumps an object."""

    amount: int
    _held: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _made: list[int] = PrivateAttr(default_factory=lambda: [len(executed)])

    def __init__(self, **fields: Any) -> None:
        executed.append("__init__")
        super().__init__(**fields)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        executed.append("__new__")
        return super().__new__(cls)

    def model_post_init(self, context: Any) -> None:
        executed.append("model_post_init")
        self._held = {"from": "model_post_init"}

    def __setattr__(self, name: str, value: Any) -> None:
        executed.append("__setattr__")
        super().__setattr__(name, value)

    @field_validator("amount")
    @classmethod
    def _amount(cls, amount: int) -> int:
        executed.append("field_validator")
        return amount

    @model_validator(mode="before")
    @classmethod
    def _before(cls, fields: Any) -> Any:
        executed.append("model_validator")
        return fields

    @model_serializer(mode="wrap")
    def _dump(self, handler: Any) -> Any:
        executed.append("model_serializer")
        return handler(self)

    @field_serializer("amount")
    def _dump_amount(self, amount: int) -> str:
        executed.append("field_serializer")
        return str(amount)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        executed.append("computed_field")
        return 2 * self.amount


class Box(BaseModel, Generic[T]):
    content: T


class Names(RootModel[list[str]]):
    pass


class Hidden(SecretStr):
    pass


class V1(v1.BaseModel):
    class Config:
        extra = "allow"

    name: str
    more: Any = 1
    _private: int = v1.PrivateAttr(default=3)


NOW = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)
VALUES: list[Any] = [
    *Shade,
    Size.BIG,
    Word.YES,
    Planet.EARTH,
    Coded.ONE,
    Rights.READ,
    Rights.READ | Rights.WRITE,
    Bits.HIGH | Bits.LOW | Bits(64),
    Trapped.REAL,
    HTTPStatus.NOT_FOUND,
    Spot(1),
    Old(1, [2]),
    Careful(3),
    Plain(1, inside={"deep": [Plain(2), {"er": (Leaf(moment=NOW, spot=Spot(1)),)}]}, tags=["a"]),
    Plain.Nested("n"),
    Tight(name="t"),
    Mixed(1, 3),
    Described(8),
    Validated(1, NOW.date()),
    Leaf(moment=NOW),
    Tree(treeName="oak", leaves=[Leaf(moment=NOW)], anything={Decimal(1), Spot(2)}, **{"height": Decimal("1.5")}),
    Box(content=1),
    Box[int](content=1),
    Box[Leaf](content=Leaf(moment=NOW)),
    Names(["a"]),
    V1.parse_obj({"name": "v", "more": Spot(1), "beyond": {"x": (1,)}}),
    ChatGeneration(message=AIMessage("x", id="1")),
    frozenset({Plain.Nested("n"), Spot(1)}),
    {Shade.DARK, Size.BIG},
    deque([Spot(1)], maxlen=2),
    [Path("a"), 1j, b"\0"],
    SearchItem(namespace=("a",), key="k", value={"v": 1}, created_at=NOW, updated_at=NOW, score=0.5),
    AIMessage("x", id="1", additional_kwargs={"parsed": Leaf(moment=NOW), "spot": Spot(1)}),
    ToolMessage("t", tool_call_id="c", artifact=[Plain(1), Shade.DARK]),
    Document("text", metadata={"leaf": Leaf(moment=NOW)}),
    Send("node", Plain(1, inside=Spot(2))),
    Interrupt(value=Leaf(moment=NOW), id="i"),
    Command(update={"leaf": Leaf(moment=NOW)}, resume=Spot(1), goto=Send("n", Tight(name="t"))),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_object_is_restored_with_its_class(value: Any) -> None:
    for stored in (value, {"in": [(value,)]}):
        restored = restore(stored)
        assert executed == []
        assert restored == stored
        assert type(restored) is type(stored)
    if isinstance(value, enum.Enum):
        assert restore(value) is value
    if dataclasses.is_dataclass(value) or isinstance(value, BaseModel):
        assert repr(restore(value)) == repr(value)
        assert type(restore([value])[0]) is type(value)


def test_private_and_extra_attributes_are_restored() -> None:
    tree = Tree.model_validate({"treeName": "oak", "height": 3})
    tree._private = [Spot(1)]
    restored = restore(tree)
    assert (restored._private, restored.height, restored.model_extra) == ([Spot(1)], 3, {"height": 3})

    old = V1(name="v")
    old._private = 9
    assert restore(old)._private == 9

    undescribed = restore(Described(8))
    assert (undescribed.measured, vars(undescribed)["_measured"]) == (8, 8)
    assert "spoiled" in vars(restore(_spoiled()))


def _spoiled() -> Plain:
    plain = Plain(1)
    plain.spoiled = "by another attribute"  # type: ignore[attr-defined]
    return plain


def test_no_code_of_a_dataclass_runs() -> None:
    busy = Busy(2, 3)
    assert busy.costly
    with capture_logs() as logs:
        restored = restore(busy)
    assert executed == []
    assert type(restored) is Busy
    assert vars(restored) == {"amount": 2, "total": 5, "beside": {"made": "in __post_init__"}}
    assert [(line["log_level"], line["attributes"]) for line in logs] == [("warning", ["lock"])]


def test_no_code_of_a_model_runs() -> None:
    busy = BusyModel(amount=2)
    with capture_logs() as logs:
        restored = restore(busy)
    assert executed == []
    assert type(restored) is BusyModel
    assert (restored.amount, restored._held, restored._made) == (2, {"from": "model_post_init"}, busy._made)
    assert restored._lock.acquire(blocking=False), "a private attribute that is not data has its default"
    assert [line["attributes"] for line in logs] == [["_lock"]]


def test_no_code_of_an_enum_or_a_named_tuple_runs() -> None:
    assert restore(Careful(1, 2)) == Careful(1, 2)
    stored = _record("Trapped", 99)
    executed.clear()
    assert serde().loads(stored) == 99
    assert executed == []


def test_a_generic_model_with_an_unknown_parameter_is_restored_without_it() -> None:
    restored = serde().loads(_record("Box[tests.nowhere.Thing]", ({"content": 3},)))
    assert (type(restored), restored.content) == (Box, 3)


def test_a_secret_of_an_unknown_class_is_restored_as_secret_str() -> None:
    restored = serde().loads(serde().dumps(Hidden("hush")))
    assert (type(restored), restored.get_secret_value()) == (SecretStr, "hush")


def _record(name: str, payload: Any, module: str = __name__) -> bytes:
    """A record as an earlier release, another process or an attacker may have stored it."""

    def default(value: Any) -> Any:
        return ormsgpack.Ext(1, ormsgpack.packb(list(value), default, ormsgpack.OPT_NON_STR_KEYS))

    options = ormsgpack.OPT_PASSTHROUGH_TUPLE | ormsgpack.OPT_NON_STR_KEYS
    packed = ormsgpack.packb([[module, name], payload], default, options)
    return ormsgpack.packb(ormsgpack.Ext(64, packed))


PAYLOADS: list[tuple[str, Any, Any]] = [
    ("Leaf", ({"spot": None},), {"spot": None}),
    ("Leaf", ({"spot": None}, {"extra": 1}), {"spot": None, "extra": 1}),
    ("Plain", {"inside": 1}, {"inside": 1}),
    ("Spot", {"y": 1}, {"y": 1}),
    ("Shade", "gone", "gone"),
    ("Shade", {"un": "hashable"}, {"un": "hashable"}),
    ("Size", 4, 4),
    ("Rights", 8, 8),
    ("Gone", ({"a": 1},), {"a": 1}),
    ("Gone", {"a": 1}, {"a": 1}),
    ("Gone", "value", "value"),
    ("Gone", ("a", 1), ("a", 1)),
    ("Plain.Gone", {"a": 1}, {"a": 1}),
    ("Plain", "no fields", "no fields"),
    ("Leaf", [1], [1]),
    ("V1", {"more": 2}, {"more": 2}),
]


@pytest.mark.parametrize(("name", "payload", "plain"), PAYLOADS)
def test_a_record_that_does_not_match_its_class_is_plain_data_with_one_warning(
    name: str, payload: Any, plain: Any
) -> None:
    serializer = serde()
    with capture_logs() as logs:
        restored = serializer.loads(_record(name, payload))
        serializer.loads(_record(name, payload))
    assert (restored, type(restored)) == (plain, type(plain))
    (line,) = logs
    assert (line["event"], line["log_level"], line["type"]) == ("state.not_restored", "warning", f"{__name__}.{name}")


def test_the_number_of_warnings_about_unknown_classes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_allowlist, "MOST_WARNINGS", 3)
    serializer = serde()
    with capture_logs() as logs:
        for number in range(9):
            assert serializer.loads(_record(f"Gone{number}", {"a": 1})) == {"a": 1}
    assert len(logs) == 3


def test_added_fields_get_defaults_and_removed_fields_are_logged() -> None:
    with capture_logs() as logs:
        restored = serde().loads(_record("Plain", {"number": 1, "lost": 2}))
    assert restored == Plain(1)
    assert [line["attributes"] for line in logs] == [["lost"]]
    restored.tags.append("its own")
    assert serde().loads(_record("Plain", {"number": 1})).tags == []
    assert serde().loads(_record("Spot", {"x": 1})) == Spot(1, 0)
    assert serde().loads(_record("Leaf", ({"moment": NOW.isoformat()},))).spot is None
    assert serde().loads(_record("V1", {"name": "v"})) == V1(name="v")


class Wide(BaseModel):
    leaf: Leaf | None = None


def test_a_field_of_a_declared_model_is_restored_as_an_object() -> None:
    serializer = Serde(ClassAllowlist([Wide]))
    with capture_logs() as logs:
        restored = serializer.loads(_record("Leaf", ({"spot": None},)))
    assert (type(restored), vars(restored)) == (Leaf, {"spot": None})
    assert Wide(leaf=restored).leaf is restored
    assert [line["attributes"] for line in logs] == [["moment"]]
    assert serde().loads(_record("Leaf", ({"spot": None},))) == {"spot": None}


class Grown(BaseModel):
    number: int
    listed: list[Any] = [Spot(1)]
    nested: Leaf = Leaf(moment=NOW)
    made: list[int] = Field(default_factory=list)


def test_mutable_defaults_are_not_shared_between_restored_objects() -> None:
    one, other = (serde().loads(_record("Grown", ({"number": 1},))) for _ in range(2))
    assert one == other == Grown(number=1)
    one.listed.append(1)
    one.nested.spot = Spot(9)
    one.made.append(1)
    for fresh in (other, serde().loads(_record("Grown", ({"number": 1},))), Grown(number=1)):
        assert (fresh.listed, fresh.nested.spot, fresh.made) == ([Spot(1)], None, [])


def test_a_field_with_init_false_may_be_missing() -> None:
    with capture_logs() as logs:
        restored = serde().loads(_record("Busy", {"amount": 1}))
    assert (type(restored), vars(restored), logs) == (Busy, {"amount": 1}, [])


def test_stored_fields_of_a_model_are_set_fields() -> None:
    assert restore(Leaf(moment=NOW)).model_dump(exclude_unset=True) == {"moment": NOW, "spot": None}
    tree = restore(Tree.model_validate({"treeName": "oak", "height": 3}))
    assert tree.model_dump(exclude_unset=True) == {"name": "oak", "leaves": [], "anything": None, "height": 3}


def test_a_set_with_unhashable_members_is_restored_as_a_list() -> None:
    stored = serde().dumps({"all": {Plain.Nested("n")}, "frozen": frozenset({Spot(1)})})
    assert Serde().loads(stored) == {"all": [{"name": "n"}], "frozen": [{"x": 1, "y": 0}]}


def test_a_library_value_that_cannot_be_restored_is_plain_data() -> None:
    zone = ormsgpack.packb(ormsgpack.Ext(10, ormsgpack.packb("Nowhere/Land")))
    with capture_logs() as logs:
        assert serde().loads(zone) == "Nowhere/Land"
    assert [line["type"] for line in logs] == ["zoneinfo.ZoneInfo"]


def test_a_serde_that_preserves_unknown_objects_copies_them_unchanged() -> None:
    copier = Serde(preserve_unknown=True)
    for value in VALUES:
        stored = serde().dumps({"in": [value]})
        held = copier.loads(stored)
        assert serde().loads(copier.dumps(held)) == {"in": [value]}
    assert isinstance(copier.loads(serde().dumps(Plain(1))), UnknownObject)


def test_a_strict_serde_restores_only_what_is_declared() -> None:
    stored = serde().dumps([Plain(1), Spot(2)])
    strict = ClassAllowlist([Plain])
    with capture_logs() as logs:
        assert Serde(strict).loads(stored) == [Plain(1), {"x": 2, "y": 0}]
    assert "allowed_msgpack_modules" in logs[0]["reason"]


class Finalized(BaseModel):
    x: int

    def __del__(self) -> None:
        executed.append("__del__")


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        executed.append(f"Meta.{name}")
        return super().__getattribute__(name)


class Watched(metaclass=Meta):
    inner = Plain


class Impostor:
    """Has the attributes of a dataclass and of a named tuple, but is neither."""

    __dataclass_fields__: ClassVar[dict[str, Any]] = {"x": 1}
    _fields = ("x",)


class Module(types.ModuleType):
    def __getattribute__(self, name: str) -> Any:
        executed.append(f"Module.{name}")
        return super().__getattribute__(name)


@pytest.fixture
def watched_module() -> Iterator[str]:
    name = "slipway_watched"
    module = Module(name)
    module.__dict__["Thing"] = type("Thing", (BaseModel,), {"__module__": name, "__annotations__": {"x": int}})
    sys.modules[name] = module
    yield name
    del sys.modules[name]


HOSTILE: list[tuple[str, str]] = [
    ("os", "system"),
    ("subprocess", "Popen"),
    ("subprocess", "CompletedProcess"),
    ("builtins", "eval"),
    ("builtins", "dict"),
    ("builtins", "object"),
    ("functools", "partial"),
    ("types", "SimpleNamespace"),
    ("threading", "Thread"),
    ("logging", "FileHandler"),
    ("argparse", "Namespace"),
    ("langgraph.types", "interrupt"),
    ("langchain_core.messages.human", "BaseMessage"),
    (__name__, "Finalized"),
    (__name__, "Watched"),
    (__name__, "Watched.inner"),
    (__name__, "Impostor"),
    (__name__, "Descriptor"),
    (__name__, "serde"),
    (__name__, "BaseModel"),
    (__name__, "dt.datetime"),
    (__name__, "Plain.__init__"),
    (__name__, "Plain.__class__"),
    (__name__, "Plain.__dataclass_fields__"),
    (__name__, "__builtins__"),
    (__name__, ""),
    ("", "Plain"),
    (f"{__name__}.", "Plain"),
    ("no.such.module", "Plain"),
]


@pytest.mark.parametrize(("module", "name"), HOSTILE)
@pytest.mark.parametrize("payload", [{"x": 1}, ({"x": 1},), "text"], ids=str)
def test_a_class_that_is_not_a_data_class_is_not_restored_and_no_code_runs(
    module: str, name: str, payload: Any
) -> None:
    stored, before = _record(name, payload, module), set(sys.modules)
    executed.clear()
    restored = serde().loads(stored)
    assert type(restored) in (dict, str)
    assert executed == []
    assert set(sys.modules) == before


def test_searching_a_class_in_a_module_runs_no_code(watched_module: str) -> None:
    executed.clear()
    assert serde().loads(_record("Thing", ({"x": 1},), watched_module)).x == 1
    assert executed == []


@pytest.mark.parametrize(
    "payload",
    [
        ({"number": 1}, {}, {"__class__": "x", "__dict__": "x", 3: "x", "append": "kept"}),
        {"number": 1, "__class__": "x", "__dict__": {}},
        {"number": 1, 7: "x"},
    ],
    ids=str,
)
def test_special_attributes_in_a_record_are_ignored(payload: Any) -> None:
    restored = serde().loads(_record("Plain", payload))
    assert type(restored) is Plain
    assert {*vars(restored)} - {"append"} == {"number", "inside", "tags"}


def test_an_invalid_class_reference_raises_stored_data_error() -> None:
    for reference in ([["os"], "system"], ["os"], "os.system", None, [1, 2], True, {"a": 1}):
        packed = ormsgpack.packb(ormsgpack.Ext(64, ormsgpack.packb([reference, {}])))
        with pytest.raises(StoredDataError):
            serde().loads(packed)
    for number in (*range(-len(ALWAYS), 0), len(ALWAYS), 2**40):
        packed = ormsgpack.packb(ormsgpack.Ext(64, ormsgpack.packb([number, "text"])))
        assert serde().loads(packed) == "text"


@pytest.mark.slow
@settings(max_examples=500)
@given(
    st.sampled_from(VALUES), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_changed_bytes_raise_or_are_data_and_run_no_code(value: Any, changes: list[tuple[int, int]]) -> None:
    stored, before = bytearray(serde().dumps({"in": [value]})), set(sys.modules)
    for position, byte in changes:
        stored[position % len(stored)] = byte
    executed.clear()
    with contextlib.suppress(StoredDataError), capture_logs():
        serde().loads(bytes(stored))
    assert executed == []
    assert set(sys.modules) == before


class Client:
    def __init__(self) -> None:
        self.session = object()


def _generator() -> Iterator[int]:
    yield 1


REJECTED: list[tuple[Any, str]] = [
    (threading.Lock(), r"it is a lock or a queue \(_thread.lock\), which is not data"),
    ({"deep": [{"er": threading.Lock()}]}, r"\['deep'\]\[0\]\['er'\] is a lock or a queue"),
    (Plain(1, inside=[print]), r"inside\[0\] is a function \(builtins.builtin_function_or_method\)"),
    (AIMessage("x", additional_kwargs={"call": restore}), r"additional_kwargs\['call'\] is a function"),
    (Leaf.model_construct(moment=_generator()), r"moment is an iterator, generator or coroutine"),
    (Client(), r"it is an object \(tests.checkpoints.test_data_classes.Client\).*or make its class a pydantic model"),
    (Client, r"it is a class"),
    (sys, r"it is a module"),
    ((1, {2: sys.__stderr__}), r"\[1\]\[2\] is an open file \(_io.TextIOWrapper\)"),
    (Send("n", {"lock": threading.RLock()}), r"\['lock'\] is a lock or a queue"),
]


@pytest.mark.parametrize(("value", "message"), REJECTED, ids=lambda value: type(value).__name__)
def test_a_value_that_is_not_data_is_rejected_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(StateRefused, match=message):
        serde().dumps(value)


class RaisesOnAccess(BaseModel):
    x: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":
            raise RuntimeError("not for you")
        return super().__getattribute__(name)


def test_an_object_that_raises_while_it_is_encoded_is_rejected() -> None:
    with pytest.raises(
        StateRefused, match=r"test_data_classes\.RaisesOnAccess\): taking it apart raised RuntimeError: not for you"
    ):
        serde().dumps([RaisesOnAccess()])


class ExitsOnIteration(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise SystemExit("not for you")


def test_an_object_that_raises_system_exit_while_it_is_encoded_is_rejected() -> None:
    with pytest.raises(StateRefused, match=r"test_data_classes\.ExitsOnIteration"):
        serde().dumps(ExitsOnIteration([object()]))
