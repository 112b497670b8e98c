"""Checks the webhook of a new run, for every way to create a run."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import InvalidRequest
from slipway.webhooks.urls import UrlPolicy


@dataclass(frozen=True, slots=True)
class NewRunWebhookCheck:
    """`disabled` is `http.disable_webhooks` of langgraph.json."""

    urls: UrlPolicy
    disabled: bool

    def __call__(self, url: str | None) -> None:
        """Raises `InvalidRequest` for a webhook that is not allowed. None is no webhook."""
        if url is None:
            return
        if self.disabled:
            raise InvalidRequest("webhook", "webhooks are disabled here (http.disable_webhooks)")
        self.urls.check(url)
