"""Verifies the API keys of requests, in every web process.

A key that was verified is remembered for `REMEMBERED_S`, so most requests cost no round trip. Redis publishes the id of
a revoked key: each process forgets it at once, and ends its open responses. If that message is lost, the key is
forgotten `REMEMBERED_S` after it was read, and the keys of open responses are read again as often.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from slipway.access.scoped_users import key_of, scoped_user
from slipway.access.users import User
from slipway.api_keys.key_text import PREFIX, KeyText, parse_key
from slipway.api_keys.record import ApiKey, key_from
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.clock import Clock, iso, microseconds_of
from slipway.errors import AccessRefused, StoreUnavailable
from slipway.redis.subscriber import Subscriber

log = structlog.get_logger(__name__)

REMEMBERED_S: Final = 10.0
"""Seconds for which a key is not read again. A revocation takes effect within this time, also when its message is
lost."""
USED_EVERY_S: Final = 60.0
"""Seconds between two writes of the time at which a key was last used, in one process."""
_MOST_REMEMBERED: Final = 4096
_UNAUTHENTICATED: Final = 401
_CHALLENGE: Final = {"www-authenticate": 'Bearer error="invalid_token"'}
_BEARER: Final = "bearer "

OnEnd = Callable[[AccessRefused], None]


@dataclass(slots=True)
class _Remembered:
    """A key and its user, until `until` on the monotonic clock."""

    key: ApiKey
    user: User
    until: float


class KeyVerifier:
    """The API keys that this process knows. `start` must be called before the first request."""

    def __init__(self, scripts: ApiKeyScripts, subscriber: Subscriber, clock: Clock) -> None:
        self._scripts, self._subscriber, self._clock = scripts, subscriber, clock
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        """By hash of the key."""
        self._changes = 0
        """Counts messages: what was read before a message arrived is not remembered."""
        self._watching: dict[str, list[OnEnd]] = {}
        self._used: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Follows revocations until `close`."""
        await self._subscriber.subscribe(self._scripts.changes_channel, self._on_message)
        self._start_task(self._check_watched_keys(), "watch of API keys")

    async def close(self) -> None:
        """Ends what this object does in the background."""
        self._subscriber.unsubscribe(self._scripts.changes_channel)
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def authenticate(self, arguments: Mapping[str, Any]) -> User | None:
        """The user of the key in a request; None if it has none. Raises `AccessRefused` with the status 401 for a key
        that does not exist, was revoked or has expired, and `StoreUnavailable`."""
        text = _key_in(arguments["headers"])
        if text is None:
            return None
        key = parse_key(text)
        if key is None:
            raise _refused("the API key is malformed: it must be complete, as it was shown when it was created")
        return (await self._verified(key)).user

    async def _verified(self, key: KeyText) -> _Remembered:
        digest, now = key.digest, self._clock.monotonic()
        remembered = self._remembered.get(digest)
        if remembered is None or remembered.until <= now:
            changes = self._changes
            remembered = await self._read(key, now)
            if changes == self._changes:
                self._remember(digest, remembered)
        problem = _problem_of(remembered.key, _now_us(self._clock))
        if problem is not None:
            raise _refused(problem)
        self._note_use(remembered.key.key_id, now)
        return remembered

    async def _read(self, key: KeyText, now: float) -> _Remembered:
        fields = await self._scripts.read(key.key_id)
        stored = None if fields is None else key_from(key.key_id, fields)
        if stored is None or not key.matches(stored.digest):
            raise _refused("there is no such API key")
        return _Remembered(stored, user_of_key(stored), now + REMEMBERED_S)

    def _remember(self, digest: str, remembered: _Remembered) -> None:
        self._remembered[digest] = remembered
        self._remembered.move_to_end(digest)
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    @contextmanager
    def watch(self, user: User, on_end: OnEnd) -> Iterator[None]:
        """Calls `on_end` if the key that identified `user` is revoked while the block is executed."""
        if (key_id := key_of(user)) is None:
            yield
            return
        callbacks = self._watching.setdefault(key_id, [])
        callbacks.append(on_end)
        try:
            yield
        finally:
            callbacks.remove(on_end)
            if not callbacks:
                self._watching.pop(key_id, None)

    def _on_message(self, message: bytes | None) -> None:
        """`message` is the id of a key; None if messages may have been lost."""
        self._changes += 1
        self._remembered.clear()
        watched = list(self._watching) if message is None else [message.decode()]
        self._start_task(self._check(watched), "check of API keys")

    async def _check_watched_keys(self) -> None:
        while True:
            await asyncio.sleep(REMEMBERED_S)
            await self._check(list(self._watching))

    async def _check(self, key_ids: list[str]) -> None:
        """Ends the open responses of those keys that are not valid any more."""
        for key_id in key_ids:
            if key_id not in self._watching:
                continue
            try:
                fields = await self._scripts.read(key_id)
            except StoreUnavailable as error:
                log.debug("api_keys.not_read", problem=str(error))
                return
            key = None if fields is None else key_from(key_id, fields)
            problem = "there is no such API key" if key is None else _problem_of(key, _now_us(self._clock))
            if problem is not None:
                for on_end in list(self._watching.get(key_id, ())):
                    on_end(_refused(problem))

    def _note_use(self, key_id: str, now: float) -> None:
        """Stores that the key was used, without a round trip for the request."""
        if now - self._used.get(key_id, -USED_EVERY_S) < USED_EVERY_S:
            return
        if len(self._used) >= _MOST_REMEMBERED:
            self._used.clear()
        self._used[key_id] = now
        self._start_task(self._store_use(key_id), "use of an API key")

    async def _store_use(self, key_id: str) -> None:
        try:
            await self._scripts.used(key_id)
        except StoreUnavailable as error:
            self._used.pop(key_id, None)
            log.debug("api_keys.use_not_stored", key=key_id, problem=str(error))

    def _start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def user_of_key(key: ApiKey) -> User:
    """The user of a key, for runs, crons and audit trails."""
    return scoped_user(
        key.identity,
        key.scopes,
        key.owner,
        display_name=key.name or None,
        key_id=key.key_id,
        until_us=key.expires_us,
    )


def _key_in(headers: Mapping[bytes, bytes]) -> str | None:
    """The API key of a request: in `x-api-key`, which the SDKs send, or as a bearer token. Raises `AccessRefused` for
    two different keys."""
    found = {
        text
        for name, prefix in ((b"x-api-key", ""), (b"authorization", _BEARER))
        if (value := headers.get(name, b"").decode("latin-1")).lower().startswith(prefix)
        and (text := value[len(prefix) :].strip()).startswith(PREFIX)
    }
    if len(found) > 1:
        raise _refused("the headers x-api-key and authorization have two different API keys; send one")
    return found.pop() if found else None


def _problem_of(key: ApiKey, now_us: int) -> str | None:
    """Why the key is not accepted; None if it is."""
    if key.revoked_us is not None:
        return f"the API key {key.key_id} was revoked at {iso(key.revoked_us)}"
    if key.expires_us is not None and key.has_expired(now_us):
        return f"the API key {key.key_id} expired at {iso(key.expires_us)}; create a new one with `slipway keys create`"
    return None


def _now_us(clock: Clock) -> int:
    return microseconds_of(clock.now())


def _refused(problem: str) -> AccessRefused:
    return AccessRefused(_UNAUTHENTICATED, problem, _CHALLENGE)
