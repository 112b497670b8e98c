"""The official sections of langgraph.json that configure the server: checkpointer, store, webhooks, auth and http.

Keys that Slipway does not use are ignored, because the file belongs to other tools as well.
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
"""A whole number. `100.0` is accepted, because it is a whole number in JSON and JSON Schema."""

_HOST_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")

Minutes = Annotated[float, Field(gt=0, le=100 * 366 * 24 * 60)]


class Section(BaseModel):
    """A section whose unknown members are ignored, and in which null is the same as absent."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, section: object) -> object:
        if isinstance(section, dict):
            return {name: value for name, value in section.items() if value is not None}
        return section


class ConfigSection(Section):
    """The entry of a graph in `LANGGRAPH_CONFIG`: LangGraph's config of a run. Other keys are passed to the graph."""

    model_config = ConfigDict(extra="allow")

    configurable: dict[str, Any] = {}
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    recursion_limit: Annotated[Whole, Field(ge=1)] | None = None

    def set_members(self) -> dict[str, Any]:
        """The members that are set, without defaults."""
        return self.model_dump(exclude_unset=True)


class IndexSection(Section):
    """`store.index`: the vector index for searches by semantic similarity."""

    dims: Annotated[int, Field(ge=1, le=65_536)]
    embed: Annotated[str, Field(min_length=1)]
    """`provider:model`, or `./file.py:function` of the project."""
    fields: list[str] = ["$"]
    """Paths of the parts of an item that are embedded; `$` is the whole item."""


class StoreTtlSection(Section):
    """`store.ttl`: the default time to live of items, in minutes."""

    refresh_on_read: bool = True
    default_ttl: Minutes | None = None
    sweep_interval_minutes: Minutes = 5


class StoreSection(Section):
    """`store`."""

    index: IndexSection | None = None
    ttl: StoreTtlSection = StoreTtlSection()
    path: str | None = None
    """A store of the project. It is not used: Slipway stores items in Redis."""


class ThreadTtlSection(Section):
    """`checkpointer.ttl`: the default time to live of threads, and the interval of retention, in minutes."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl: Minutes | None = None
    sweep_interval_minutes: Minutes = 5
    sweep_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most threads that one round of retention deletes."""


Classes = list[Annotated[list[str], Field(min_length=1)]] | bool
"""Classes by name, each as a list of the parts of its module and its own name. True means all classes, False none."""


class SerdeSection(Section):
    """`checkpointer.serde`: the classes to which stored objects are restored, in addition to the classes that graphs
    use."""

    allowed_msgpack_modules: Classes = []
    """Restored wherever they are stored. False (or null) allows only the classes in the declarations of states."""
    allowed_json_modules: Classes = []
    """Restored also from the JSON of `langgraph-checkpoint-redis`, which JSON from a user can imitate."""
    pickle_fallback: bool = False
    """Not used: Slipway never reads pickles."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, section: object) -> object:
        """Here null does not mean absent: it means no classes."""
        if isinstance(section, dict):
            return {name: False if value is None else value for name, value in section.items()}
        return section


class CheckpointerSection(Section):
    """`checkpointer`."""

    serde: SerdeSection = SerdeSection()
    ttl: ThreadTtlSection | None = None
    path: str | None = None
    """A checkpointer of the project. It is not used, because its writes would not be fenced."""


def _host_name(text: str) -> str:
    """The name in the form in which it is compared with hosts of URLs: lower case, ASCII, no trailing dot."""
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
    """`webhooks.url`: the allowed URLs of webhooks."""

    require_https: bool = False
    allowed_domains: list[Annotated[str, AfterValidator(_host_name)]] | None = None
    """Host names; `*.example.com` means all names below `example.com`. None allows all, if there are no `headers`."""
    allowed_ports: list[int] | None = None
    max_url_length: Annotated[int, Field(ge=8, le=65_536)] = 65_536
    disable_loopback: bool = True
    """Rejects addresses of this machine."""
    disable_private_ips: bool = True
    """Rejects addresses outside the public internet: private, link-local, shared."""


class WebhooksSection(Section):
    """`webhooks`."""

    env_prefix: Annotated[str, Field(min_length=1)] = "LG_WEBHOOK_"
    """Only variables with this prefix may be used in `headers`."""
    url: UrlSection = UrlSection()
    headers: dict[str, str] = {}
    """Sent with each delivery; `${{ env.LG_WEBHOOK_… }}` is replaced by the variable's value."""
    allowed_fields: list[str] | None = None
    """The fields of the body; None means all."""

    @model_validator(mode="after")
    def _headers_have_a_destination(self) -> WebhooksSection:
        """Clients choose the URLs: without a list of hosts, a client could receive the headers at its own host."""
        if self.headers and self.url.allowed_domains is None:
            raise ValueError(
                "headers would be sent to any host that a client names: set webhooks.url.allowed_domains to the hosts "
                'that may receive them, such as ["hooks.example.com", "*.example.org"], or to [] if all webhooks are '
                "paths of this server"
            )
        return self


class AuthCacheSection(Section):
    """`auth.cache`: how long the result of the authenticate handler is reused."""

    cache_keys: Annotated[list[str], Field(min_length=1)] = ["authorization", "cookie", "x-api-key"]
    """The headers that identify a user."""
    ttl_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60
    max_size: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class AuthSection(Section):
    """`auth`: the project's auth file."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """`./file.py:auth`, a `langgraph_sdk.Auth` object."""
    disable_studio_auth: bool = False
    """Has no effect: requests of Studio are treated like all others."""
    openapi: dict[str, Any] = {}
    """`securitySchemes` and `security`, for /openapi.json."""
    cache: AuthCacheSection | None = None


class CorsSection(Section):
    """`http.cors`: what pages of other origins may do. With an auth file, the defaults allow everything except cookies.
    Without an auth file, only pages of this machine, Studio, and the origins in `allow_origins` are allowed."""

    allow_origins: list[str] = ["*"]
    allow_methods: list[str] = ["*"]
    allow_headers: list[str] = ["*"]
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: list[str] = []
    """In addition to the headers that the protocol's clients need."""
    max_age: Annotated[int, Field(ge=0)] = 600


class HeadersSection(Section):
    """Patterns of request headers, in lower case; `*` matches any text. A header in both lists is excluded."""

    includes: list[str] = Field(default=[], validation_alias=AliasChoices("includes", "include"))
    excludes: list[str] = Field(default=[], validation_alias=AliasChoices("excludes", "exclude"))


class HttpSection(Section):
    """`http`: the host app, the mount prefix, and the routes that are not served."""

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
    """Headers that are added to the `configurable` of runs."""
    logging_headers: HeadersSection = HeadersSection()
    """Headers that are logged with each request."""
    enable_custom_route_auth: bool = False
    middleware_order: Literal["auth_first", "middleware_first"] = "middleware_first"

    @property
    def prefix(self) -> str:
        """The prefix of all paths, without a slash at its end; empty if there is none."""
        return self.mount_prefix.rstrip("/")
