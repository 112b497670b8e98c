"""Request bodies of switches."""

from __future__ import annotations

from slipway.api.bodies.run_operations import OperatorBody


class SwitchBody(OperatorBody):
    """Why it is switched off."""
