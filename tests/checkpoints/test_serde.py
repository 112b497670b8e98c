"""The serializer restores values with their types, and plain data stays plain data."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import re
import sys
import uuid
import zoneinfo
from collections import deque
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy
import ormsgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.store.base import Item
from langgraph.types import Command, Interrupt, Overwrite, Send
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from slipway.errors import StateRefused, StoredDataError
from slipway.serialization.class_allowlist import ALWAYS, ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Inner:
    tags: set[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    computed: int = dataclasses.field(init=False, default=7)


class Leaf(BaseModel):
    moment: dt.datetime
    nothing: None = None


class Tree(BaseModel):
    name: str = Field(alias="treeName")
    leaves: list[Leaf] = []
    anything: Any = None
    _private: int = PrivateAttr(default=5)


class State(BaseModel):
    tree: Tree
    outer: Outer | None = None
    points: dict[str, tuple[Point, ...]] = {}
    colour: Colour = Colour.RED


def serde(*schemas: type) -> Serde:
    allowed = ClassAllowlist()
    for schema in schemas:
        allowed.add(schema)
    return Serde(allowed)


def round_trip(value: Any, *schemas: type) -> Any:
    one = serde(*schemas)
    return one.loads(one.dumps(value))


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 10, 25, 2, 30, 1, 5)
LIBRARY: list[Any] = [
    None,
    b"\0\xff",
    bytearray(b"x"),
    (1, (2, [3])),
    {1, "a"},
    frozenset({(1, 2)}),
    deque([1, 2], maxlen=5),
    NOW,
    NOW.replace(tzinfo=dt.UTC),
    NOW.replace(tzinfo=BERLIN, fold=1),
    NOW.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3), "there")),
    NOW.date(),
    dt.time(1, 2, 3, 4, tzinfo=dt.UTC),
    dt.timedelta(days=-1, microseconds=1),
    dt.timezone(dt.timedelta(minutes=30)),
    BERLIN,
    uuid.UUID(int=7),
    Decimal("1.100"),
    Path("a/b"),
    PurePosixPath("/x"),
    PureWindowsPath("c:/x"),
    re.compile("a+", re.IGNORECASE | re.DOTALL),
    re.compile(b"a"),
    complex(1, -2.5),
    2**63,
    2**64,
    -(2**200),
    2**20_000,
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_interface("10.0.0.1/8"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_address("::1"),
    ipaddress.ip_interface("::1/64"),
    ipaddress.ip_network("fe80::/10"),
    "\ud800 alone",
    {"nested": ["\udfff"]},
]
LANGCHAIN: list[Any] = [
    HumanMessage("hi", id="1", name="ann", house="extra"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c"}], usage_metadata=None),
    AIMessage([{"type": "text", "text": "x"}], response_metadata={"at": NOW}),
    AIMessageChunk(content="part", id="2"),
    SystemMessage("s"),
    ToolMessage("t", tool_call_id="c", artifact={1, 2}, status="error"),
    ChatMessage(content="c", role="critic"),
    FunctionMessage(content="f", name="n"),
    RemoveMessage(id="9"),
    Document("text", metadata={"page": 1}),
    Send("node", {"message": HumanMessage("q")}),
    Interrupt(value={"ask": ("a", "b")}, id="i"),
    Command(goto=[Send("a", 1)], update={"x": 1}, resume={"i": True}),
    Overwrite([1]),
    SecretStr("hush"),
    _DeltaSnapshot([HumanMessage("x")]),
]


@pytest.mark.parametrize("value", LIBRARY + LANGCHAIN, ids=lambda value: type(value).__name__)
def test_a_library_value_is_restored_with_its_type(value: Any) -> None:
    for stored in (value, [value], {"k": {"l": value}}) if not isinstance(value, bytearray) else (value,):
        restored = round_trip(stored)
        assert restored == stored
        assert type(restored) is type(stored)
    if isinstance(value, dt.datetime):
        assert (round_trip(value).tzinfo, round_trip(value).fold) == (value.tzinfo, value.fold)
    if isinstance(value, deque):
        assert round_trip(value).maxlen == value.maxlen


def test_an_item_of_the_store_is_restored() -> None:
    item = Item(value={"a": 1}, key="k", namespace=("n",), created_at=NOW, updated_at=NOW)
    assert round_trip(item) == item


def test_classes_of_a_declared_schema_are_restored() -> None:
    tree = Tree(treeName="oak", leaves=[Leaf(moment=NOW)], anything=Leaf(moment=NOW))
    state = State(tree=tree, outer=Outer(Inner({"a"})), points={"p": (Point(1), Point(2, 3))})
    restored = round_trip({"state": state, "level": Level.HIGH}, State, Level)
    assert restored["state"] == state
    assert restored["level"] is Level.HIGH
    assert type(restored["state"].tree.anything) is Leaf
    assert restored["state"].tree._private == 5
    assert restored["state"].colour is Colour.RED


def test_a_changed_class_is_restored_with_defaults_or_as_plain_data() -> None:
    class Order(BaseModel):
        amount: int
        __qualname__ = "Order"

    old = serde(Order).dumps(Order(amount=3))

    class Newer(BaseModel):
        amount: int
        currency: str = "EUR"

    Newer.__qualname__ = "Order"
    assert serde(Newer).loads(old) == Newer(amount=3, currency="EUR")

    class Stricter(BaseModel):
        amount: int
        customer: str

    Stricter.__qualname__ = "Order"
    assert serde(Stricter).loads(old) == {"amount": 3}


def test_an_exception_is_restored_as_text_as_in_langgraph() -> None:
    assert round_trip(ValueError("no")) == "ValueError('no')"


def test_arrays_are_restored() -> None:
    for array in (numpy.arange(6.0).reshape(2, 3), numpy.asfortranarray(numpy.ones((2, 3), "int16")), numpy.array(3)):
        restored = round_trip({"a": array})["a"]
        assert restored.dtype == array.dtype
        assert numpy.array_equal(restored, array)
        assert restored.flags.f_contiguous is array.flags.f_contiguous
    assert round_trip(numpy.int64(5)) == 5
    with pytest.raises(StateRefused):
        round_trip(numpy.array([object()]))


def test_all_safe_classes_of_langgraph_are_always_allowed() -> None:
    library = {"datetime", "uuid", "decimal", "builtins", "collections", "ipaddress", "pathlib", "pathlib._local"}
    safe = {pair for pair in SAFE_MSGPACK_TYPES if pair[0] not in library | {"zoneinfo", "re"}}
    assert safe <= set(ALWAYS)


_text = st.text(st.characters(codec=None), max_size=12)
_keys = st.one_of(
    st.sampled_from(
        ["lc", "type", "id", "kwargs", "__type__", "__class__", "py/object", "$type", "__slipway__", "ext"]
    ),
    st.text(max_size=8),
)
_hostile = st.sampled_from(
    [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain_core", "messages", "HumanMessage"],
            "kwargs": {"content": "x"},
        },
        {"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["true"], "kwargs": {}},
        {"__type__": "datetime", "value": "2026-01-01"},
        {"py/reduce": [{"py/type": "os.system"}, ["true"]]},
        [64, ["os", "system"]],
        {"__pydantic__": "x", "__dataclass__": "y", "__interrupt__": [1], "__overwrite__": 1},
    ]
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _text, _hostile),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=20,
)
_rich = st.recursive(
    st.one_of(
        _json,
        st.binary(max_size=8),
        st.datetimes(timezones=st.none() | st.timezones()),
        st.dates(),
        st.timedeltas(),
        st.uuids(),
        st.decimals(allow_nan=False),
        st.frozensets(st.integers()),
        st.builds(lambda content: HumanMessage(content, id="1"), st.text()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
        st.builds(deque, st.lists(inner, max_size=3)),
        st.builds(lambda value: Send("n", value), inner),
    ),
    max_leaves=12,
)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Send):
        return one.node == other.node and _same(one.arg, other.arg)
    return bool(one == other)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(_json)
def test_json_is_restored_unchanged(value: Any) -> None:
    restored = round_trip(value)
    assert _same(restored, value)
    assert json.dumps(restored) == json.dumps(value)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(_rich)
def test_nested_values_of_supported_types_are_restored_unchanged(value: Any) -> None:
    assert _same(round_trip(value), value)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_damaged_bytes_raise_or_are_plain_data(data: bytes) -> None:
    with contextlib.suppress(StoredDataError):
        Serde().loads(data)


def _class_value(module: str, name: str, payload: Any) -> bytes:
    stored = ormsgpack.Ext(1, ormsgpack.packb(list(payload))) if isinstance(payload, tuple) else payload
    return ormsgpack.packb(ormsgpack.Ext(64, ormsgpack.packb([[module, name], stored])))


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a file that a module writes when it is imported."""
    (tmp_path / "slipway_trap.py").write_text(
        f"open({str(tmp_path / 'imported')!r}, 'w').close()\n"
        "from pydantic import BaseModel\nclass Bait(BaseModel):\n    x: int = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "slipway_trap", None)  # so that an import by the test is undone after it
    del sys.modules["slipway_trap"]
    return str(tmp_path / "imported")


def test_the_module_of_a_class_that_is_not_allowed_is_not_imported(trap: str) -> None:
    stored = _class_value("slipway_trap", "Bait", ({"x": 1},))
    others: list[tuple[str, str] | str | type] = [("slipway_trap", "Other"), "slipway", "slipway_trap_more"]
    for allow in ([], others):
        for modules in (None, imported_module):
            assert Serde(ClassAllowlist(allow, modules)).loads(stored) == {"x": 1}
    assert not Path(trap).exists()
    assert "slipway_trap" not in sys.modules

    for one in (ClassAllowlist([("slipway_trap", "Bait")]), ClassAllowlist(["slipway_trap"])):
        assert Serde(one).loads(stored).x == 1
    assert Path(trap).exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("pathlib", "Path.unlink"), ("tests", "nothing")],
)
def test_an_allowed_module_allows_only_its_own_data_classes(module: str, name: str) -> None:
    for allowed in (
        ClassAllowlist([module]),
        ClassAllowlist([(module, name)]),
        ClassAllowlist(modules=imported_module),
    ):
        assert Serde(allowed).loads(_class_value(module, name, {"args": ["true"]})) == {"args": ["true"]}


def test_an_allowed_package_does_not_allow_names_that_it_imports() -> None:
    for module, name in (("serialization.serde", "Shape"), ("redis.connection", "Final"), ("cli", "Settings")):
        assert Serde(ClassAllowlist(["slipway"])).loads(_class_value(f"slipway.{module}", name, {})) == {}


class Unknown(BaseModel):
    x: int = 1


def test_the_error_of_a_value_that_cannot_be_stored_names_its_class() -> None:
    with pytest.raises(StateRefused, match=r"builtins\.function"):
        Serde().dumps({"call": round_trip})
    with pytest.raises(StateRefused, match=r"builtins\.object"):
        Serde().dumps([(object(),)])
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(StateRefused, match=r"[Rr]ecursion"):
        Serde().dumps(deep)


def test_a_class_declared_later_is_restored_after_that() -> None:
    one = Serde()
    stored = one.dumps(Unknown(x=2))
    assert one.loads(stored) == {"x": 2}
    one.allowed.add(Unknown)
    assert one.loads(stored) == Unknown(x=2)


def test_a_local_class_is_restored_if_it_is_declared_itself() -> None:
    class Local(BaseModel):
        x: int

    assert round_trip(Local(x=1), Local) == Local(x=1)
    for allowed in (ClassAllowlist([__name__]), ClassAllowlist(modules=imported_module)):
        one = Serde(allowed)
        assert one.loads(one.dumps(Local(x=1))) == {"x": 1}


def test_typed_pairs_are_restored_and_pickle_is_rejected() -> None:
    one = Serde()
    assert one.loads_typed(one.dumps_typed({"a": (1,)})) == {"a": (1,)}
    with pytest.raises(StoredDataError, match="pickle"):
        one.loads_typed(("pickle", b""))


def test_an_error_describes_the_value_that_was_read() -> None:
    one = Serde()
    for stored, reason in (
        (ormsgpack.packb(ormsgpack.Ext(99, ormsgpack.packb(1))), "unknown type 99"),
        (b"\x91", "is damaged"),
        (ormsgpack.packb(ormsgpack.Ext(64, ormsgpack.packb([None, 1]))), "does not name its class"),
        (b"\x91", "is damaged"),
    ):
        with pytest.raises(StoredDataError, match=reason):
            one.loads(stored)
