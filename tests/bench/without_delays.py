"""Starts a CLI command of Slipway in which commands of an attempt wait ten seconds for events, not milliseconds: under
valgrind everything takes 50 times as long, and such a delay would end in each run. It is a file and not a module,
because the Slipway of another checkout may be executed."""

from __future__ import annotations

from slipway.cli import main
from slipway.runs.attempt_writer import DEFAULT_LIMITS

for name in ("delay_s", "first_group_delay_s"):
    if hasattr(DEFAULT_LIMITS, name):
        object.__setattr__(DEFAULT_LIMITS, name, 10.0)

main()
