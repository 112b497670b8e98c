"""What a user with scopes may do, and on which records.

The scopes must permit the operation. A user with an owner is restricted to the records of that owner:

- `metadata.owner` of each new thread, run, assistant and cron is the owner, and no change can replace it;
  `config.metadata`, which runs inherit, cannot name another one;
- threads, runs, assistants and crons of others are treated as not existing, but for the assistants of langgraph.json;
- in the long-term store the owner is the first label of each namespace: items of others do not exist, searches and
  lists of their namespaces are empty, and nothing can be stored or deleted there.

The rule changes handler values as an authorize handler does. The handler of the auth file is called after it with the
changed value, and `check_unchanged` finds out whether that handler left the owner as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slipway.access.filters import MATCH_ALL, MATCH_NONE, AccessFilter
from slipway.access.scoped_users import scopes_of
from slipway.access.scopes import permits
from slipway.access.users import User, owner_of_user
from slipway.errors import AccessRefused, NotFound
from slipway.protocol_types import SYSTEM_MARK

_FORBIDDEN: Final = 403
_STORES_METADATA: Final = frozenset(
    {
        ("threads", "create"),
        ("threads", "create_run"),
        ("assistants", "create"),
        ("crons", "create"),
    }
)
_SEARCHES: Final = frozenset({"read", "search"})
"""Actions whose `metadata` is a condition on records and is not stored: the filter decides, whatever it says."""
_SYSTEM_TOO: Final = frozenset({("assistants", "read"), ("assistants", "search")})
"""Operations that also find the system assistants."""


def apply(user: User, resource: str, action: str, value: dict[str, Any]) -> AccessFilter:
    """The filter that the records of the operation must match. Sets the owner in `value`. Raises `AccessRefused` if the
    user may not do the operation, and `NotFound` for a store item of another owner. A user without scopes, whom an auth
    file authenticated, may do everything."""
    scopes, owner = scopes_of(user), owner_of_user(user)
    if scopes is None:
        return MATCH_ALL
    if not permits(scopes, action):
        raise AccessRefused(
            _FORBIDDEN,
            f"{resource}:{action} needs the scope {_scope_for(action)}; {user.identity} has "
            f"{', '.join(scopes) or 'none'}",
        )
    if owner is None:
        return MATCH_ALL
    if resource == "store":
        return _in_store(owner, action, value)
    _set_owner(owner, resource, action, value)
    return _filter_of(owner, resource, action)


def may_create(user: User | None) -> bool:
    """Whether the scopes of a user permit creating records. Those without scopes, whom an auth file authenticated, and
    everybody on an open server may."""
    scopes = None if user is None else scopes_of(user)
    return scopes is None or permits(scopes, "create")


def check_unchanged(user: User, resource: str, action: str, value: Mapping[str, Any]) -> None:
    """Raises `AccessRefused` if `value` names another owner, after an authorize handler has changed it."""
    if (owner := owner_of_user(user)) is None:
        return
    if resource == "store":
        namespace = value.get("namespace")
        labels = list(namespace) if isinstance(namespace, list | tuple) else []
        if not labels or labels[0] != owner:
            raise AccessRefused(_FORBIDDEN, _handler_problem("the namespace", owner))
        return
    for path, metadata in () if action in _SEARCHES else _metadata_of(value):
        if metadata.get("owner", owner) != owner:
            raise AccessRefused(_FORBIDDEN, _handler_problem(f"{path}.owner", owner))


def _scope_for(action: str) -> str:
    return "runs:read or runs:write" if permits(["runs:read"], action) else "runs:write"


def _set_owner(owner: str, resource: str, action: str, value: dict[str, Any]) -> None:
    if action in _SEARCHES:
        return
    for path, metadata in _metadata_of(value):
        if (named := metadata.get("owner", owner)) != owner:
            raise AccessRefused(
                _FORBIDDEN,
                f"{path}.owner: {named!r} is not allowed, the request is restricted to the owner {owner!r}; leave "
                "it out",
            )
    if (resource, action) in _STORES_METADATA:
        value["metadata"] = {**(value.get("metadata") or {}), "owner": owner}


def _metadata_of(value: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """All metadata of a handler value, with the paths of their members in the request: those of the record, and those
    in `config`, which its runs inherit. The body of a cron is `payload`, the options of a run are `kwargs`. `config` is
    first, because the metadata of a run already contain its own."""
    bodies = [each for each in (value, value.get("payload"), value.get("kwargs")) if isinstance(each, Mapping)]
    configs = [config for each in bodies if isinstance(config := each.get("config"), Mapping)]
    places = [
        *(("config.metadata", config.get("metadata")) for config in configs),
        *(("metadata", each.get("metadata")) for each in bodies),
    ]
    return [(path, metadata) for path, metadata in places if isinstance(metadata, Mapping)]


def _filter_of(owner: str, resource: str, action: str) -> AccessFilter:
    own = {"owner": owner}
    if (resource, action) in _SYSTEM_TOO:
        return AccessFilter(({"$or": [own, {SYSTEM_MARK: True}]},))
    return AccessFilter((own,))


def _in_store(owner: str, action: str, value: dict[str, Any]) -> AccessFilter:
    namespace = tuple(value.get("namespace") or ())
    if action in ("search", "list_namespaces"):
        if namespace and namespace[0] not in (owner, "*"):
            value["namespace"] = (owner,)
            return MATCH_NONE
        value["namespace"] = (owner, *namespace[1:])
        return MATCH_ALL
    if namespace[:1] == (owner,):
        return MATCH_ALL
    if action == "get":
        raise NotFound("item", str(value.get("key")))
    raise AccessRefused(_FORBIDDEN, f"namespace: its first label must be {owner!r}, the owner of the request")


def _handler_problem(what: str, owner: str) -> str:
    return (
        f"the authorize handler of the auth file changed {what}, but the request is restricted to the owner {owner!r}: "
        "the handler can find it in ctx.user.owner"
    )
