"""Whether a webhook may still be called. Its body holds the state of a thread, so the users behind the run must still
be authorized to read that thread."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from slipway.access.access_control import AccessControl
from slipway.access.handler_values.threads import ThreadsRead
from slipway.access.permissions import Permissions, all_permissions_of, is_handler_failure
from slipway.errors import AccessRefused, AuthBroken, NotFound
from slipway.threads.store import ThreadStore
from slipway.webhooks.delivery_policy import DeliveryRejected
from slipway.webhooks.record import Delivery

AUTHORIZED_WITHIN_S: Final = 10.0
"""Limit for the authorization of one delivery: of the user of the run and of all users who changed its cron."""


class ReadPermission:
    """Authorizes deliveries by the auth file. Without one every delivery is authorized."""

    def __init__(self, auth: AccessControl | None, threads: ThreadStore) -> None:
        self._auth, self._threads = auth, threads

    async def check(self, delivery: Delivery) -> Delivery:
        """Returns the delivery. Its values are removed if the thread was deleted and a user has an access filter, which
        cannot be compared with the metadata of a deleted thread. Raises `DeliveryRejected` when a user may not read the
        thread, and `AuthBroken` when the auth file fails or takes longer than `AUTHORIZED_WITHIN_S`."""
        try:
            async with asyncio.timeout(AUTHORIZED_WITHIN_S):
                return await self._check_all_users(delivery)
        except TimeoutError as error:
            raise AuthBroken(f"the delivery was not authorized within {AUTHORIZED_WITHIN_S:g} s") from error

    async def _check_all_users(self, delivery: Delivery) -> Delivery:
        if delivery.temporary or self._auth is None:
            return delivery
        for permissions in all_permissions_of(self._auth, delivery.user, delivery.changed_by):
            if permissions.user is not None:
                delivery = await self._check_user(permissions, delivery)
        return delivery

    async def _check_user(self, permissions: Permissions, delivery: Delivery) -> Delivery:
        value = ThreadsRead.model_construct(thread_id=UUID(delivery.thread_id), run_id=UUID(delivery.run_id))
        try:
            _, access_filter = await permissions.authorize(value)
            created_us = await self._threads.created_us(delivery.thread_id, access_filter)
        except (AccessRefused, NotFound) as error:
            if is_handler_failure(error):
                raise AuthBroken(str(error)) from error
            raise DeliveryRejected("the user of the run may not read the thread any more") from error
        same_thread = created_us is not None and (delivery.permitted_us is None or created_us <= delivery.permitted_us)
        return delivery if same_thread or not access_filter else delivery.without_values()
