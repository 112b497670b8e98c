"""Converts units: length, mass, volume, time, data, speed, area, temperature."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from examples.quick_answer.arithmetic import readable

_TABLE: Final = """
length mm millimetre millimeter 0.001 | cm centimetre centimeter 0.01 | m metre meter 1 | km kilometre kilometer 1000
  | in inch inches 0.0254
  | ft foot feet 0.3048 | yd yard 0.9144 | mi mile 1609.344 | nmi 1852
mass mg milligram 0.000001 | g gram 0.001 | kg kilogram kilo 1 | t tonne 1000 | oz ounce 0.028349523125
  | lb lbs pound 0.45359237
  | stone 6.35029318
volume ml millilitre milliliter 0.001 | cl 0.01 | l litre liter 1 | m3 1000
  | gal gallon 3.785411784 | pint 0.473176473
  | cup 0.2365882365
time ms millisecond 0.001 | s sec second 1 | min minute 60 | h hr hour 3600 | day 86400 | week 604800 | year 31557600
data bit 0.125 | byte bytes 1 | kb kilobyte 1000 | mb megabyte 1000000 | gb gigabyte 1000000000
  | tb terabyte 1000000000000
  | kib 1024 | mib 1048576 | gib 1073741824 | tib 1099511627776
speed m/s 1 | km/h kmh kph 0.277777777777777777777777777778 | mph 0.44704 | knot kn 0.514444444444444444444444444444
area m2 sqm 1 | km2 1000000 | ha hectare 10000 | acre 4046.8564224 | sqft ft2 0.09290304
"""


def _read() -> dict[str, tuple[str, Decimal, str]]:
    units: dict[str, tuple[str, Decimal, str]] = {}
    for line in _TABLE.replace("\n  |", " |").strip().splitlines():
        kind, _, rest = line.partition(" ")
        for entry in rest.split("|"):
            *names, factor = entry.split()
            for name in names:
                units[name] = (kind, Decimal(factor), names[0])
    return units


_UNITS: Final = _read()
_CONVERSION: Final = re.compile(
    r"(?P<n>-?\d[\d,]*(?:\.\d+)?|an?|one)\s*(?P<a>°?[a-zA-Z][a-zA-Z/]*[23]?)\s+(?:in|into|to|as|=)\s+(?:an? )?"
    r"(?P<b>°?[a-zA-Z][a-zA-Z/]*[23]?)\s*[?.!]*\s*$",
    re.IGNORECASE,
)
_HOW_MANY: Final = re.compile(
    r"how (?:many|much)\s+(?P<b>[a-z/]+[23]?)\s+(?:are|is|in|there|make|do|does|have|has|equals?)[\sa-z]*?\s*"
    r"(?P<n>-?\d[\d,]*(?:\.\d+)?|an?|one)\s*(?P<a>°?[a-z][a-z/]*[23]?)(?: (?:have|has|make))?\s*[?.!]*$",
    re.IGNORECASE,
)
_DEGREES: Final = {
    "c": "°C",
    "celsius": "°C",
    "centigrade": "°C",
    "f": "°F",
    "fahrenheit": "°F",
    "k": "K",
    "kelvin": "K",
}


def convert(question: str) -> str | None:
    """`5 km is 3.106856 mi`, or None when the question is not a conversion."""
    match = _CONVERSION.search(question[:300]) or _HOW_MANY.search(question[:300])
    if match is None:
        return None
    number = match["n"].lower()
    value = Decimal(1) if number.isalpha() else Decimal(number.replace(",", ""))
    if len(number) > 40:
        return None
    if (one := _degree_unit(match["a"])) and (other := _degree_unit(match["b"])):
        return f"{readable(value)} {one} is {readable(_convert_temperature(value, one, other), 2)} {other}."
    source, target = _unit(match["a"]), _unit(match["b"])
    if source is None or target is None:
        return None
    if source[0] != target[0]:
        return f"{match['a']} is a unit of {source[0]} and {match['b']} one of {target[0]}: they do not convert."
    return f"{readable(value)} {source[2]} is {readable(value * source[1] / target[1], 6)} {target[2]}."


def _unit(name: str) -> tuple[str, Decimal, str] | None:
    lower = name.lower()
    return _UNITS.get(lower) or _UNITS.get(lower.removesuffix("s")) or _UNITS.get(lower.removesuffix("es"))


def _degree_unit(name: str) -> str | None:
    return _DEGREES.get(name.lower().lstrip("°"))


def _convert_temperature(value: Decimal, one: str, other: str) -> Decimal:
    celsius = {"°C": value, "°F": (value - 32) * 5 / 9, "K": value - Decimal("273.15")}[one]
    return {"°C": celsius, "°F": celsius * 9 / 5 + 32, "K": celsius + Decimal("273.15")}[other]
