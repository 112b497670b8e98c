"""Values that an earlier release stored are restored.

`recorded_values.json` has bytes that the serializer wrote when it stored objects of declared classes only.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from slipway.serialization.class_allowlist import ClassAllowlist
from slipway.serialization.data_classes import imported_module
from slipway.serialization.serde import Serde
from tests.checkpoints.stored_classes import values
from tests.checkpoints.test_serde import LANGCHAIN, LIBRARY

RECORDED = json.loads((Path(__file__).parent / "recorded_values.json").read_text())
OWN = values()


def read(name: str) -> Any:
    return Serde(ClassAllowlist(modules=imported_module)).loads(base64.b64decode(RECORDED[name]))


@pytest.mark.parametrize("name", OWN)
def test_recorded_objects_are_restored(name: str) -> None:
    restored = read(name)
    assert restored == OWN[name]
    assert type(restored) is type(OWN[name])
    assert repr(restored) == repr(OWN[name])


def test_recorded_library_types_and_messages_are_restored() -> None:
    recorded = [read(name) for name in RECORDED if name not in OWN]
    expected = LANGCHAIN + [value for value in LIBRARY if value != complex(1, -2.5)]
    assert recorded == expected
    assert [type(value) for value in recorded] == [type(value) for value in expected]
