"""The formats of structured responses of agents. No state schema names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # before Python 3.12, pydantic accepts only this one


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


@dataclass
class Account:
    name: str
    age: int


class Row(TypedDict):
    name: str
    age: int


SCHEMA: dict[str, Any] = {
    "title": "Record",
    "description": "A person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
