"""Handler values of operations on crons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from slipway.access.handler_values.base import HandlerValue, Id, Metadata, reserved_in_config
from slipway.protocol_types import RESERVED_METADATA, JsonObject, Limit, Offset


class _CronFields(HandlerValue):
    """`payload` is the body of the request. A handler can change the members in `_ALSO_IN_PAYLOAD` in either place."""

    STORES = True

    payload: JsonObject
    metadata: Metadata
    end_time: str | None
    _ALSO_IN_PAYLOAD: ClassVar[tuple[str, ...]] = ("schedule", "end_time", "metadata")

    def from_handler(self: _Cron, data: Mapping[str, Any]) -> _Cron:
        changed = super().from_handler(data)
        payload, members = dict(changed.payload), {}
        for name in self._ALSO_IN_PAYLOAD:
            in_payload, member = payload.get(name), getattr(changed, name)
            if in_payload != self.payload.get(name):
                if member not in (getattr(self, name), in_payload):
                    raise self.handler_error(f"changed {name} and payload.{name} to different values")
                member = in_payload
            elif member != getattr(self, name):
                payload[name] = member
            members[name] = member
        return changed._parse({**changed.model_dump(), **members, "payload": payload})

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        assert isinstance(before, _CronFields)
        new, old = self.payload, before.payload
        new_metadata, old_metadata = new.get("metadata") or {}, old.get("metadata") or {}
        names = [n for n in new_metadata if n in RESERVED_METADATA and new_metadata[n] != old_metadata.get(n)]
        return (
            super().reserved_names(before)
            + ([("payload.metadata", names)] if names else [])
            + reserved_in_config("payload.context", new.get("context"), old.get("context"))
            + reserved_in_config("payload.config.configurable", _configurable_of(new), _configurable_of(old))
        )


def _configurable_of(payload: JsonObject) -> object:
    config = payload.get("config")
    return config.get("configurable") if isinstance(config, dict) else None


_Cron = TypeVar("_Cron", bound=_CronFields)


class CronsCreate(_CronFields):
    OPERATION = "crons:create"
    FIXED = frozenset({"thread_id", "user_id"})

    cron_id: Id
    thread_id: Id | None
    user_id: str | None
    schedule: str


class CronsRead(HandlerValue):
    OPERATION = "crons:read"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsUpdate(_CronFields):
    """A cron is changed. None leaves a field unchanged."""

    OPERATION = "crons:update"
    FIXED = frozenset({"cron_id"})
    _ALSO_IN_PAYLOAD = ("schedule", "end_time", "enabled", "on_run_completed", "metadata")

    cron_id: Id
    schedule: str | None
    enabled: bool | None
    on_run_completed: Literal["delete", "keep"] | None


class CronsDelete(HandlerValue):
    OPERATION = "crons:delete"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsSearch(HandlerValue):
    OPERATION = "crons:search"

    assistant_id: Id | None
    thread_id: Id | None
    metadata: Metadata
    limit: Limit
    offset: Offset


class CronsCount(CronsSearch):
    """Crons are counted. `limit` and `offset` have no effect on a count."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0
