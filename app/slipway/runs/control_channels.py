"""The channels on which a process receives messages about its runs, and a worker is woken: one in each shard, because a
script publishes to channels of its own shard only.

A message is `wake`, `wake last` or an instruction about a run (`LeaseRenewer.on_control_message`). `last` says that no
other worker waits for jobs of the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from slipway.redis.per_shard import PerShard
from slipway.redis.subscriber import MessageHandler, Subscriber
from slipway.runs.queue_scripts import QueueScripts

OnWake = Callable[[int, bool], None]
"""Called with the number of a shard when this worker was woken for jobs of it, or may have been; and whether other
workers wait there."""


class ControlChannels:
    """The channels of the process `instance`. `on_instruction` receives all messages that wake nobody."""

    def __init__(
        self, subscriber: Subscriber, queues: PerShard[QueueScripts], instance: str, on_instruction: MessageHandler
    ) -> None:
        self._subscriber, self._queues, self._instance = subscriber, queues, instance
        self._on_instruction = on_instruction
        self.on_wake: OnWake = _ignore
        """A worker sets it before its first claim."""

    async def open(self) -> None:
        """Subscribes to all channels. Returns when Redis has confirmed it."""
        subscriptions = [
            self._subscriber.subscribe(queue.control_channel(self._instance), partial(self._on_message, number))
            for number, queue in enumerate(self._queues)
        ]
        await asyncio.gather(*subscriptions)

    def _on_message(self, number: int, message: bytes | None) -> None:
        if message is None:  # a message may have been lost
            self.on_wake(number, False)
        elif message.startswith(b"wake"):
            self.on_wake(number, message == b"wake")
        else:
            self._on_instruction(message)


def _ignore(number: int, others_wait: bool) -> None:
    """A web process claims no runs."""
