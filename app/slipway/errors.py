"""Every error that Slipway raises deliberately, with its stable code.

SlipwayError                     error                 base class; its message is for users
├── ConfigError                  config.invalid        settings or langgraph.json are invalid
├── InvalidRequest               request.invalid       a field of a request is invalid; the message names it
│   └── HookMappingFailed        hook.mapping          the mapping of a hook has no result for a delivery
├── RefusedRequest               request.refused       well-formed, but not possible in the current state
│   └── HookBodyUnknown          hook.content_type     the body of a delivery is neither JSON nor a form
├── MalformedRequest             request.malformed     not HTTP, or two readers could understand it differently
├── ClientTooSlow                client.too_slow       the request did not arrive in time
├── NotFound                     not_found             no record or graph has this id or name
├── Conflict                     conflict              the record exists already, or another run blocks the operation
│   ├── GraphIsOff               switch.off            the graph is switched off: no new runs
│   ├── VersionHeld              version.held          the version of the graph must not continue this state
│   ├── WorkRepeated             operation.repeats     the operation would repeat calls of tools that write
│   ├── ReviewClosed             review.closed         the question was decided, or nobody can answer it any more
│   ├── ReviewClaimed            review.claimed        somebody else works on the review
│   ├── ReviewCooldown           review.cooldown       a reminder was sent a moment ago
│   └── ReviewUndecided          review.quorum         more people must agree before the answer counts
├── ForeignHost                  host.refused          no auth file, and the host name is not allowed
├── ForeignOrigin                origin.refused        no auth file, and the page's origin is not allowed
├── NotJson                      content_type.refused  no auth file, and the body is not declared as JSON
├── RateLimited                  rate.limited          the client has sent more requests than its rate permits
├── TooManyStreams               streams.too_many      the user has as many streams open as one may have
├── AccessRefused                access.refused        the auth file rejected the user or the operation
│   ├── HookSignatureRefused     hook.signature        a delivery to a hook has no valid signature of its sender
│   └── ReviewRefused            review.refused        the policy of the review does not let this user decide
├── AuthBroken                   auth.broken           the auth file failed; the operation is not authorized
├── TooLarge                     too_large             larger than a limit in bytes
│   ├── RequestLineTooLong       request_line.too_long the path and the query are longer than the limit
│   └── HeadersTooLarge          headers.too_large     a header, or all together, exceed a limit
├── Unavailable                  unavailable           cannot be stored now; has the time to retry after
│   ├── IssuerUnavailable        issuer.unavailable    the keys of the issuer of tokens cannot be read now
│   ├── StoreUnavailable         store.unavailable     Redis does not reply, is loading, read-only or full
│   ├── TooManyConnections       connections.too_many  the web process has as many connections as it may have
│   ├── Overloaded               overloaded            Redis is above its high-water mark: no new runs
│   └── BudgetUsedUp             ceiling.runs          a budget has no room for a further run until it resets
├── BreakerOpen                  breaker.open          calls of a model or a tool fail, so none is made for a while
├── Fenced                       attempt.fenced        this attempt no longer owns its run
├── OutsideRun                   run.outside           called outside of a run, or in a thread without its context
├── StoredDataError              store.data            stored bytes cannot be read
└── RunFailure                   run.failed            why a run ended `failed`
    ├── CeilingHit               ceiling.<name>        the run's chain reached a ceiling
    ├── InputRefused             input.invalid         the graph's state schema rejects the input
    ├── StateRefused             state.refused         the state holds a value that cannot be stored
    ├── GraphUnavailable         graph.unavailable     the graph does not import or compile, or its factory fails
    ├── ModelUnavailable         model.unavailable     no model of a route replied, or one broke off
    ├── OutputUnbounded          model.unbounded       a limited call of a model has no known bound; it was not made
    ├── NodeFailed               node.failed           a node raised, and its retries are used up
    └── ToolError                tool.error            a call of a registered tool has no result
        ├── ToolRefused          tool.denied           no grant permits the call, or it is made outside of a run
        ├── ToolRejected         tool.rejected         people who review calls rejected it
        ├── ToolArgumentsInvalid tool.arguments        the arguments do not match the tool's schema
        ├── ToolResultInvalid    tool.result           the tool returned what does not match its schema
        ├── ToolTimeout          tool.timeout          the tool took longer than it may
        ├── ToolFailed           tool.failed           the tool failed, and its exception must not be shown
        └── SecretMissing        tool.secret           a secret is not set, or the tool does not declare it

The names of the classes are part of the wire protocol: clients receive them as `error`. `api/responses.py` maps the
classes to HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final


class SlipwayError(Exception):
    """The base class. `code` is stable. `retryable`: the same request may succeed later."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def details(self) -> dict[str, Any]:
        """The members of the error response in addition to `detail`."""
        return {"code": self.code}


class ConfigError(SlipwayError):
    """Settings or langgraph.json are invalid. The process does not start."""

    code = "config.invalid"


class InvalidRequest(SlipwayError):
    """A field of a request is invalid. `field` is its path, such as `config.recursion_limit`. `known` lists the allowed
    values if they are few."""

    code = "request.invalid"

    def __init__(self, field: str, problem: str, known: Iterable[str] | None = None) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field, self.known = field, None if known is None else sorted(known)

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "field": self.field} | ({} if self.known is None else {"known": self.known})


class HookMappingFailed(InvalidRequest):
    """An expression of a hook has no result for a delivery, or one that is not possible there. `field` is the key of
    the hook in langgraph.json, such as `input.title`."""

    code = "hook.mapping"

    def __init__(self, hook: str, field: str, problem: str) -> None:
        super().__init__(f"slipway.hooks.{hook}.{field}", problem)


class RefusedRequest(SlipwayError):
    """The request is well-formed, but not possible in the current state."""

    code = "request.refused"


class NotFound(SlipwayError):
    """No record has this id, or none to which the operation applies. `known` lists the existing ids if they are few.
    `problem` and `why` are the second half of the message."""

    code = "not_found"

    def __init__(
        self,
        kind: str,
        record_id: str,
        known: Iterable[str] | None = None,
        *,
        problem: str = "not found",
        why: str = "it does not exist",
    ) -> None:
        names = None if known is None else sorted(known)
        exists = "" if names is None else f"; existing: {', '.join(names)}" if names else "; none exists yet"
        super().__init__(f"{kind} {record_id!r} {problem}: {why}{exists}")
        self.kind, self.record_id, self.known = kind, record_id, names

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "kind": self.kind, "id": self.record_id} | (
            {} if self.known is None else {"known": self.known}
        )


class Conflict(SlipwayError):
    """The record exists already, or another run blocks the operation. `details` become members of the response."""

    code = "conflict"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self._details = details

    def details(self) -> dict[str, Any]:
        return {"code": self.code} | self._details


class GraphIsOff(Conflict):
    """An operator has switched the graph off: no new runs are accepted. The member `switch` says who, when and why."""

    code = "switch.off"
    retryable = True


class VersionHeld(Conflict):
    """The version of the graph that would continue a state must not, because another one wrote it. The member `reasons`
    has what does not fit, as in the member `held` of a run."""

    code = "version.held"


class WorkRepeated(Conflict):
    """What an operator wants would make calls of tools that write again, or discard results. The members `calls` and
    `discarded` say which."""

    code = "operation.repeats"


class AccessRefused(SlipwayError):
    """The project's auth file has rejected the user or the operation. The response has this `status` and these
    `headers`."""

    code = "access.refused"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


class HookSignatureRefused(AccessRefused):
    """A delivery to a hook has no valid signature of its sender, or one whose time is outside of the window. Nothing of
    it is stored."""

    code = "hook.signature"

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail)


class ReviewClosed(Conflict):
    """The review has its decision, or nobody can answer its question any more. The details have the first decision, or
    say what happened."""

    code = "review.closed"


class ReviewClaimed(Conflict):
    """Another person has claimed the review."""

    code = "review.claimed"


class ReviewCooldown(Conflict):
    """A reminder was sent a moment ago. The details say when the next one is possible."""

    code = "review.cooldown"


class ReviewUndecided(Conflict):
    """The answer of one person is not enough. The details say where the others decide."""

    code = "review.quorum"


class ReviewRefused(AccessRefused):
    """The policy of the review does not let this user decide: by its groups, or because the user started the run."""

    code = "review.refused"

    def __init__(self, detail: str, review_id: str) -> None:
        super().__init__(403, detail)
        self.review_id = review_id

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "review_id": self.review_id}


class ForeignHost(SlipwayError):
    """The deployment has no auth file, and the host name of the request is not one of its own. Another site may have
    made that name resolve to this address (DNS rebinding)."""

    code = "host.refused"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"without an auth file this server does not accept the host name {name!r}: if it is this server's, set "
            f"SLIPWAY_ALLOWED_HOSTS={name}"
        )


class ForeignOrigin(SlipwayError):
    """The deployment has no auth file, and a page of another site has sent the request."""

    code = "origin.refused"

    def __init__(self, origin: str | None) -> None:
        """`origin` is the header of the request. None if the browser sent another header that says where it is from."""
        if origin == "null":
            super().__init__(
                "without an auth file a page without an address of its own, which was opened from a file or in a "
                "sandboxed frame, may not call this server: open it from a web server, such as http://localhost:3000"
            )
            return
        pages = "pages of another site" if origin is None else f"pages of {origin!r}"
        super().__init__(
            f"without an auth file {pages} may not call this server: to allow them, add their origin to "
            "http.cors.allow_origins in langgraph.json"
        )


class NotJson(SlipwayError):
    """The deployment has no auth file, and the content type of the body is one that browsers let pages of any site send
    without a preflight request."""

    code = "content_type.refused"

    def __init__(self, content_type: str) -> None:
        has = f"{content_type!r} is not accepted" if content_type else "is missing"
        super().__init__(f"content-type: {has} without an auth file: send application/json")


class HookBodyUnknown(RefusedRequest):
    """The body of a delivery to a hook is neither JSON nor a form."""

    code = "hook.content_type"


class AuthBroken(SlipwayError):
    """A handler of the project's auth file raised, or returned an invalid value. The message is for the log; clients do
    not receive it."""

    code = "auth.broken"


class TooLarge(SlipwayError):
    """Larger than a limit in bytes that an operator has set."""

    code = "too_large"


class RequestLineTooLong(TooLarge):
    """The path and the query of a request are longer than `limit` bytes."""

    code = "request_line.too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the path and the query are longer than {limit} bytes (SLIPWAY_MAX_REQUEST_LINE_BYTES)")


class HeadersTooLarge(TooLarge):
    """A header, the number of headers or all headers together exceed a limit."""

    code = "headers.too_large"

    def __init__(self, count: int, each: int, together: int) -> None:
        super().__init__(
            f"the headers exceed a limit: at most {count} headers, {each} bytes for one, {together} bytes together "
            "(SLIPWAY_MAX_HEADERS, SLIPWAY_MAX_HEADER_BYTES, SLIPWAY_MAX_HEADERS_BYTES)"
        )


class MalformedRequest(SlipwayError):
    """What a client sent is not HTTP, or two programs could find different requests in it."""

    code = "request.malformed"


class ClientTooSlow(SlipwayError):
    """A part of the request did not arrive in time. `what` names it."""

    code = "client.too_slow"
    retryable = True

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} did not arrive in time")


class RateLimited(SlipwayError):
    """The client has sent more requests than its rate permits; nothing was done. The next one is permitted in
    `retry_after_s` seconds. `allowances` say what the client has left of each policy
    (`rate_limits.allowance.Allowance`)."""

    code = "rate.limited"
    retryable = True

    def __init__(self, policy: str, retry_after_s: int, allowances: Sequence[Any] = ()) -> None:
        super().__init__(f"more requests than the rate {policy!r} permits: try again in {retry_after_s} s")
        self.policy, self.retry_after_s, self.allowances = policy, retry_after_s, allowances

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "policy": self.policy, "retry_after_s": self.retry_after_s}


class TooManyStreams(SlipwayError):
    """The user has `limit` streams open, and gets no further one; nothing was done."""

    code = "streams.too_many"
    retryable = True
    retry_after_s: Final = 5

    def __init__(self, limit: int) -> None:
        super().__init__(f"you have {limit} streams open, and may have no more at the same time: close one")


class Unavailable(SlipwayError):
    """Cannot be stored now. The client may retry after `retry_after_s` seconds."""

    code = "unavailable"
    retryable = True

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyConnections(Unavailable):
    """The web process has `limit` connections, and accepts no more."""

    code = "connections.too_many"

    def __init__(self, limit: int) -> None:
        super().__init__(f"this process serves {limit} connections, and accepts no more (SLIPWAY_MAX_CONNECTIONS)")


class IssuerUnavailable(Unavailable):
    """The keys of the issuer of bearer tokens cannot be read now, so no token can be verified."""

    code = "issuer.unavailable"


class StoreUnavailable(Unavailable):
    """Redis did not reply, or replied that it cannot store anything now."""

    code = "store.unavailable"


class NotReplicated(Unavailable):
    """Replicas of Redis do not confirm what a run with durability `replicated` writes. The message says whether the run
    is stored all the same."""

    code = "store.not_replicated"


class Overloaded(Unavailable):
    """The memory of Redis has no room below the high-water mark. New runs are rejected, and runs in progress continue.
    `ratio` is the used part of the memory, `reserved` the part that runs in progress are expected to use, `limit` the
    high-water mark."""

    code = "overloaded"

    def __init__(
        self, ratio: float, limit: float, retry_after_s: int, *, reserved: float = 0.0, advice: str = ""
    ) -> None:
        self.ratio, self.reserved, self.limit = round(ratio, 4), round(reserved, 4), limit
        super().__init__(f"{self.sentence(self.ratio, limit, self.reserved)}{advice}", retry_after_s)

    def for_answer(self) -> Overloaded:
        """The error for a run that would continue a waiting run of its thread."""
        advice = "; to resume takes a new run: the interrupt stays open, answer it later"
        return Overloaded(self.ratio, self.limit, self.retry_after_s, reserved=self.reserved, advice=advice)

    @staticmethod
    def sentence(ratio: float, limit: float, reserved: float = 0.0) -> str:
        """How much memory Redis uses, and the limit, as a sentence."""
        more = f", and runs in progress are expected to need {reserved:.1%} more" if reserved else ""
        return f"Redis's memory is {ratio:.1%} full{more}; new runs are rejected above {limit:.0%}"

    def details(self) -> dict[str, Any]:
        return {"code": self.code, "memory_ratio": self.ratio, "reserved_ratio": self.reserved, "limit": self.limit}


class BreakerOpen(SlipwayError):
    """The circuit breaker of a model or a tool is open, so the call was not made. The next call is permitted in
    `retry_in_s` seconds. `problem` is the class of the last of `failures` failures in a row."""

    code = "breaker.open"
    retryable = True

    def __init__(self, kind: str, name: str, failures: int, problem: str, retry_in_s: float) -> None:
        super().__init__(
            f"the {kind} {name!r} was not called: its last {failures} calls failed (the last with {problem}), and its "
            f"circuit breaker permits the next call in {retry_in_s:.0f} s"
        )
        self.kind, self.name, self.failures = kind, name, failures
        self.problem, self.retry_in_s = problem, retry_in_s


class BudgetUsedUp(Unavailable):
    """A budget of an owner or a graph has no room for a further run. It resets after `retry_after_s` seconds."""

    code = "ceiling.runs"

    def __init__(self, hit: CeilingHit, retry_after_s: int) -> None:
        super().__init__(str(hit), retry_after_s)
        self._numbers = hit.numbers()

    def details(self) -> dict[str, Any]:
        return {"code": self.code} | self._numbers


class Fenced(SlipwayError):
    """A newer attempt owns the run, or the run has ended. Redis rejects every further write of this attempt."""

    code = "attempt.fenced"


class OutsideRun(SlipwayError):
    """Code called what only the code of a run may call, outside of a run, or in a thread that was started without the
    context of a node. `what` names it."""

    code = "run.outside"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was called outside of a run, or in a thread without the context of its node: start the thread "
            "with asyncio.to_thread or contextvars.copy_context().run"
        )


class StoredDataError(SlipwayError):
    """A stored value cannot be read: it is corrupt, encrypted with another key, or of a class that is not allowed."""

    code = "store.data"


class RunFailure(SlipwayError):
    """Why a run ended in the phase `failed`. `node` is the node that caused the failure, or None."""

    code = "run.failed"

    def __init__(self, message: str, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


CODES: Final = {"active_s": "time", "step_s": "step_time", "cost_usd": "cost"}
"""The end of the code of a ceiling, where it is not the name without `max_`."""
_LIMITS: Final = {code: f"max_{name}" for name, code in CODES.items()}


def limit_name(ceiling: str) -> str:
    """The name of the limit whose code ends with `ceiling`, such as `max_steps`."""
    return _LIMITS.get(ceiling, f"max_{ceiling}")


class CeilingHit(RunFailure):
    """The chain reached a ceiling, or a budget is used up. `ceiling` is the part of the code after `ceiling.`. `needed`
    is what the refused call could have used. `scope` names a budget, such as `owner/day`; it resets at `resets_at`
    (ISO 8601)."""

    def __init__(
        self,
        ceiling: str,
        limit: float,
        used: float,
        node: str | None = None,
        *,
        needed: float = 0,
        scope: str | None = None,
        resets_at: str | None = None,
    ) -> None:
        more = f", and the call may need {_short(needed)} more" if needed else ""
        what = f"budget {ceiling} ({scope}) used up" if scope else f"ceiling {limit_name(ceiling)} reached"
        reset = f"; it resets at {resets_at}" if resets_at else ""
        super().__init__(f"{what}: {_short(used)} of {_short(limit)}{more}{reset}", node)
        self.ceiling, self.limit, self.used = ceiling, limit, used
        self.scope, self.resets_at = scope, resets_at

    @property
    def full_code(self) -> str:
        """Such as `ceiling.steps`."""
        return f"ceiling.{self.ceiling}"

    def details(self) -> dict[str, Any]:
        return {"code": self.full_code} | self.numbers()

    def numbers(self) -> dict[str, Any]:
        """The limit and what is used; for a budget, also its scope and when it resets."""
        of_budget = {"scope": self.scope, "resets_at": self.resets_at} if self.scope else {}
        return {"limit": self.limit, "used": self.used} | of_budget


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.6g}"


class InputRefused(RunFailure):
    """The graph's state schema rejects the input. The message names the field."""

    code = "input.invalid"


class StateRefused(RunFailure):
    """The state contains a value that cannot be stored. The message names its class and what to do."""

    code = "state.refused"


class GraphUnavailable(RunFailure):
    """The graph cannot be imported or compiled, its factory fails, a rule of `slipway.grants` names a node that it does
    not have, or the process does not serve the version to which a thread is pinned. Only the log has the text of an
    exception of the project's code, because it may contain addresses and passwords."""

    code = "graph.unavailable"


class ModelUnavailable(RunFailure):
    """No model of a route has replied, or a model failed after it had sent a part of its reply. The message says what
    an operator can do. `failures` has the reason of each model that was tried."""

    code = "model.unavailable"
    retryable = True

    def __init__(self, message: str, failures: Mapping[str, str]) -> None:
        super().__init__(message)
        self.failures = dict(failures)


class OutputUnbounded(RunFailure):
    """A ceiling or a budget limits a call of a model, and nobody knows how much it generates at most. The call was not
    made. A graph can catch it, and call another model. `limited_by` names the ceiling or the budget."""

    code = "model.unbounded"

    def __init__(self, model: str, limited_by: str, node: str | None = None) -> None:
        super().__init__(
            f"the model {model!r} was not called: {limited_by} limits it, and nobody says how many tokens one call "
            "generates at most. Set max_tokens of the model, or max_output_tokens of its price in slipway.prices; "
            "or set SLIPWAY_MODEL_OUTPUT_TOKENS to a number that is assumed for all such models",
            node,
        )
        self.model, self.limited_by = model, limited_by


class NodeFailed(RunFailure):
    """A node raised an exception, and its retries are used up. `error` is the name of the exception's class."""

    code = "node.failed"

    def __init__(self, error: str, message: str, node: str | None = None) -> None:
        super().__init__(message, node)
        self.error = error


class ToolError(RunFailure):
    """A call of a registered tool has no result. `tool` is the name of the tool. A graph can catch it; otherwise its
    run fails with the code."""

    code = "tool.error"

    def __init__(self, message: str, tool: str = "", node: str | None = None) -> None:
        super().__init__(message, node)
        self.tool = tool


class ToolRefused(ToolError):
    """The call was not made: no grant permits it or a rule forbids it (the message names the rule), or it was made
    outside of a run. Nothing was executed."""

    code = "tool.denied"


class ToolRejected(ToolError):
    """People who review calls rejected this one. `reason` is their message. Nothing was executed."""

    code = "tool.rejected"

    def __init__(self, message: str, tool: str = "", node: str | None = None, *, reason: str = "") -> None:
        super().__init__(message, tool, node)
        self.reason = reason


class ToolArgumentsInvalid(ToolError):
    """The arguments do not match the tool's schema; the message names the argument. Nothing was executed."""

    code = "tool.arguments"


class ToolResultInvalid(ToolError):
    """The tool was executed, and returned what does not match its schema."""

    code = "tool.result"


class ToolTimeout(ToolError):
    """The tool took longer than its `timeout_s`. Whether it had its effect is not known."""

    code = "tool.timeout"


class ToolFailed(ToolError):
    """The tool failed. Its own exception is not raised because its text contains a secret, or there is none.
    `is_fault`: the service behind the tool does not work, and another tool may take its place."""

    code = "tool.failed"

    def __init__(self, message: str, tool: str = "", node: str | None = None, *, is_fault: bool = False) -> None:
        super().__init__(message, tool, node)
        self.is_fault = is_fault


class SecretMissing(ToolError):
    """A secret is not set in the environment, or the tool that asks for it does not declare it."""

    code = "tool.secret"
