"""Every error Slipway raises on purpose.

SlipwayError                     code, retryable; str() is fit to show to a person
├── ConfigError                  config.*            settings or langgraph.json cannot work
├── InvalidRequest               request.invalid     a field of a request is wrong; names it
├── RefusedRequest               request.refused     well-formed, but makes no sense here
├── NotFound                     not_found           an id or a name nobody knows
├── Conflict                     conflict            it exists already, or something is in its way
├── ForeignHost          host.refused        without an auth file: a name that may be a stranger's
├── ForeignOrigin        origin.refused      without an auth file: a page of another site
├── NotJson              content_type.refused  without an auth file: a body that any page may send
├── AccessRefused                access.refused      the project's auth file does not let this caller do this
├── AuthBroken                   auth.broken         the project's auth file failed; nobody gets in by that
├── TooLarge                     too_large           over a byte limit
├── Unavailable                  unavailable         cannot be kept right now; says when to try again
│   ├── StoreUnavailable         store.unavailable   Redis is away, loading, read-only or full
│   └── Overloaded               overloaded          memory is nearly full: new runs have to wait
├── Fenced                       attempt.fenced      this attempt no longer owns its run
├── StoredDataError              store.data          something stored cannot be read safely
└── RunFailure                   why a run ended `failed`
    ├── CeilingHit               ceiling.*           a hard stop of the run's chain
    ├── InputRefused             input.invalid       the graph's state schema refuses the input
    ├── StateRefused             state.refused       the state holds a value that cannot be stored
    ├── GraphUnavailable         graph.unavailable   the graph does not import or compile
    └── NodeFailed               node.failed         a node raised, and its retries are used up
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class SlipwayError(Exception):
    """Base of all: `code` is stable and machine-readable, `retryable` says whether trying again may help."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def details(self) -> dict[str, Any]:
        """What a client is told besides the sentence: the code, and what the class adds."""
        return {"code": self.code}


class ConfigError(SlipwayError):
    """Settings or langgraph.json cannot work as they are."""

    code = "config.invalid"


class InvalidRequest(SlipwayError):
    """One field of a request is wrong. `field` is its path, such as `config.recursion_limit`; `known` lists what it may
    be, where the list is short."""

    code = "request.invalid"

    def __init__(self, field: str, problem: str, known: Iterable[str] | None = None) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field, self.known = field, None if known is None else sorted(known)

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "field": self.field} | ({} if self.known is None else {"known": self.known})


class RefusedRequest(SlipwayError):
    """The request is well-formed but makes no sense in the present state."""

    code = "request.refused"


class NotFound(SlipwayError):
    """Nobody knows this id. `known` lists what exists instead, where the list is short; `why` is the sentence's other
    half."""

    code = "not_found"

    def __init__(
        self, kind: str, ident: str, known: Iterable[str] | None = None, *, why: str = "it does not exist"
    ) -> None:
        names = None if known is None else sorted(known)
        exists = "" if names is None else f"; there is {', '.join(names)}" if names else "; there is none yet"
        super().__init__(f"{kind} {ident!r} not found: {why}{exists}")
        self.kind, self.ident, self.known = kind, ident, names

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "kind": self.kind, "id": self.ident} | (
            {} if self.known is None else {"known": self.known}
        )


class Conflict(SlipwayError):
    """It exists already, or a run is in its way. `facts` are told to the client beside the sentence."""

    code = "conflict"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self._facts = facts

    def details(self) -> dict[str, Any]:
        return {"code": self.code} | self._facts


class AccessRefused(SlipwayError):
    """The project's auth file refuses the caller, or what the caller wants. `status` and `headers` are the answer's."""

    code = "access.refused"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


class ForeignHost(SlipwayError):
    """The server has no auth file, and the request calls it by a name that a stranger may have registered."""

    code = "host.refused"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"without an auth file this server does not answer to the name {name!r}: if it is this server's, set "
            f"SLIPWAY_ALLOWED_HOSTS={name}"
        )


class ForeignOrigin(SlipwayError):
    """The server has no auth file, and a page of another site sends the request."""

    code = "origin.refused"

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"without an auth file pages of {origin} may not call this server: to allow them, add the origin to "
            "http.cors.allow_origins in langgraph.json"
        )


class NotJson(SlipwayError):
    """The server has no auth file, and the body has a content type that any page may send unasked."""

    code = "content_type.refused"

    def __init__(self, content_type: str) -> None:
        has = f"{content_type!r} is not accepted" if content_type else "is missing"
        super().__init__(f"content-type: {has} without an auth file: send application/json")


class AuthBroken(SlipwayError):
    """A handler of the project's auth file raised, or answered what nobody can make sense of. The message is for the
    log: clients are not told."""

    code = "auth.broken"


class TooLarge(SlipwayError):
    """Over a byte limit that an operator set."""

    code = "too_large"


class Unavailable(SlipwayError):
    """Cannot be kept right now. `retry_after_s` is a good moment to try again."""

    code = "unavailable"
    retryable = True

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Unavailable):
    """Redis did not answer, or answered that it cannot keep anything now."""

    code = "store.unavailable"


class Overloaded(Unavailable):
    """Redis is so full that only runs in progress may grow. `ratio` is how full it is, `limit` the high-water mark."""

    code = "overloaded"

    def __init__(self, ratio: float, limit: float, retry_after_s: int, *, continues: bool = False) -> None:
        what = "; to resume would make a new run: what waits goes on waiting, answer it later" if continues else ""
        self.ratio, self.limit = round(ratio, 4), limit
        super().__init__(f"{self.sentence(self.ratio, limit)}{what}", retry_after_s)

    @staticmethod
    def sentence(ratio: float, limit: float) -> str:
        """What is the matter, with the figures."""
        return f"Redis's memory is {ratio:.1%} full; new runs are refused above {limit:.0%}"

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "memory_ratio": self.ratio, "limit": self.limit}


class Fenced(SlipwayError):
    """The run has moved on to another attempt, or has ended; nothing this attempt writes counts any more."""

    code = "attempt.fenced"


class StoredDataError(SlipwayError):
    """A stored value cannot be read: damaged, sealed with another key, or of a class that is not allowed."""

    code = "store.data"


class RunFailure(SlipwayError):
    """Why a run ended `failed`: `node` is where, when a node was to blame."""

    code = "run.failed"

    def __init__(self, message: str, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class CeilingHit(RunFailure):
    """A hard stop. `ceiling` is what follows `ceiling.` in the code; `limit` is what was set, `used` what was used."""

    def __init__(self, ceiling: str, limit: float, used: float, node: str | None = None) -> None:
        super().__init__(f"ceiling {ceiling} reached: {used:g} of {limit:g}", node)
        self.ceiling, self.limit, self.used = ceiling, limit, used

    @property
    def full_code(self) -> str:
        """Such as `ceiling.steps`."""
        return f"ceiling.{self.ceiling}"

    def details(self) -> dict[str, Any]:
        return {"code": self.full_code, "limit": self.limit, "used": self.used}


class InputRefused(RunFailure):
    """The graph's state schema refuses the input; the message names the field."""

    code = "input.invalid"


class StateRefused(RunFailure):
    """The state holds a value that cannot be stored; the message names its class and what to do."""

    code = "state.refused"


class GraphUnavailable(RunFailure):
    """The graph does not import, does not compile, or its factory fails. Why is in the log alone: what code raises then
    may hold the addresses and passwords that it reads."""

    code = "graph.unavailable"


class NodeFailed(RunFailure):
    """A node raised and its retries are used up. `error` is the exception's class name."""

    code = "node.failed"

    def __init__(self, error: str, message: str, node: str | None = None) -> None:
        super().__init__(message, node)
        self.error = error
