"""What agents answer with. No state schema names any of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # before Python 3.12 pydantic knows no other


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int = Field(ge=0)


@dataclass
class Account:
    """Somebody's account."""

    name: str
    age: int


class Row(TypedDict):
    """Somebody in a table."""

    name: str
    age: int


SCHEMA: dict[str, Any] = {
    "title": "Record",
    "description": "Somebody in a file",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
