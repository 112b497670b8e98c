"""Converts the context of a run to the form that its graph declares. Nodes read it as `runtime.context`.

| schema | nodes read |
|---|---|
| dataclass, pydantic model | always an instance; unknown keys are ignored, absent keys have their defaults |
| TypedDict | the keys that it declares; None if there are none |
| none, or any other type | the object that the client sent; None if it is empty |
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from slipway.graphs.annotations import fields_of, hints_of


def context_arguments(schema: object, sent: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is passed to LangGraph as `context`. LangGraph creates the instance of a class itself, also from `{}`."""
    if isinstance(schema, type) and (_is_instantiated(schema) or is_typeddict(schema)):
        accepted = {name: value for name, value in sent.items() if name in _accepted_names(schema)}
        return accepted if accepted or _is_instantiated(schema) else None
    return dict(sent) or None


def context_instance(schema: object, sent: Mapping[str, Any]) -> Any:
    """The context as an instance of `schema`, for a factory that declares it. Raises the error of the class, such as
    `TypeError` or `ValidationError` for a required field that is missing."""
    arguments = context_arguments(schema, sent) or {}
    if isinstance(schema, type) and _is_instantiated(schema):
        return schema(**arguments)
    return arguments


def _is_instantiated(schema: type) -> bool:
    return issubclass(schema, BaseModel) or dataclasses.is_dataclass(schema)


@functools.lru_cache(maxsize=256)
def _accepted_names(schema: type) -> frozenset[str]:
    """The keys that the class accepts: field names, and the aliases of pydantic's fields."""
    validated: Mapping[str, FieldInfo] | None = getattr(schema, "__pydantic_fields__", None)
    if validated is not None:
        config = getattr(schema, "model_config", None) or getattr(schema, "__pydantic_config__", None) or {}
        by_name = bool(config.get("populate_by_name") or config.get("validate_by_name"))
        return frozenset(key for name, field in validated.items() for key in _keys_of(name, field, by_name))
    return frozenset(fields_of(schema)) | {
        name for name, hint in hints_of(schema).items() if isinstance(hint, dataclasses.InitVar)
    }


def _keys_of(name: str, field: FieldInfo, by_name: bool) -> Iterator[str]:
    alias = field.validation_alias
    if alias is None or by_name:
        yield name
    for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
        if isinstance(choice, AliasPath):
            yield str(choice.path[0])
        elif choice is not None:
            yield choice
