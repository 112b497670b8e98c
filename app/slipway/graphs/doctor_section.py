"""`slipway.doctor` of langgraph.json: what operators have decided about the checklist of `slipway doctor`."""

from __future__ import annotations

from pydantic import Field

from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import StrictSection


class DoctorSection(StrictSection):
    """`accept` has the reason for which a warning is accepted, by its code, or by code and subject:
    `{"redis.failover": "one machine is enough for us", "tools.approval:send_mail": "only to colleagues"}`."""

    accept: dict[Text, Text] = Field(default_factory=dict)
