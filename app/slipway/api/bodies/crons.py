"""Request bodies of crons: the members of a run, and the schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from slipway.api.bodies.body import Body, ObjectWithoutNul, Order, Uuid
from slipway.api.bodies.runs import RunBody
from slipway.protocol_types import Limit, Offset

TIMING: Final = frozenset({"schedule", "timezone", "end_time", "enabled", "on_run_completed"})
"""The members of a cron's body that are not part of the run request."""


def _utc_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError("is not a time in ISO 8601") from None


class CronBody(RunBody):
    """Creates a cron. Without `end_time` it never ends; without `timezone` its schedule is in UTC."""

    schedule: Annotated[str, Field(min_length=1, max_length=500)]
    timezone: str | None = None
    end_time: Annotated[str, AfterValidator(_utc_time)] | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] = "delete"

    @property
    def end_ms(self) -> int | None:
        """The last possible due time, in ms since the epoch."""
        return None if self.end_time is None else int(datetime.fromisoformat(self.end_time).timestamp() * 1000)


class CronFilterBody(Body):
    """Selects crons. A cron matches if its metadata contains `metadata`."""

    assistant_id: str | None = None
    thread_id: Uuid | None = None
    enabled: bool | None = None
    metadata: ObjectWithoutNul | None = None


CronSort = Literal["cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"]


class CronSearchBody(CronFilterBody):
    limit: Limit = 10
    offset: Offset = 0
    sort_by: CronSort = "created_at"
    sort_order: Order = "desc"
    select: (
        list[
            Literal[
                "cron_id",
                "assistant_id",
                "thread_id",
                "user_id",
                "schedule",
                "timezone",
                "end_time",
                "next_run_date",
                "enabled",
                "on_run_completed",
                "payload",
                "metadata",
                "created_at",
                "updated_at",
                "last_run_id",
                "problem",
            ]
        ]
        | None
    ) = None
