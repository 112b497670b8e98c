"""Chat models for routes."""

from __future__ import annotations

import itertools

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage


class Overloaded(Exception):
    """As the SDKs of providers raise it."""

    status_code = 529


class Refusing(GenericFakeChatModel):
    """Is overloaded."""

    def _generate(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        raise Overloaded("the secret text of an exception")


def refuses() -> GenericFakeChatModel:
    return Refusing(messages=iter([]))


def works() -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=itertools.repeat(AIMessage("It works")))


def cannot_be_created() -> GenericFakeChatModel:
    raise ImportError("the package of the provider is missing")
