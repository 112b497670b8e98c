"""`slipway.redaction` of langgraph.json: what is replaced in everything that leaves a process, beside known secrets."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import StrictSection
from slipway.redaction.rules import RedactionRules


def _key(name: str) -> str:
    if not name.replace("-", "").replace("_", ""):
        raise ValueError("a name needs a letter or a digit")
    return name


def _pattern(pattern: str) -> str:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if compiled.search("") is not None:
        raise ValueError(f"{pattern!r} matches an empty text, so it would match everywhere")
    return pattern


class RedactionSection(StrictSection):
    """`keys` are names of members of JSON objects: their values are replaced. `patterns` are regular expressions: what
    they match in texts is replaced. Neither changes the state of a graph."""

    keys: list[Annotated[Text, AfterValidator(_key)]] = Field(default_factory=list)
    patterns: list[Annotated[Text, AfterValidator(_pattern)]] = Field(default_factory=list)

    def rules(self) -> RedactionRules:
        return RedactionRules.of(self.keys, self.patterns)
