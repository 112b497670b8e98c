"""The span of a call of a model or a tool that LangChain announces, while the call is made.

The context that makes the call is not always the one in which the announcement is handled: an `AsyncCallbackManager`
handles that of a chat model in tasks of their own. So the context gets an `_AnnouncedCall` first, which those tasks
inherit and fill.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from slipway.tracing.current_span import CURRENT_SPAN

if TYPE_CHECKING:
    from slipway.tracing.attempt_trace import OpenSpan


class _AnnouncedCall:
    __slots__ = ("around", "before", "span")

    def __init__(self, before: _AnnouncedCall | None) -> None:
        self.before = before
        """The call that makes this one."""
        self.span: OpenSpan | None = None
        self.around: OpenSpan | None = None
        """The current span where the call was made. Where another one is current, the code is not that of the call."""


_CALL: Final[ContextVar[_AnnouncedCall | None]] = ContextVar("announced_call", default=None)


def executing_span() -> OpenSpan | None:
    """The span of the code that executes: of a call of a model or a tool, else the current span. None where nothing is
    recorded. What a node does between the parts of a reply that it streams belongs to the call, too."""
    current, call = CURRENT_SPAN.get(), _open(_CALL.get())
    while call is not None:
        if call.around is current:
            return call.span
        call = _open(call.before)
    return current


def call_announced() -> None:
    """The current context is about to make a call whose announcement is handled in another one."""
    if CURRENT_SPAN.get() is not None:
        _CALL.set(_AnnouncedCall(_open(_CALL.get())))


def call_started(span: OpenSpan, around: OpenSpan) -> None:
    """The span of the call that the current context makes, or of the one that was announced to it. `around` is the
    current span. Of several prompts that one call announces, the first has what the call does."""
    call = _CALL.get()
    if call is None or call.span is not None:
        call = _AnnouncedCall(_open(call))
        _CALL.set(call)
    call.span, call.around = span, around


def _open(call: _AnnouncedCall | None) -> _AnnouncedCall | None:
    """The innermost call that has begun and has not ended."""
    while call is not None and (call.span is None or call.span.ended):
        call = call.before
    return call
