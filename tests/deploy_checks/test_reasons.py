"""Every reason has a meaning on the page about versions."""

from __future__ import annotations

import re
from pathlib import Path

from slipway import deploy_checks, thread_moves
from slipway.deploy_checks.new_versions import DEPLOY_REASONS
from slipway.graphs.verdicts import REASON_CODES
from slipway.thread_moves.reasons import MOVE_REASONS

CODE = re.compile(r'(?:CannotMove|Reason|__init__)\(\s*"([a-z_]+\.[a-z_]+)"')
NO_HOLD = {"original.restored"}
"""Codes of reasons for what changes for a thread that moves."""


def codes_in(folder: Path) -> set[str]:
    return {code for path in folder.glob("*.py") for code in CODE.findall(path.read_text())}


def test_every_reason_of_a_move_has_a_meaning() -> None:
    used = codes_in(Path(thread_moves.__path__[0]))
    assert used - REASON_CODES.keys() - NO_HOLD == MOVE_REASONS.keys()


def test_every_reason_of_a_deploy_check_has_a_meaning() -> None:
    assert codes_in(Path(deploy_checks.__path__[0])) == DEPLOY_REASONS.keys()
