"""A process that performs the duty `deliveries` for several shards, until it is killed.

`python -m tests.webhooks.delivering_process URL PREFIX SHARDS CONFIG`"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import cast

from slipway.clock import Clock
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.services import Services
from slipway.settings import Settings
from slipway.threads.store import ThreadStore
from slipway.webhooks.urls import UrlPolicy
from slipway_workers.duties.deliveries import Deliveries
from tests.runs.conftest import opened


@dataclass(frozen=True, slots=True)
class DeliveringServices:
    """The services that the duty needs."""

    settings: Settings
    config: LangGraphJson
    clock: Clock
    pipeline: Pipeline
    shards: Shards
    threads: ThreadStore
    webhook_urls: UrlPolicy
    auth: None = None
    export: None = None


async def _main(url: str, prefix: str, shards: int, config_path: str) -> None:
    config = read(config_path)
    settings = Settings.from_values({"redis_url": url, "key_prefix": prefix, "config": config_path})
    async with opened(url, Shards(prefix, shards).records) as stores:
        services = DeliveringServices(
            settings, config, Clock(), stores.pipeline, stores.shards, stores.threads, UrlPolicy(config.webhooks.url)
        )
        await Deliveries(cast(Services, services)).run()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
