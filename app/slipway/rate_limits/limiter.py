"""Counts requests against the rates of the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from slipway.clock import Clock
from slipway.errors import RateLimited, StoreUnavailable
from slipway.rate_limits.allowance import Allowance
from slipway.rate_limits.clients import RateClient
from slipway.rate_limits.scripts import Bucket, BucketState, RateScripts
from slipway.rates import Rate

log = structlog.get_logger(__name__)

_US: Final = 1_000_000
_LOG_EVERY_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class RatePolicies:
    """The rates of a deployment; None: no limit. `shadow`: requests above a rate are counted and logged, but served."""

    per_user: Rate | None = None
    per_user_writes: Rate | None = None
    per_address: Rate | None = None
    shadow: bool = False


CountLimited = Callable[[str, bool], None]
"""Counts a request above a rate: the name of the policy, and whether it was served all the same (shadow mode)."""


class RateLimiter:
    """Without a rate in the settings, no method sends a command. With one, each sends one script. When Redis is
    unavailable, requests are served: limits protect the service, and what a request needs from Redis fails by itself.
    """

    def __init__(self, scripts: RateScripts, policies: RatePolicies, clock: Clock) -> None:
        self._scripts, self.policies, self._clock = scripts, policies, clock
        self._logged: dict[str, float] = {}
        self.on_limited: CountLimited = lambda _policy, _shadow: None

    @property
    def limits_users(self) -> bool:
        return self.policies.per_user is not None or self.policies.per_user_writes is not None

    async def count_user(self, client: RateClient, *, writes: bool) -> list[Allowance]:
        """Counts a request of a user. Raises `RateLimited`."""
        rates = [("user", self.policies.per_user)]
        if writes:
            rates.append(("user-writes", self.policies.per_user_writes))
        return await self._count(client, rates)

    async def count_address(self, client: RateClient) -> list[Allowance]:
        """Counts a request without valid credentials. Raises `RateLimited`."""
        return await self._count(client, [("address", self.policies.per_address)])

    async def check_address(self, client: RateClient) -> None:
        """Raises `RateLimited` if the address has sent too many requests without valid credentials: then credentials
        are not even looked at. Counts nothing."""
        await self._count(client, [("address", self.policies.per_address)], tokens=0)

    async def _count(
        self, client: RateClient, rates: Sequence[tuple[str, Rate | None]], *, tokens: int = 1
    ) -> list[Allowance]:
        limited = [(name, rate) for name, rate in rates if rate is not None]
        if not limited:
            return []
        buckets = [Bucket(f"{name}:{client.digest}", rate) for name, rate in limited]
        try:
            states = await self._scripts.take(buckets, count=tokens)
        except StoreUnavailable as error:
            if self._is_logged_now("rate.unchecked"):
                log.warning("rate.unchecked", shadow=self.policies.shadow, problem=str(error))
            return []
        allowances = [_allowance(name, rate, state) for (name, rate), state in zip(limited, states, strict=True)]
        for (name, _), state in zip(limited, states, strict=True):
            if not state.has_token:
                self._limit(client, name, state, allowances)
        return allowances

    def _limit(self, client: RateClient, policy: str, state: BucketState, allowances: Sequence[Allowance]) -> None:
        self.on_limited(policy, self.policies.shadow)
        if self._is_logged_now(f"rate.exceeded {policy} {client.digest}"):
            log.warning("rate.exceeded", shadow=self.policies.shadow, policy=policy, client=client.name)
        if not self.policies.shadow:
            retry_after_s = max(1, -(-state.token_in_us // _US))
            raise RateLimited(policy, retry_after_s, allowances)

    def _is_logged_now(self, name: str) -> bool:
        """Whether an event about a client is logged: at most once a minute, because a client that sends too much must
        not fill the log."""
        now = self._clock.monotonic()
        if now - self._logged.get(name, -_LOG_EVERY_S) < _LOG_EVERY_S:
            return False
        if len(self._logged) >= _MOST_REMEMBERED:
            self._logged.clear()
        self._logged[name] = now
        return True


def _allowance(policy: str, rate: Rate, state: BucketState) -> Allowance:
    return Allowance(policy, rate.burst, rate.window_s, state.left, -(-state.full_in_us // _US))
