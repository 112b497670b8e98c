"""Where changes of rollouts are announced."""

from __future__ import annotations

from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.rollouts.store import Announcements
from slipway.runs.delivery_queues import delivery_queue_of
from slipway.webhooks.urls import UrlPolicy


def announcements_of(config: LangGraphJson, urls: UrlPolicy) -> Announcements | None:
    """None if `slipway.rollouts.webhook` is not set. Raises `ConfigError` for a URL that `webhooks.url` forbids."""
    url = config.rollouts.webhook
    queue = delivery_queue_of(url)
    if url is None or queue is None:
        return None
    try:
        urls.check(url)
    except InvalidRequest as error:
        where = config.where("slipway", "rollouts", "webhook")
        raise ConfigError(f"{where}: slipway.rollouts.{error}") from None
    return Announcements(url, queue)
