"""Handler values of operations on crons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from slipway.access.handler_values.base import HandlerValue, Id, Metadata, reserved_in_config
from slipway.protocol_types import RESERVED_METADATA, JsonObject, Limit, Offset

# crons


class _CronFields(HandlerValue):
    """`payload` is the body of the request. What has a member of its own may be written in either place."""

    STORES = True

    payload: JsonObject
    metadata: Metadata
    end_time: str | None
    _TWICE: ClassVar[tuple[str, ...]] = ("schedule", "end_time", "metadata")

    def from_handler(self: _Cron, shown: Mapping[str, Any]) -> _Cron:
        found = super().from_handler(shown)
        payload, members = dict(found.payload), {}
        for name in self._TWICE:
            written, member = payload.get(name), getattr(found, name)
            if written != self.payload.get(name):
                if member not in (getattr(self, name), written):
                    raise self.handler_error(f"left {name} and payload.{name} that contradict each other")
                member = written
            elif member != getattr(self, name):
                payload[name] = member
            members[name] = member
        return found._parsed({**found.model_dump(), **members, "payload": payload})

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        assert isinstance(before, _CronFields)
        new, old = self.payload, before.payload
        config, was = new.get("config"), old.get("config")
        metadata, before_that = new.get("metadata") or {}, old.get("metadata") or {}
        names = [n for n in metadata if n in RESERVED_METADATA and metadata[n] != before_that.get(n)]
        return (
            super().reserved_names(before)
            + ([("payload.metadata", names)] if names else [])
            + reserved_in_config("payload.context", new.get("context"), old.get("context"))
            + reserved_in_config(
                "payload.config.configurable",
                config.get("configurable") if isinstance(config, dict) else None,
                was.get("configurable") if isinstance(was, dict) else None,
            )
        )


_Cron = TypeVar("_Cron", bound=_CronFields)


class CronsCreate(_CronFields):
    """A cron to be made."""

    OPERATION = "crons:create"
    FIXED = frozenset({"thread_id", "user_id"})

    cron_id: Id
    thread_id: Id | None
    user_id: str | None
    schedule: str


class CronsRead(HandlerValue):
    """A cron."""

    OPERATION = "crons:read"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsUpdate(_CronFields):
    """What is to be changed of a cron; None is left as it is."""

    OPERATION = "crons:update"
    FIXED = frozenset({"cron_id"})
    _TWICE = ("schedule", "end_time", "enabled", "on_run_completed", "metadata")

    cron_id: Id
    schedule: str | None
    enabled: bool | None
    on_run_completed: Literal["delete", "keep"] | None


class CronsDelete(HandlerValue):
    """A cron."""

    OPERATION = "crons:delete"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsSearch(HandlerValue):
    """Crons that are searched for."""

    OPERATION = "crons:search"

    assistant_id: Id | None
    thread_id: Id | None
    metadata: Metadata
    limit: Limit
    offset: Offset


class CronsCount(CronsSearch):
    """Crons that are counted: a count has no page, so both are 0."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0
