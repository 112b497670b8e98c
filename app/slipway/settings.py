"""Every setting of Slipway with its default, its unit and its description, and the combinations that are rejected.

Each setting has an environment variable: `SLIPWAY_MAX_STEPS` for `max_steps` (see `environment_variables`). Only
`Settings.load` reads the environment; `Settings(...)` uses only its arguments.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from slipway.environment_variables import REDIS_URL_NAMES, RELEASE_NAMES, platform_settings, settings_of, variable_of
from slipway.errors import ConfigError
from slipway.model_prices import ModelPrice
from slipway.rates import Rate, rate_from
from slipway.redaction.known_secrets import KNOWN
from slipway.value_problems import problem_of

KIB: Final = 1024
MIB: Final = 1024 * KIB

MOST_SHARDS: Final = 1024
"""The most shards of threads that a deployment may have."""
CLUSTER_SHARDS: Final = 64
"""The shards of threads on a cluster, if no setting says otherwise."""

_HOST_NAME: Final = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:.]+:[0-9a-f:.]*")
"""A host name, `*.name` for all names below it, an IP address without brackets, or `*`."""

ProxyHeader = Literal["x-forwarded-for", "forwarded"]
_URL: Final = re.compile(r"https://[^\s/]+(/\S*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/\S*)?")
"""A URL from which the keys of an issuer of tokens may be read."""

REMOVED: Final = {
    "sse_buffer_events": "this setting was removed, because no events wait for a slow client any more; leave it out",
}
"""Settings of earlier releases, each with the error message when it is set."""


def _quoted(name: str) -> str:
    return f"`{name}`"


class Settings(BaseModel):
    """All settings, validated together. They do not change while a process is running."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # addresses and paths
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey: `redis://`, `rediss://` or `unix://`; for a cluster several hosts, such as "
        "`redis://a:6379,b:6379,c:6379`. When it is not set, `REDIS_TLS_URL`, "
        "`REDIS_URL` and `REDISCLOUD_URL` of the process are read. Without an address, `slipway dev` starts a server",
    )
    redis_cluster: bool = Field(
        default=False,
        description="Whether the server at the address is one of a Redis or Valkey Cluster. An address with several "
        "hosts is always that of a cluster",
    )
    arq_redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis or Valkey that is no cluster, for the project's arq application, because arq cannot use a "
        "cluster. Without it, the application uses the Redis of Slipway",
    )
    redis_tls_verify: bool = Field(
        default=True,
        description="Whether the certificate of a `rediss://` server is verified; `0` accepts every certificate, such "
        "as the self-signed one of Heroku's Redis",
    )
    redis_ca_file: Path | None = Field(
        default=None,
        description="A PEM file with the certificate authorities for a `rediss://` server, instead of the system's",
    )
    key_prefix: str = Field(
        default="slipway",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="First part of every key in Redis; deployments with different prefixes can share a server",
    )
    shards: int | None = Field(
        default=None,
        ge=1,
        le=MOST_SHARDS,
        description="Into how many shards the threads are divided ([why](scale.md#shards)). It cannot be changed "
        f"later. When it is not set, 1; {CLUSTER_SHARDS} on a cluster, which needs at least 2",
    )
    config: Path = Field(default=Path("langgraph.json"), description="Path of `langgraph.json`, which names the graphs")
    release: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]{0,47})?$",
        description="Name of the release of the project, which is part of the name of a "
        "[graph version](versions.md#declaring-versions) that `langgraph.json` does not name. "
        f"When it is not set, the first of {', '.join(map(_quoted, RELEASE_NAMES))} of "
        "the process that is set is read",
    )
    data_dir: Path = Field(
        default=Path(".slipway"), description="Folder where `slipway dev` stores the data of its own server"
    )
    library_dir: Path = Field(
        default=Path("examples/library"),
        description="Folder of the documents that `research_assistant` reads when its input has none",
    )
    model: str | None = Field(
        default=None,
        description="Chat models of nodes without a [route](models.md) of their own, in the order in which they are "
        "tried: `openai:gpt-5,anthropic:claude-sonnet-5`; needs the extra `models`",
    )
    model_timeout_s: float = Field(
        default=120, gt=0, description="Time without any part of a model's reply after which the next model is tried"
    )

    # web
    host: str = Field(default="127.0.0.1", description="Address the web process listens on")
    port: int = Field(
        default=8123,
        ge=0,
        le=65535,
        description="Port the web process listens on; 0 chooses a free port. When it is not set, `PORT` of the process "
        "is read",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names that the server accepts when there is no auth file, beside those of its machine and "
        "network: `desk.example`, `*.desk.example`, separated by commas; `*` accepts every name "
        "([why](open-server.md#host-names))",
    )
    rate_per_key: Rate | None = Field(
        default=None,
        description="Requests of one user, so of one API key: `100/s burst 200`, `6000/min`, `5000/h`; more get 429 "
        "([how](network-limits.md#rates)). No limit when it is not set",
    )
    rate_per_key_writes: Rate | None = Field(
        default=None,
        description="Those of them that may change something, in addition to `SLIPWAY_RATE_PER_KEY`",
    )
    rate_per_address: Rate | None = Field(
        default=None,
        description="Requests without valid credentials of one address (of IPv6: one network of 64 bits), so also "
        "guesses of keys. Without access control: all requests of one address",
    )
    rate_shadow: bool = Field(
        default=False,
        description="`1`: requests above a rate are counted and logged, but served; for finding the right rates",
    )
    page_session_s: int = Field(
        default=43_200,
        ge=60,
        le=30 * 86_400,
        description="Time after which a person who has signed in to the pages must sign in again "
        "([how](auth-and-http.md#signing-in-to-the-pages))",
    )
    max_streams_per_key: int | None = Field(
        default=None,
        ge=1,
        description="Event streams, WebSockets and waiting requests that one user has open in all processes; more get "
        "429. Without access control: of one address. No limit when it is not set",
    )
    require_keys: bool | Literal["auto"] = Field(
        default="auto",
        description="Whether each request needs an [API key](access.md), a token or credentials of the auth file; "
        "`auto`: unless the web process listens on a loopback address; `0`: without an auth file and tokens everybody "
        "who reaches the port may do everything",
    )
    jwt_issuer: str | None = Field(
        default=None,
        description="Issuer (`iss`) whose [bearer tokens](access.md#tokens) are accepted: its URL, below which "
        "`.well-known/openid-configuration` names the keys unless `SLIPWAY_JWT_JWKS_URL` does",
    )
    jwt_audience: tuple[str, ...] = Field(
        default=(), description="Audiences (`aud`), separated by commas, of which a bearer token must name one"
    )
    jwt_jwks_url: str | None = Field(default=None, description="Where the keys of the issuer are: a JSON Web Key Set")
    jwt_owner_claim: str = Field(
        default="owner", min_length=1, description="Claim of a bearer token that names the owner of its records"
    )
    jwt_scopes_claim: str = Field(
        default="scope", min_length=1, description="Claim of a bearer token with its scopes: a text or a list"
    )
    max_body_bytes: int = Field(default=10 * MIB, ge=1 * KIB, description="Largest request body")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="Addresses and networks of the proxies in front of this server, separated by commas: "
        "`10.0.0.0/8,192.0.2.7`. Only on their connections the address of the client and its scheme are read from "
        "`SLIPWAY_PROXY_HEADER` ([why](network-limits.md#behind-a-proxy))",
    )
    proxy_header: ProxyHeader = Field(
        default="x-forwarded-for",
        description="The header in which the trusted proxies report the address of the client: `x-forwarded-for` (with "
        "`x-forwarded-proto` for the scheme) or `forwarded`",
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="Most connections of clients that one web process serves at the same time; a further one gets 503 "
        "with the code `connections.too_many`",
    )
    max_request_line_bytes: int = Field(
        default=16 * KIB, ge=256, le=1 * MIB, description="Longest path with its query; a longer one gets 414"
    )
    max_headers: int = Field(
        default=100, ge=16, le=1000, description="Most headers of a request; more get 431, as do larger ones"
    )
    max_header_bytes: int = Field(
        default=16 * KIB, ge=256, le=1 * MIB, description="Largest header of a request, name and value together"
    )
    max_headers_bytes: int = Field(
        default=64 * KIB, ge=1 * KIB, le=4 * MIB, description="All headers of a request together"
    )
    max_pipelined_requests: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="Requests that may wait on a connection for the response to an earlier one; more close the "
        "connection",
    )
    request_head_timeout_s: float = Field(
        default=15,
        ge=0.5,
        description="Time in which the request line and the headers of a request must arrive; then 408",
    )
    request_body_timeout_s: float = Field(
        default=30,
        ge=0.5,
        description="Time in which the body of a request must arrive, and 1 s more for each KiB that has arrived; then "
        "408",
    )
    response_read_timeout_s: float = Field(
        default=60,
        ge=0.5,
        description="Time in which a client must read some of the response that waits for it; then its connection is "
        "closed",
    )
    keep_alive_s: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="Time after which a connection without a request is closed; longer than proxies keep one, so that "
        "no proxy sends a request on a connection that is being closed",
    )
    sse_ping_s: float = Field(default=5, gt=0, lt=55, description="Interval of the comments on an idle event stream")
    inline_budget_s: float = Field(
        default=5,
        gt=0,
        le=60,
        description="Time that an inline run may take in the web process before a worker continues it; a graph's own "
        "`inline_budget_s` wins",
    )

    # workers
    worker_processes: int = Field(default=1, ge=1, le=64, description="Processes that `slipway worker` starts")
    max_runs_per_worker: int = Field(
        default=32, ge=1, le=1000, description="Runs that one worker process executes at the same time"
    )
    max_runs_per_owner: int | None = Field(
        default=None,
        ge=1,
        description="Runs with the same `metadata.owner` that execute at the same time; no limit when it is not set",
    )
    lease_s: float = Field(
        default=8, ge=0.5, le=300, description="Time after its last heartbeat when a worker's runs are reclaimed"
    )
    heartbeat_s: float = Field(default=2, ge=0.1, description="Interval between heartbeats of a worker")
    reap_every_s: float = Field(
        default=1, ge=0.1, description="Interval between rounds of the reaper, which reclaims expired leases"
    )
    reconcile_every_s: float = Field(
        default=30,
        ge=0.1,
        description="Interval between rounds of the reconciler, which repairs stuck runs and threads",
    )
    drain_s: float = Field(default=25, ge=0, lt=30, description="Time that a stopping process has to release its runs")

    # web and workers
    event_loop_limit_s: float = Field(
        default=1,
        ge=0.05,
        description="Time that code may block the event loop of a process before `event_loop.blocked` is logged "
        "([what to do](operations.md#a-process-seems-stuck))",
    )

    # redis
    redis_patience_web_s: float = Field(
        default=2, gt=0, le=60, description="Time that a request waits while Redis is unavailable"
    )
    redis_patience_worker_s: float = Field(
        default=90, gt=0, description="Time that a run waits while Redis is unavailable"
    )
    replicated_to: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Replicas of Redis that must have a write of a run with durability `replicated` before it is "
        "acknowledged ([replicated runs](durability.md#replicated-runs))",
    )
    replicated_on: Literal["disk", "memory"] = Field(
        default="disk",
        description="Where these replicas must have the write: `disk` waits for their append-only files and that of "
        "the primary (WAITAOF), `memory` for the replicas only (WAIT)",
    )
    replicated_wait_s: float = Field(
        default=10,
        gt=0,
        le=60,
        description="Time that a request for a run with durability `replicated` waits for replicas before it is "
        "answered with 503. Runs that execute wait as long as it takes",
    )
    redis_high_water: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="New runs are rejected while Redis uses more than this part of its `maxmemory`",
    )
    redis_max_connections: int = Field(
        default=9, ge=1, description="Most connections to Redis that one process may open"
    )
    arq_connections: int = Field(
        default=2,
        ge=1,
        description="Most connections to Redis that one process opens for the project's arq application "
        "(`slipway.arq`); commands wait while all are in use",
    )
    max_store_item_bytes: int = Field(
        default=1 * MIB, ge=1 * KIB, description="Largest value of an item of the long-term store, as JSON"
    )
    search_max_checks: int = Field(
        default=20_000,
        ge=100,
        description="Entries of indexes that a search reads at most; a record that it reads only to compare it counts "
        "as 10. A response that may lack records has the header X-Search-Incomplete",
    )
    event_ttl_s: int = Field(
        default=86_400, ge=60, description="Time that the events of a run are stored after its end"
    )
    checkpointer: Literal["core", "langgraph-redis"] = Field(
        default="core",
        description="`core`: plain Redis or Valkey commands, no modules; `langgraph-redis`: the format of "
        "`langgraph-checkpoint-redis`, needs a server with RedisJSON and RediSearch",
    )
    keep_checkpoints: int | None = Field(
        default=None,
        ge=1,
        description="How many of the last checkpoints of a thread are kept when a run has ended, beside interrupts and "
        "forks ([which](checkpointers.md#keeping-only-the-last-checkpoints)); `all` when it is not set",
    )
    langgraph_redis_prefix: str = Field(
        default="checkpoint",
        pattern=r"^[^\s{},]+$",
        description="Prefix of the keys and indexes of `langgraph-redis`; the default is that of the package",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Encrypts at rest what users put in ([what](encryption.md)): 32 random bytes as base64 or hex. "
        "Several keys are separated by commas, and the first one encrypts",
    )

    hook_retention_s: int = Field(
        default=604_800,
        ge=60,
        le=366 * 86_400,
        description="Time that a delivery to a [hook](incoming-webhooks.md) is stored, with its body. A repetition "
        "within this time gets the first answer",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs outgoing webhooks by standardwebhooks.com: `whsec_` and 24 to 64 bytes in base64, `whsk_` "
        "and an ed25519 private key in base64, several of these separated by spaces, or any other text",
    )
    webhook_concurrency: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Calls that all processes together make at the same time to one endpoint that has no number of its "
        "own, and to one origin that runs of one owner name in their webhooks",
    )
    webhook_disable_after_s: int = Field(
        default=432_000,
        ge=0,
        description="Time of failures, without a success in between, after which an endpoint is disabled; 0: never",
    )
    delivered_keep_s: int = Field(
        default=604_800, ge=0, description="Time that a delivered webhook is kept, with its body and its tries"
    )
    dead_letter_keep_s: int = Field(
        default=2_592_000, ge=0, description="Time that a webhook which nobody accepted is kept, and can be replayed"
    )

    # ceilings: hard stops of a chain of runs
    max_steps: int = Field(default=500, ge=1, description="Ceiling: supersteps")
    max_node_visits: int | None = Field(
        default=None,
        ge=1,
        description="Ceiling: supersteps in which one node runs; `SLIPWAY_MAX_STEPS` when it is not set",
    )
    max_attempts: int = Field(default=5, ge=1, description="Ceiling: attempts of a run")
    max_retries: int = Field(default=20, ge=0, description="Ceiling: retries of nodes, in all")
    max_active_s: float = Field(
        default=3600, gt=0, description="Ceiling: seconds of work; waiting for people does not count"
    )
    max_step_s: float = Field(default=600, gt=0, description="Ceiling: seconds for one superstep")
    max_state_bytes: int = Field(default=64 * MIB, ge=64 * KIB, description="Ceiling: stored state of a thread")
    max_event_bytes: int = Field(default=64 * MIB, ge=64 * KIB, description="Ceiling: events of a chain of runs")
    max_tool_calls: int = Field(default=100, ge=0, description="Ceiling: calls of tools")
    max_tokens: int | None = Field(
        default=None, ge=1, description="Ceiling: input and output tokens of models; no limit when it is not set"
    )
    max_cost_usd: float | None = Field(
        default=None,
        gt=0,
        description="Ceiling: costs of models in US dollars, by `SLIPWAY_PRICES`; no limit when it is not set",
    )

    # models
    prices: dict[str, ModelPrice] = Field(
        default={},
        description="What models cost, in US dollars for one million tokens: JSON, such as "
        '`{"openai:gpt-5": {"input": 1.25, "output": 10, "cached": 0.125}}`; `slipway.prices` of langgraph.json wins',
    )
    model_output_tokens: int | None = Field(
        default=None,
        ge=1,
        description="An assumption: what a call of a model generates at most, in tokens, where neither the call nor "
        "its price nor its profile says so. Without it such a call is refused where something limits it "
        "([what for](ceilings.md#the-most-that-a-call-generates))",
    )

    # circuit breakers of models and tools
    breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row that open the [circuit breaker](models.md) of a model or a tool"
    )
    breaker_window_s: float = Field(default=60, gt=0, description="Time within which these failures happen")
    breaker_open_s: float = Field(
        default=30, gt=0, description="Time that a circuit breaker is open, until it permits one call as a probe"
    )

    # traces
    traces: bool = Field(
        default=True, description="Whether the spans of runs are stored in Redis ([traces](traces.md))"
    )
    trace_sample_ratio: float = Field(
        default=1, ge=0, le=1, description="Of which part of the traces the spans are stored in Redis"
    )
    trace_retention_s: int = Field(
        default=604_800, ge=60, le=366 * 86_400, description="Time that the spans of a run are stored"
    )
    trace_max_bytes: int = Field(
        default=64 * MIB,
        ge=1 * MIB,
        description="The most bytes that all stored spans use, and at most a tenth of the `maxmemory` of Redis; those "
        "of the oldest runs are deleted first",
    )
    trace_run_max_bytes: int = Field(
        default=64 * KIB,
        ge=4 * KIB,
        le=4 * MIB,
        description="The most bytes that the stored spans of one run use; the trace says how many spans were left out",
    )

    trace_content: bool = Field(
        default=False,
        description="Whether spans contain inputs and outputs of nodes, models and tools: redacted, up to 8 KiB each",
    )

    # metrics
    metrics: bool = Field(
        default=True,
        description="Whether scripts and processes count for [/metrics](metrics.md). Off only to measure what counting "
        "costs: afterwards the figures of the queue are wrong until workers have repaired them",
    )

    # logs
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="`text`, `json`, or `auto`: text on a terminal, JSON elsewhere"
    )

    @classmethod
    def load(
        cls, environment: Mapping[str, str] | None = None, project: Mapping[str, str] | None = None, **given: Any
    ) -> Self:
        """Reads the settings. A setting in `given` (the command line) that is not None takes precedence over the
        `environment` of the process, which takes precedence over the `env` in langgraph.json (`project`). Raises
        `ConfigError`, which names the variable."""
        process_variables = os.environ if environment is None else environment
        variables_by_setting = platform_settings(process_variables)
        for variables in (project or {}, process_variables):
            variables_by_setting |= settings_of(variables, cls.model_fields, REMOVED, cls.secrets())
        values = {setting: variable.value for setting, variable in variables_by_setting.items()}
        values |= {setting: value for setting, value in given.items() if value is not None}
        return cls.from_values(values, {setting: variable.name for setting, variable in variables_by_setting.items()})

    @classmethod
    def from_values(cls, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Self:
        """The settings with those `values` whose names are settings. Raises `ConfigError`, which names the variable of
        each invalid setting: the one in `names`, else its usual name."""
        try:
            return cls(**{name: value for name, value in values.items() if name in cls.model_fields})
        except ValidationError as error:
            raise ConfigError("; ".join(_sentence(problem, names or {}) for problem in error.errors())) from None

    @classmethod
    def secrets(cls) -> frozenset[str]:
        """The settings whose values are secrets. Each may be in a file, which `SLIPWAY_ENCRYPTION_KEY_FILE` names."""
        return frozenset(name for name, field in cls.model_fields.items() if "SecretStr" in str(field.annotation))

    def remember_secrets(self) -> None:
        """Lets this process replace the secrets of these settings in everything that it writes."""
        for name in self.secrets():
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                self._remember(variable_of(name), value.get_secret_value())

    @staticmethod
    def _remember(name: str, value: str) -> None:
        KNOWN.remember_address(name, value)
        if "://" not in value:
            for part in value.split(","):
                KNOWN.remember(name, part)

    @field_validator("jwt_audience", mode="before")
    @classmethod
    def _audiences(cls, value: object) -> object:
        return tuple(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value

    @field_validator("checkpointer", "log_level", "log_format", "proxy_header", "require_keys", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("keep_checkpoints", mode="before")
    @classmethod
    def _all_is_no_limit(cls, value: object) -> object:
        return None if value == "all" else value

    @field_validator("prices", mode="before")
    @classmethod
    def _json_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None

    @field_validator("rate_per_key", "rate_per_key_writes", "rate_per_address", mode="before")
    @classmethod
    def _rate(cls, value: object) -> object:
        return rate_from(value) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        networks = []
        for text in filter(None, map(str.strip, value.split(","))):
            try:
                networks.append(ip_network(text))
            except ValueError:
                raise ValueError(f"{text!r} is not an address or a network: write 192.0.2.7 or 10.0.0.0/8") from None
        return tuple(networks)

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _host_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip().strip("[]").removesuffix(".").lower() for name in value.split(",") if name.strip())
        if wrong := [name for name in names if not _HOST_NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is not a host name: write desk.example, *.desk.example, an address or *")
        return names

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        """Raises `ConfigError` for settings that contradict each other."""
        if self.lease_s <= 2 * self.heartbeat_s:
            raise ConfigError(
                f"SLIPWAY_LEASE_S ({self.lease_s:g}) must be more than twice "
                f"SLIPWAY_HEARTBEAT_S ({self.heartbeat_s:g}): one late heartbeat would lose the lease"
            )
        if self.reap_every_s > self.lease_s:
            raise ConfigError(
                f"SLIPWAY_REAP_EVERY_S ({self.reap_every_s:g}) must not be longer than "
                f"SLIPWAY_LEASE_S ({self.lease_s:g})"
            )
        if self.redis_patience_worker_s < self.redis_patience_web_s:
            raise ConfigError(
                f"SLIPWAY_REDIS_PATIENCE_WORKER_S ({self.redis_patience_worker_s:g}) must not be shorter than "
                f"SLIPWAY_REDIS_PATIENCE_WEB_S ({self.redis_patience_web_s:g}): runs in progress would fail before "
                "requests do"
            )
        if self.keep_checkpoints is not None and self.checkpointer != "core":
            raise ConfigError(
                f"SLIPWAY_KEEP_CHECKPOINTS needs SLIPWAY_CHECKPOINTER=core: {self.checkpointer} cannot delete single "
                "checkpoints; leave it out, or migrate the threads"
            )
        if self.max_header_bytes > self.max_headers_bytes:
            raise ConfigError(
                f"SLIPWAY_MAX_HEADER_BYTES ({self.max_header_bytes}) must not be more than SLIPWAY_MAX_HEADERS_BYTES "
                f"({self.max_headers_bytes}), which limits all headers of a request together"
            )
        self._check_tokens()
        if self.max_body_bytes > self.max_state_bytes:
            raise ConfigError(
                f"SLIPWAY_MAX_BODY_BYTES ({self.max_body_bytes}) must not be more than SLIPWAY_MAX_STATE_BYTES "
                f"({self.max_state_bytes}): an accepted input could never be stored"
            )
        return self

    def _check_tokens(self) -> None:
        """Raises `ConfigError` if tokens would be accepted from anybody, or for any application."""
        if self.jwt_issuer is None:
            without_issuer = ("jwt_audience", "jwt_jwks_url")
            if useless := [name for name in without_issuer if getattr(self, name)]:
                raise ConfigError(f"{variable_of(useless[0])} has no effect without {variable_of('jwt_issuer')}")
            return
        if not self.jwt_audience:
            raise ConfigError(
                f"{variable_of('jwt_issuer')} needs {variable_of('jwt_audience')}: without it, tokens that the issuer "
                "made for other applications would be accepted"
            )
        for name in ("jwt_issuer", "jwt_jwks_url"):
            url = getattr(self, name)
            if url is not None and not _URL.fullmatch(url):
                raise ConfigError(
                    f"{variable_of(name)} must be an https:// URL: whoever changes what it returns may sign tokens; "
                    "http:// is possible for this machine only"
                )

    @property
    def redis(self) -> str:
        """The address of Redis with its password, with the settings of its certificate as redis-py expects them in a
        URL, and with `cluster=1` if it is a cluster by setting. Raises `ConfigError` if no address is set."""
        if self.redis_url is None:
            raise ConfigError(
                f"{variable_of('redis_url')} must be set, or one of {', '.join(REDIS_URL_NAMES)}; "
                "only `slipway dev` starts a server itself, at unix:///path/to/.slipway/valkey.sock"
            )
        url = self._with_checks(self.redis_url.get_secret_value())
        return f"{url}{'&' if '?' in url else '?'}cluster=1" if self.redis_cluster else url

    @property
    def arq_redis(self) -> str:
        """The address of Redis for the project's arq application, in the same form."""
        return self.redis if self.arq_redis_url is None else self._with_checks(self.arq_redis_url.get_secret_value())

    def _with_checks(self, url: str) -> str:
        """A URL with the settings of the server's certificate."""
        checks = {"ssl_cert_reqs": None if self.redis_tls_verify else "none", "ssl_ca_certs": self.redis_ca_file}
        if not url.startswith("rediss://"):
            return url
        missing = {name: str(value) for name, value in checks.items() if value and f"{name}=" not in url}
        return f"{url}{'&' if '?' in url else '?'}{urlencode(missing)}" if missing else url


def config_file() -> Path:
    """The path of langgraph.json, which is needed before the settings are read."""
    return Path(os.environ.get(variable_of("config")) or Settings.model_fields["config"].default)


def _sentence(problem: ErrorDetails, names: Mapping[str, str]) -> str:
    """Such as `SLIPWAY_MAX_STEPS: Input should be greater than or equal to 1`. The value is left out, because it may be
    a secret. Prices are none, and have the words of langgraph.json."""
    setting, *path = [str(part) for part in problem["loc"]]
    what = problem_of(problem) if setting == "prices" else problem["msg"]
    return f"{'.'.join([names.get(setting, variable_of(setting)), *path])}: {what}"


def settings_table() -> str:
    """The settings as a Markdown table, for docs/settings.md."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, setting in Settings.model_fields.items():
        rows.append(f"| `{variable_of(name)}` | {_shown(name, setting.default)} | {setting.description} |")
    return "\n".join(rows) + "\n"


def _shown(name: str, default: object) -> str:
    """A default with its unit."""
    if default is None or default in ((), {}):
        return ""
    if name.endswith("_bytes") and isinstance(default, int):
        return f"{default // MIB} MiB" if default % MIB == 0 else f"{default} bytes"
    return f"{default} s" if name.endswith("_s") else f"`{default}`"
