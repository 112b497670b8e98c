"""What two recordings of a scenario differ in.

Ids and times differ by nature. An id of one side has one counterpart on the other, found where it is met first, and
every later place must agree with that; of a time only the form must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, Literal

Json = Any
"""What `json.loads` gives; comparing looks at its type."""

Kind = Literal["missing", "extra", "value"]

UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TOKEN: Final = re.compile(
    rf"(?P<id>{UUID}|\b[0-9a-f]{{32}}\b)"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?)"
    r"|(?P<port>127\.0\.0\.1:\d+)"
)
EPOCH_MS: Final = range(1_600_000_000_000, 4_000_000_000_000)


@dataclass(frozen=True)
class Difference:
    """One place where the answers differ. `missing` is what only the reference has, `extra` what only Slipway has."""

    scenario: str
    step: str
    path: str
    kind: Kind
    reference: Json
    ours: Json


@dataclass
class Counterparts:
    """Which id of the reference is which of ours, one to one."""

    ours: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)

    def agree(self, reference: str, ours: str) -> bool:
        """Whether the two mean the same thing; they do from now on if neither was met before."""
        if reference not in self.ours and ours not in self.theirs:
            self.ours[reference], self.theirs[ours] = ours, reference
        return self.ours.get(reference) == ours

    def of_ours(self, reference: str) -> str | None:
        """The text of the reference as ours would be, or `None` when it has an id that was not met yet."""
        ids = [match[0] for match in TOKEN.finditer(reference) if match.lastgroup == "id"]
        if any(found not in self.ours for found in ids):
            return None
        return TOKEN.sub(lambda match: self.ours.get(match[0], match[0]), reference)


def differences(
    reference: Json, ours: Json, counterparts: Counterparts, path: str = ""
) -> Iterator[tuple[str, Kind, Json, Json]]:
    """Path, kind and both values of each difference, in the order of the reference."""
    if isinstance(reference, dict) and isinstance(ours, dict):
        yield from _of_objects(reference, ours, counterparts, path)
    elif isinstance(reference, list) and isinstance(ours, list):
        yield from _of_lists(reference, ours, counterparts, path)
    elif not _same(reference, ours, counterparts):
        yield path, "value", reference, ours


def _of_objects(
    reference: Mapping[str, Json], ours: Mapping[str, Json], counterparts: Counterparts, path: str
) -> Iterator[tuple[str, Kind, Json, Json]]:
    left = dict(ours)
    for key, value in sorted(reference.items(), key=lambda item: bool(TOKEN.search(item[0]))):
        match = _key_of(key, left, counterparts)
        here = f"{path}.{_form(key)}"
        if match is None:
            yield here, "missing", value, None
            continue
        if match != key:
            _same(key, match, counterparts)
        yield from differences(value, left.pop(match), counterparts, here)
    for key, value in left.items():
        yield f"{path}.{_form(key)}", "extra", None, value


def _key_of(key: str, ours: Mapping[str, Json], counterparts: Counterparts) -> str | None:
    """The same key on our side: the same text, or the same form with an id that is its counterpart."""
    if not TOKEN.search(key):
        return key if key in ours else None
    known = counterparts.of_ours(key)
    if known is not None:
        return known if known in ours else None
    return next((found for found in ours if _form(found) == _form(key) and _unmet(found, counterparts)), None)


def _unmet(text: str, counterparts: Counterparts) -> bool:
    return any(match[0] not in counterparts.theirs for match in TOKEN.finditer(text) if match.lastgroup == "id")


def _of_lists(
    reference: Sequence[Json], ours: Sequence[Json], counterparts: Counterparts, path: str
) -> Iterator[tuple[str, Kind, Json, Json]]:
    """Items of the same name (events, tasks) are compared with one another, others by their place."""
    names = [_name(item) for item in reference], [_name(item) for item in ours]
    for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        paired = min(a_to - a_from, b_to - b_from) if tag in ("equal", "replace") else 0
        for offset in range(paired):
            here = f"{path}[{names[0][a_from + offset] or a_from + offset}]"
            yield from differences(reference[a_from + offset], ours[b_from + offset], counterparts, here)
        for place in range(a_from + paired, a_to):
            yield f"{path}[{names[0][place] or place}]", "missing", reference[place], None
        for place in range(b_from + paired, b_to):
            yield f"{path}[{names[1][place] or place}]", "extra", None, ours[place]


def _name(item: Json) -> str:
    """What an item of a list is recognised by: the kind of event, or where in the graph a state is."""
    if not isinstance(item, dict):
        return ""
    if isinstance(item.get("event"), str):
        data = item.get("data")
        return _form(" ".join([item["event"], *_kind_of_event(data if isinstance(data, dict) else {})]))
    if isinstance(item.get("method"), str):
        return _form(" ".join(_kind_of_event(item)))
    if "tasks" in item and "next" in item:
        source = (item.get("metadata") or {}).get("source")
        return _form(f"state {source} {' '.join(item['next'])}")
    return ""


def _kind_of_event(data: Mapping[str, Json]) -> Iterator[str]:
    if isinstance(data.get("method"), str):  # of the event protocol
        params = data.get("params") or {}
        inner = params.get("data")
        yield from (data["method"], "|".join(params.get("namespace") or []))
        yield from _kind_of_event({key: inner.get(key) for key in ("event", "name")} if isinstance(inner, dict) else {})
        return
    yield from (data[key] for key in ("type", "event", "name", "status") if isinstance(data.get(key), str))
    if isinstance(data.get("payload"), dict):
        yield from _kind_of_event({"name": data["payload"].get("name")})
    elif "triggers" in data:
        yield "start"


def _same(reference: Json, ours: Json, counterparts: Counterparts) -> bool:
    if isinstance(reference, str) and isinstance(ours, str):
        if _form(reference) != _form(ours):
            return False
        pairs = zip(TOKEN.finditer(reference), TOKEN.finditer(ours), strict=True)
        agreed = [counterparts.agree(a[0], b[0]) for a, b in pairs if a.lastgroup == "id"]  # each pair is noted
        return all(agreed)
    if type(reference) is not type(ours):
        return False
    if isinstance(reference, int) and reference in EPOCH_MS and ours in EPOCH_MS:
        return True
    return bool(reference == ours)


def _form(text: str) -> str:
    """The text with its ids and times taken out: what must be equal as it is."""

    def shape(match: re.Match[str]) -> str:
        if match.lastgroup == "time":
            return re.sub(r"\d+", "9", match[0])
        return f"<{match.lastgroup}>"

    return TOKEN.sub(shape, text)
