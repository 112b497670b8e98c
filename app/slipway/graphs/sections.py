"""Sections of langgraph.json that say how the server behaves: how long threads live, the long-term store, outgoing
webhooks, who may call, and what is served.

Their shapes are the official ones. A key that we do not use is passed over, for the file belongs to other tools too.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Annotated, Any, Final, Literal

import idna
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, however it is written: to JSON, and to JSON Schema, `100.0` is one."""

_HOST_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")

Minutes = Annotated[float, Field(gt=0, le=100 * 366 * 24 * 60)]


class Section(BaseModel):
    """A section whose unknown members are ignored, and in which null is the same as absent."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: object) -> object:
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value is not None}
        return given


class ConfigSection(Section):
    """A graph's entry in `LANGGRAPH_CONFIG`: a run's config, as LangGraph has it; keys beside these go to the graph."""

    model_config = ConfigDict(extra="allow")

    configurable: dict[str, Any] = {}
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    recursion_limit: Annotated[Whole, Field(ge=1)] | None = None

    def given(self) -> dict[str, Any]:
        """What was written, and nothing that was not."""
        return self.model_dump(exclude_unset=True)


class IndexSection(Section):
    """`store.index`: what makes items findable by meaning."""

    dims: Annotated[int, Field(ge=1, le=65_536)]
    embed: Annotated[str, Field(min_length=1)]
    """`provider:model`, or `./file.py:function` for one's own."""
    fields: list[str] = ["$"]
    """Paths of what is embedded of an item; `$` is all of it."""


class StoreTtlSection(Section):
    """`store.ttl`: how long items live that say nothing else."""

    refresh_on_read: bool = True
    default_ttl: Minutes | None = None
    sweep_interval_minutes: Minutes = 5


class StoreSection(Section):
    """`store`."""

    index: IndexSection | None = None
    ttl: StoreTtlSection = StoreTtlSection()
    path: str | None = None
    """A store of the project's own, which is not used: items live in Redis, beside everything else."""


class ThreadTtlSection(Section):
    """`checkpointer.ttl`: how long threads live that say nothing else, and how often those that are due are removed."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl: Minutes | None = None
    sweep_interval_minutes: Minutes = 5
    sweep_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Threads that one sweep removes at most."""


Classes = list[Annotated[list[str], Field(min_length=1)]] | bool
"""Classes by name, each as a list: the parts of its module, and its own name. True is every class, False none."""


class SerdeSection(Section):
    """`checkpointer.serde`: which classes stored objects are restored to, beside those that graphs use."""

    allowed_msgpack_modules: Classes = []
    """Restored wherever they are stored; false (or null) is only what the states of graphs are declared with."""
    allowed_json_modules: Classes = []
    """Restored also from JSON that `langgraph-checkpoint-redis` wrote, which a user's JSON can imitate."""
    pickle_fallback: bool = False
    """Not used: nothing is ever pickled."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: object) -> object:
        """Here null says something of its own: no classes."""
        if isinstance(given, dict):
            return {name: False if value is None else value for name, value in given.items()}
        return given


class CheckpointerSection(Section):
    """`checkpointer`."""

    serde: SerdeSection = SerdeSection()
    ttl: ThreadTtlSection | None = None
    path: str | None = None
    """A checkpointer of the project's own, which is not used: no other is fenced."""


def _host_name(text: str) -> str:
    """As hosts of URLs are compared with it: in lower case and ASCII, without a dot at the end."""
    star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    name = name.lower().rstrip(".")
    try:
        if not star and ":" in name:
            return IPv6Address(name.removeprefix("[").removesuffix("]")).compressed
        name = name if name.isascii() else idna.encode(name).decode()
    except ValueError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise ValueError(
            f"{text!r} is not the name of a host: write it without a scheme, a port and a path, such as "
            "hooks.example.com, or *.example.com for every name below example.com"
        )
    return star + name


class UrlSection(Section):
    """`webhooks.url`: where webhooks may go."""

    require_https: bool = False
    allowed_domains: list[Annotated[str, AfterValidator(_host_name)]] | None = None
    """Names of hosts; `*.example.com` is every name below `example.com`. None is any, for calls without `headers`."""
    allowed_ports: list[int] | None = None
    max_url_length: Annotated[int, Field(ge=8, le=65_536)] = 65_536
    disable_loopback: bool = True
    """Refuse this machine itself."""
    disable_private_ips: bool = True
    """Refuse addresses that are not of the public internet: private, link-local, shared."""


class WebhooksSection(Section):
    """`webhooks`."""

    env_prefix: Annotated[str, Field(min_length=1)] = "LG_WEBHOOK_"
    """Only variables whose names begin so may be used in `headers`."""
    url: UrlSection = UrlSection()
    headers: dict[str, str] = {}
    """Sent with each delivery; `${{ env.LG_WEBHOOK_… }}` is replaced by the variable's value."""
    allowed_fields: list[str] | None = None
    """The only fields of the body; None is all."""

    @model_validator(mode="after")
    def _headers_have_a_destination(self) -> WebhooksSection:
        """Clients name the URLs: without a list of hosts they could have the headers sent to hosts of their own."""
        if self.headers and self.url.allowed_domains is None:
            raise ValueError(
                "headers would be sent to any host that a client names: set webhooks.url.allowed_domains to the hosts "
                'that may have them, such as ["hooks.example.com", "*.example.org"], or to [] when webhooks are paths '
                "of this server alone"
            )
        return self


class AuthCacheSection(Section):
    """`auth.cache`: callers that are recognised without asking the file again."""

    cache_keys: Annotated[list[str], Field(min_length=1)] = ["authorization", "cookie", "x-api-key"]
    """Names of the headers that tell one caller from another."""
    ttl_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60
    max_size: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class AuthSection(Section):
    """`auth`: the file that says who calls, and what the caller may do."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """`./file.py:auth`, a `langgraph_sdk.Auth` object."""
    disable_studio_auth: bool = False
    """Studio's requests are treated as any other here, whatever this says."""
    openapi: dict[str, Any] = {}
    """`securitySchemes` and `security`, for /openapi.json."""
    cache: AuthCacheSection | None = None


class CorsSection(Section):
    """`http.cors`: what pages of other origins may do. As it stands: everything, without cookies, with an auth file.
    Without one `allow_origins` counts only where it is written, beside the pages of this machine and Studio."""

    allow_origins: list[str] = ["*"]
    allow_methods: list[str] = ["*"]
    allow_headers: list[str] = ["*"]
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: list[str] = []
    """Beside those that the protocol's clients need."""
    max_age: Annotated[int, Field(ge=0)] = 600


class HeadersSection(Section):
    """Which request headers: lower case, `*` stands for anything, what is excluded is out."""

    includes: list[str] = Field(default=[], validation_alias=AliasChoices("includes", "include"))
    excludes: list[str] = Field(default=[], validation_alias=AliasChoices("excludes", "exclude"))


class HttpSection(Section):
    """`http`: the project's own app, and what of ours is served, where, and to whom."""

    app: Annotated[str, Field(min_length=1)] | None = None
    """`./file.py:app`, a Starlette or FastAPI application."""
    mount_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*/?$")] = ""
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_meta: bool = False
    disable_webhooks: bool = False
    disable_ui: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    cors: CorsSection = CorsSection()
    configurable_headers: HeadersSection = HeadersSection()
    """Headers that graphs find in their `configurable`."""
    logging_headers: HeadersSection = HeadersSection()
    """Headers that lines about requests tell."""
    enable_custom_route_auth: bool = False
    middleware_order: Literal["auth_first", "middleware_first"] = "middleware_first"

    @property
    def prefix(self) -> str:
        """Of every path, without a slash at its end; empty for none."""
        return self.mount_prefix.rstrip("/")
