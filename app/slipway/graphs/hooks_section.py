"""The section `slipway.hooks` of `langgraph.json`: incoming webhooks.

    "hooks": {
      "github": {"assistant": "triage", "verify": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"},
                 "events": ["push"], "thread": "body.repository.full_name",
                 "input": {"commits": "body.commits[].message"}},
      "approval": {"verify": {"scheme": "slack", "secret_env": "SLACK_SIGNING_SECRET"},
                   "thread": "body.callback_id", "resume": "body.actions[0].value"}
    }

`POST /hooks/NAME` receives their deliveries (docs/incoming-webhooks.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from slipway.credential_headers import is_credential
from slipway.graphs.config_errors import at_line, reject
from slipway.graphs.hook_mapping import (
    BODY_NAMES,
    EVENT_NAMES,
    Leaf,
    MappingError,
    Path,
    Template,
    compiled_leaf,
    compiled_template,
    path_text,
)
from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import PositiveNumber, PositiveWhole, StrictSection
from slipway.json_expressions import Expression
from slipway.value_problems import did_you_mean

HOOK_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Scheme = Literal["standard", "github", "stripe", "slack", "hmac"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")

SIGNATURE_HEADERS: Final[Mapping[Scheme, frozenset[str]]] = {
    "standard": frozenset({"webhook-signature", "svix-signature"}),
    "github": frozenset({"x-hub-signature-256", "x-hub-signature"}),
    "stripe": frozenset({"stripe-signature"}),
    "slack": frozenset({"x-slack-signature"}),
    "hmac": frozenset(),
}
"""The headers with the signatures of each scheme; `hmac` names its own. They are never stored."""

KEPT_HEADERS: Final[Mapping[Scheme, frozenset[str]]] = {
    "standard": frozenset({"webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"}),
    "github": frozenset({"x-github-event", "x-github-delivery", "x-github-hook-id"}),
    "stripe": frozenset(),
    "slack": frozenset({"x-slack-request-timestamp", "x-slack-retry-num", "x-slack-retry-reason"}),
    "hmac": frozenset(),
}
"""The headers that are stored with a delivery, beside `ALWAYS_KEPT` and those that the mapping names."""
ALWAYS_KEPT: Final = frozenset({"content-type", "user-agent"})


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name.lower()):
        raise ValueError(f"{name!r} is not the name of a header")
    return name.lower()


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("expected the name of an environment variable, not a secret itself")
    return name


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Each = TypeVar("_Each")
OneOrSeveral = Annotated[list[_Each], BeforeValidator(_listed)]
HeaderName = Annotated[Text, AfterValidator(_header)]
VariableName = Annotated[Text, AfterValidator(_variable)]
HookName = Annotated[str, Field(pattern=HOOK_NAME)]


class VerifySection(StrictSection):
    """`verify`: how the signature of a delivery is checked. Each secret is the value of an environment variable or the
    content of a file. A delivery that any of them has signed is accepted, so that a secret can be replaced."""

    scheme: Scheme
    secret_env: OneOrSeveral[VariableName] = Field(default_factory=list)
    """One name, or a list of names."""
    secret_file: OneOrSeveral[Text] = Field(default_factory=list)
    """One path, or a list of paths. They are relative to the folder of the file."""
    window_s: PositiveNumber = 300.0
    """Seconds that the timestamp of a delivery may differ from the time of this server, for schemes with one."""
    header: HeaderName | None = None
    """`hmac`: the header with the signature."""
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    """`hmac`: what precedes the signature in its header, such as `sha256=`."""
    timestamp_header: HeaderName | None = None
    """`hmac`: the header with the time in s or ms since 1970. Then `<time>.<body>` is signed, otherwise the body."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.secret_env and not self.secret_file:
            raise ValueError("needs secret_env (the name of an environment variable) or secret_file")
        if self.scheme == "hmac":
            if self.header is None:
                raise ValueError("the scheme hmac needs header: the header with the signature")
            if self.timestamp_header is not None and self.timestamp_header == self.header:
                raise ValueError("header and timestamp_header must be two headers")
            if self.timestamp_header is not None and is_credential(self.timestamp_header):
                raise ValueError(f"timestamp_header: {self.timestamp_header!r} is a header of credentials")
        elif own := sorted(self.model_fields_set & {"header", "algorithm", "encoding", "prefix", "timestamp_header"}):
            raise ValueError(f"{own[0]} is only for the scheme hmac; {self.scheme} has its own")
        if not self.has_timestamp and "window_s" in self.model_fields_set:
            raise ValueError("window_s has no effect: what is signed has no timestamp")
        return self

    @property
    def has_timestamp(self) -> bool:
        """Whether a signature includes a time, so that a delivery cannot be sent again later."""
        return self.scheme in ("standard", "stripe", "slack") or self.timestamp_header is not None

    @property
    def signature_headers(self) -> frozenset[str]:
        return SIGNATURE_HEADERS[self.scheme] | ({self.header} if self.header else set())

    @property
    def kept_headers(self) -> frozenset[str]:
        of_scheme = KEPT_HEADERS[self.scheme] | ({self.timestamp_header} if self.timestamp_header else set())
        return ALWAYS_KEPT | of_scheme


class DecideSection(StrictSection):
    """`decide`: the delivery decides a review."""

    review: Text
    """An expression: the id of the review."""
    decision: Any
    """A template: the members of a decision, as `POST /ops/reviews/{review_id}/decide` takes them."""


class HookSection(StrictSection):
    """`slipway.hooks.NAME`. Texts in `event`, `when`, `id`, `thread`, `thread_id`, `run_id`, `input`, `resume`,
    `metadata` and `decide` are expressions (`graphs/hook_mapping.py`)."""

    verify: VerifySection
    assistant: Text | None = None
    """The id of an assistant, or the name of a graph."""
    event: Text | None = None
    """The event type; by default that of the scheme."""
    events: Annotated[list[Text], Field(min_length=1)] | None = None
    """Only deliveries of these event types create runs. `pull_request` stands for `pull_request.opened` as well."""
    when: Text | None = None
    """A delivery is ignored if this is false, empty or null."""
    id: Text | None = None
    """The delivery id, by which a repetition is recognised; by default that of the scheme."""
    input: Any = None
    thread: Text | None = None
    """A text or a number, from which the thread id is made: the same text means the same thread of this hook."""
    thread_id: Text | None = None
    """The id of a thread, a UUID."""
    run_id: Text | None = None
    """With `resume`: the id of the waiting run."""
    if_not_exists: Literal["create", "reject"] | None = None
    """Whether the thread is created; by default it is, unless `thread_id` names it."""
    resume: Any = None
    """The answer to the interrupt of the thread's waiting run."""
    decide: DecideSection | None = None
    metadata: dict[Text, Any] = Field(default_factory=dict)
    """Of the run, and of a thread that it creates."""
    owner: Text | None = None
    groups: list[Text] = Field(default_factory=list)
    """The groups of the hook, for questions whose policy names groups."""
    multitask_strategy: Literal["reject", "interrupt", "rollback", "enqueue"] = "enqueue"
    max_bytes: PositiveWhole = 1 << 20
    """The largest body."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        actions = [name for name in ("input", "resume", "decide") if name in given]
        if len(actions) > 1:
            raise ValueError(f"{actions[0]} and {actions[1]} exclude each other: a delivery does one of them")
        threads = [name for name in ("thread", "thread_id", "run_id") if getattr(self, name) is not None]
        if len(threads) > 1:
            raise ValueError(f"{threads[0]} and {threads[1]} exclude each other")
        if self.decide is not None:
            self._reject(given, "a decision needs none", *_OF_RUNS, *threads, "assistant")
        elif "resume" in given:
            if not threads:
                raise ValueError("resume needs thread, thread_id or run_id: which run waits")
            self._reject(given, "a run that waits has a thread", "if_not_exists", "multitask_strategy")
        else:
            if self.assistant is None or "input" not in given:
                raise ValueError("names nothing to do: it needs assistant and input, or resume, or decide")
            if self.run_id is not None:
                raise ValueError("run_id is only for resume")
        if self.events is not None and self.event is None and self.verify.scheme == "hmac":
            raise ValueError("events needs event: the scheme hmac has no event types")
        if self.id is None and self.verify.scheme == "hmac" and self.verify.timestamp_header is None:
            raise ValueError(
                "needs id, or verify.timestamp_header: otherwise whoever reads a delivery can send it again for ever; "
                'with "id": "digest" every body is accepted once'
            )
        return self

    @staticmethod
    def _reject(given: set[str], why: str, *names: str) -> None:
        if found := next((name for name in names if name in given), None):
            raise ValueError(f"{found} has no effect: {why}")

    @model_validator(mode="after")
    def _check_metadata(self) -> Self:
        if own := _SET_BY_SLIPWAY & self.metadata.keys():
            raise ValueError(f"metadata.{min(own)} is set by Slipway; leave it out")
        return self


_OF_RUNS: Final = ("if_not_exists", "multitask_strategy", "metadata")
_SET_BY_SLIPWAY: Final = frozenset(
    {"owner", "hook", "hook_delivery", "graph_id", "assistant_id", "thread_id", "run_id", "cron_id"}
    | {"owner?", "hook?", "hook_delivery?"}
)

_DEFAULT_EVENTS: Final[Mapping[Scheme, str | None]] = {
    "github": (
        "body.action && join('.', [headers.\"x-github-event\" || 'unknown', to_string(body.action)])"
        ' || headers."x-github-event"'
    ),
    "stripe": "body.type",
    "standard": "body.type",
    "slack": "body.event.type || body.type || body.command",
    "hmac": None,
}
_DEFAULT_IDS: Final[Mapping[Scheme, str]] = {
    "standard": 'headers."webhook-id" || headers."svix-id"',
    "github": "digest",
    "stripe": "body.id || digest",
    "slack": "body.event_id || digest",
    "hmac": "digest",
}
"""Nothing else would do: what is not signed could be changed by whoever sends a delivery again."""


@dataclass(frozen=True, slots=True)
class HookConfig:
    """A hook with its compiled expressions. Those that the section leaves out are None."""

    name: str
    section: HookSection
    event: Leaf | None
    delivery_id: Leaf
    when: Leaf | None
    input: Template | None
    resume: Template | None
    thread: Leaf | None
    thread_id: Leaf | None
    run_id: Leaf | None
    review: Leaf | None
    decision: Template | None
    metadata: Template | None

    @property
    def kept_headers(self) -> frozenset[str]:
        """The headers that expressions see and that are stored, in lower case."""
        named = frozenset(name for each in self._expressions() for name in each.headers)
        return self.section.verify.kept_headers | named

    def _expressions(self) -> Iterator[Expression]:
        leaves = (self.event, self.delivery_id, self.when, self.thread, self.thread_id, self.run_id, self.review)
        yield from (leaf.expression for leaf in leaves if leaf is not None)
        for template in (self.input, self.resume, self.decision, self.metadata):
            yield from () if template is None else template.expressions


def hook_configs(
    file: str, text: str, hooks: Mapping[str, HookSection], graphs: Mapping[str, object]
) -> dict[str, HookConfig]:
    """Compiles the expressions of all hooks. Raises `ConfigError` for one that does not compile, with its line in
    `text`, and for an assistant that is neither a graph in `graphs` nor an id."""
    found = {}
    for name, section in hooks.items():
        try:
            found[name] = _config(name, section)
            _check_assistant(section, graphs)
        except MappingError as error:
            path: Path = ("slipway", "hooks", name, *error.path)
            reject(at_line(file, text, path), path_text(path), error.problem)
    return found


def _config(name: str, section: HookSection) -> HookConfig:
    scheme, given = section.verify.scheme, section.model_fields_set
    event = section.event or _DEFAULT_EVENTS[scheme]
    config = HookConfig(
        name=name,
        section=section,
        event=None if event is None else compiled_leaf(event, ("event",), BODY_NAMES, optional=True),
        delivery_id=compiled_leaf(section.id or _DEFAULT_IDS[scheme], ("id",), EVENT_NAMES),
        when=_leaf(section.when, "when", optional=True),
        input=compiled_template(section.input, ("input",)) if "input" in given else None,
        resume=compiled_template(section.resume, ("resume",)) if "resume" in given else None,
        thread=_leaf(section.thread, "thread"),
        thread_id=_leaf(section.thread_id, "thread_id"),
        run_id=_leaf(section.run_id, "run_id"),
        review=None if section.decide is None else compiled_leaf(section.decide.review, ("decide", "review")),
        decision=None if section.decide is None else compiled_template(section.decide.decision, ("decide", "decision")),
        metadata=compiled_template(section.metadata, ("metadata",)) if section.metadata else None,
    )
    _check_headers(config)
    return config


def _leaf(text: str | None, name: str, *, optional: bool = False) -> Leaf | None:
    return None if text is None else compiled_leaf(text, (name,), optional=optional)


def _check_headers(config: HookConfig) -> None:
    """What an expression names is stored, so it must not be a secret."""
    signatures = config.section.verify.signature_headers
    for name in sorted(config.kept_headers):
        if name in signatures or is_credential(name):
            raise MappingError((), f"an expression reads the header {name!r}, which has credentials")
        if name != name.lower():
            raise MappingError((), f"an expression reads the header {name!r}: write it in lower case")


def _check_assistant(section: HookSection, graphs: Mapping[str, object]) -> None:
    name = section.assistant
    if name is None or name in graphs:
        return
    try:
        UUID(name)
    except ValueError:
        raise MappingError(("assistant",), f"unknown graph {name!r}{did_you_mean(name, graphs)}") from None
