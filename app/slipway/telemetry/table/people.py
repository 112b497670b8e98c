"""What people do and are asked: reviews and switches."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import PROBLEM, REVIEW, RUN

_GROUPS: Final = Field("groups", Unit.NAMES, "the groups whose members may decide")
_REMINDERS: Final = Field("reminders", Unit.COUNT, "the reminders so far")
_ASSIGNEE: Final = Field("assignee", Unit.NAME, "the person who has taken the review")
_NEW_RUN: Final = Field("new_run", Unit.ID, "the run that continues the thread")
_OFF: Final = Field("off", Unit.NAMES, "the switches that are off")

_EVENTS: Final = (
    info("review.reminder", "Nobody has decided a review, and a reminder was sent.", REVIEW, _REMINDERS, _GROUPS),
    info("review.escalation", "Nobody has decided a review, and more people may.", REVIEW, _GROUPS),
    info("review.follow_up", "The information that was asked for did not come.", REVIEW, _ASSIGNEE),
    info("review.default_action", "The due time of a review came, and its default was taken.", REVIEW),
    info("review.cancelled", "The due time of a review came, and its run was cancelled.", REVIEW, RUN),
    info("review.resumed", "All reviews of a run are decided, and a new run continues.", RUN, _NEW_RUN),
    info("review.not_resumed", "The thread continued otherwise or was deleted.", RUN, PROBLEM),
    warning("review.resume_later", "A run is continued later: it failed for now.", RUN, PROBLEM),
    info("switches.changed", "Switches were read again.", _OFF),
)

AREA: Final = Area("Reviews and switches", _EVENTS)
