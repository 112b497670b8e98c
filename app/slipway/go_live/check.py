"""What a check of the checklist is, and what happens when one cannot be made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import hiredis

from slipway.errors import SlipwayError, StoreUnavailable
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, warned

WITHIN_S: Final = 20.0
"""Seconds after which a check is given up."""


@dataclass(frozen=True, slots=True)
class Check:
    """`codes` has what each line of it says, by its code. `run` returns at least one line for each code."""

    codes: Mapping[str, str]
    run: Callable[[Inputs], Awaitable[Sequence[Line]]]
    within_s: float | None = WITHIN_S
    """None for the walk through all records, which may take minutes."""

    async def lines(self, inputs: Inputs) -> list[Line]:
        """The lines, or a warning for each code if the check cannot be made: then nobody knows. Raises
        `StoreUnavailable`."""
        fix = "run `slipway doctor` again, with SLIPWAY_LOG_LEVEL=debug"
        try:
            async with asyncio.timeout(self.within_s):
                return list(await self.run(inputs))
        except StoreUnavailable:
            raise
        except TimeoutError:
            problem = f"not checked: it took more than {self.within_s:g} s"
        except SlipwayError as error:
            problem = f"not checked: {error}"
        except hiredis.ReplyError as error:
            problem, fix = f"not checked, because Redis replies: {error}", "a user of Redis that may run this command"
        except Exception as error:  # the project's code, or a server that replies otherwise than any known one
            problem = f"not checked: {type(error).__name__}: {error}"
        return [warned(code, problem, fix) for code in self.codes]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the checklist, which `--only` and `--skip` name."""

    name: str
    title: str
    checks: Sequence[Check]
    needs_code: bool = False
    """Whether the project's code must be imported."""

    @property
    def codes(self) -> dict[str, str]:
        return {code: about for check in self.checks for code, about in check.codes.items()}
