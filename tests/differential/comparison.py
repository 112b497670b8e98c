"""Finds the differences between two recordings of a scenario.

Ids and times differ in every execution. At its first occurrence, an id of the reference server gets its counterpart
among the ids of Slipway, and all later occurrences must agree with it. Of a time, only the format is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, Literal

Json = Any
"""A result of `json.loads`. `Any`, because the comparison checks the type of each value."""

DifferenceKind = Literal["missing", "extra", "value"]

UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
VARIABLE_PART: Final = re.compile(
    rf"(?P<id>{UUID}|\b[0-9a-f]{{32}}\b)"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?)"
    r"|(?P<port>127\.0\.0\.1:\d+)"
)
EPOCH_MS: Final = range(1_600_000_000_000, 4_000_000_000_000)


@dataclass(frozen=True)
class Difference:
    """One difference at one path. `missing`: only the reference server has a value; `extra`: only Slipway has one."""

    scenario: str
    step: str
    path: str
    kind: DifferenceKind
    reference: Json
    slipway: Json


@dataclass
class Counterparts:
    """Maps the ids of the reference server to those of Slipway, one to one."""

    in_slipway: dict[str, str] = field(default_factory=dict)
    in_reference: dict[str, str] = field(default_factory=dict)

    def correspond(self, reference: str, slipway: str) -> bool:
        """True if the two ids are counterparts. Two ids that both occur for the first time become counterparts."""
        if reference not in self.in_slipway and slipway not in self.in_reference:
            self.in_slipway[reference], self.in_reference[slipway] = slipway, reference
        return self.in_slipway.get(reference) == slipway

    def translate(self, reference: str) -> str | None:
        """The text with the ids of Slipway; `None` if it contains an id without a counterpart."""
        ids = [match[0] for match in VARIABLE_PART.finditer(reference) if match.lastgroup == "id"]
        if any(reference_id not in self.in_slipway for reference_id in ids):
            return None
        return VARIABLE_PART.sub(lambda match: self.in_slipway.get(match[0], match[0]), reference)


def differences(
    reference: Json, slipway: Json, counterparts: Counterparts, path: str = ""
) -> Iterator[tuple[str, DifferenceKind, Json, Json]]:
    """Path, kind and both values of each difference, in the order of the reference value."""
    if isinstance(reference, dict) and isinstance(slipway, dict):
        yield from _object_differences(reference, slipway, counterparts, path)
    elif isinstance(reference, list) and isinstance(slipway, list):
        yield from _list_differences(reference, slipway, counterparts, path)
    elif not _equal(reference, slipway, counterparts):
        yield path, "value", reference, slipway


def _object_differences(
    reference: Mapping[str, Json], slipway: Mapping[str, Json], counterparts: Counterparts, path: str
) -> Iterator[tuple[str, DifferenceKind, Json, Json]]:
    remaining = dict(slipway)
    for key, value in sorted(reference.items(), key=lambda item: bool(VARIABLE_PART.search(item[0]))):
        match = _matching_key(key, remaining, counterparts)
        member_path = f"{path}.{_format(key)}"
        if match is None:
            yield member_path, "missing", value, None
            continue
        if match != key:
            _equal(key, match, counterparts)  # registers the ids of the keys as counterparts
        yield from differences(value, remaining.pop(match), counterparts, member_path)
    for key, value in remaining.items():
        yield f"{path}.{_format(key)}", "extra", None, value


def _matching_key(key: str, slipway: Mapping[str, Json], counterparts: Counterparts) -> str | None:
    """The key of Slipway's object that corresponds to `key`: the same text, or the same format with new ids."""
    if not VARIABLE_PART.search(key):
        return key if key in slipway else None
    translated = counterparts.translate(key)
    if translated is not None:
        return translated if translated in slipway else None
    candidates = (candidate for candidate in slipway if _format(candidate) == _format(key))
    return next((candidate for candidate in candidates if _has_new_id(candidate, counterparts)), None)


def _has_new_id(text: str, counterparts: Counterparts) -> bool:
    ids = (match[0] for match in VARIABLE_PART.finditer(text) if match.lastgroup == "id")
    return any(slipway_id not in counterparts.in_reference for slipway_id in ids)


def _list_differences(
    reference: Sequence[Json], slipway: Sequence[Json], counterparts: Counterparts, path: str
) -> Iterator[tuple[str, DifferenceKind, Json, Json]]:
    """Aligns events, tasks and states by their labels, and all other items by their index."""
    reference_labels, slipway_labels = [_label(item) for item in reference], [_label(item) for item in slipway]
    alignment = SequenceMatcher(None, reference_labels, slipway_labels, autojunk=False)
    for tag, reference_start, reference_end, slipway_start, slipway_end in alignment.get_opcodes():
        shorter = min(reference_end - reference_start, slipway_end - slipway_start)
        paired = shorter if tag in ("equal", "replace") else 0
        for offset in range(paired):
            index = reference_start + offset
            item_path = f"{path}[{reference_labels[index] or index}]"
            yield from differences(reference[index], slipway[slipway_start + offset], counterparts, item_path)
        for index in range(reference_start + paired, reference_end):
            yield f"{path}[{reference_labels[index] or index}]", "missing", reference[index], None
        for index in range(slipway_start + paired, slipway_end):
            yield f"{path}[{slipway_labels[index] or index}]", "extra", None, slipway[index]


def _label(item: Json) -> str:
    """Identifies an item of a list: the kind of an event, or the next nodes of a state. Empty for other items."""
    if not isinstance(item, dict):
        return ""
    if isinstance(item.get("event"), str):
        data = item.get("data")
        return _format(" ".join([item["event"], *_event_label(data if isinstance(data, dict) else {})]))
    if isinstance(item.get("method"), str):
        return _format(" ".join(_event_label(item)))
    if "tasks" in item and "next" in item:
        source = (item.get("metadata") or {}).get("source")
        return _format(f"state {source} {' '.join(item['next'])}")
    return ""


def _event_label(data: Mapping[str, Json]) -> Iterator[str]:
    if isinstance(data.get("method"), str):  # of the event protocol
        params = data.get("params") or {}
        inner = params.get("data")
        yield from (data["method"], "|".join(params.get("namespace") or []))
        yield from _event_label({key: inner.get(key) for key in ("event", "name")} if isinstance(inner, dict) else {})
        return
    yield from (data[key] for key in ("type", "event", "name", "status") if isinstance(data.get(key), str))
    if isinstance(data.get("payload"), dict):
        yield from _event_label({"name": data["payload"].get("name")})
    elif "triggers" in data:
        yield "start"


def _equal(reference: Json, slipway: Json, counterparts: Counterparts) -> bool:
    if isinstance(reference, str) and isinstance(slipway, str):
        if _format(reference) != _format(slipway):
            return False
        pairs = zip(VARIABLE_PART.finditer(reference), VARIABLE_PART.finditer(slipway), strict=True)
        # A list, not a generator: all pairs are registered, also after one that does not correspond.
        corresponding = [counterparts.correspond(a[0], b[0]) for a, b in pairs if a.lastgroup == "id"]
        return all(corresponding)
    if type(reference) is not type(slipway):
        return False
    if isinstance(reference, int) and reference in EPOCH_MS and slipway in EPOCH_MS:
        return True
    return bool(reference == slipway)


def _format(text: str) -> str:
    """The text with placeholders for ids, times and ports. Equal texts have equal formats."""

    def placeholder(match: re.Match[str]) -> str:
        if match.lastgroup == "time":
            return re.sub(r"\d+", "9", match[0])
        return f"<{match.lastgroup}>"

    return VARIABLE_PART.sub(placeholder, text)
