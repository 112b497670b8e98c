"""Checks the URL of an endpoint by the same rules as the webhook of a run, except that it cannot be a path of this
deployment. Such a call has the user of the run; an endpoint has no user, so its call would have all rights."""

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
        if url.startswith("/"):
            raise InvalidRequest(
                "url",
                "must be an absolute URL with http or https: a path of this deployment can be the `webhook` of a run, "
                "not an endpoint",
            )
        try:
            self.check(url)
        except InvalidRequest as error:
            raise InvalidRequest("url", str(error).removeprefix(f"{error.field}: ")) from None
