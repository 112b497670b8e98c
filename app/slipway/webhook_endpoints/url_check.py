"""Checks the URL of an endpoint by the same rules as the webhook of a run."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import InvalidRequest
from slipway.webhooks.new_run_webhook_check import NewRunWebhookCheck


@dataclass(frozen=True, slots=True)
class EndpointUrlCheck:
    """`check` has the rules of `webhooks.url` in langgraph.json."""

    check: NewRunWebhookCheck

    def __call__(self, url: str) -> None:
        """Raises `InvalidRequest` about `url`."""
        try:
            self.check(url)
        except InvalidRequest as error:
            raise InvalidRequest("url", str(error).removeprefix(f"{error.field}: ")) from None
