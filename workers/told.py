"""What earlier attempts of a run told last, and what of it is not told again.

An attempt that goes on begins with the state that the one before left, and comes to the question that it asked, if it
died between asking and resting. Both are in the log already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from workers.frames import Frame
from workers.inputs import Plan

_QUESTION: Final = "__interrupt__"


class Told:
    """Made for each attempt of a run but the first; `frames` are those at the end of the log."""

    def __init__(self, frames: Collection[bytes], plan: Plan) -> None:
        self._frames, self._at_input, self._at_start = frames, plan.at_input, plan.continues

    def without(self, made: Iterable[Frame], namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Frame]:
        """The frames that were `made` of a chunk, but those that would say again what it is that clients know."""
        if mode == "values" and not namespace and self._at_start:
            self._at_start = False
            if self._at_input:
                return
        elif not (isinstance(payload, Mapping) and _QUESTION in payload):
            yield from made
            return
        yield from (frame for frame in made if frame[1] not in self._frames)
