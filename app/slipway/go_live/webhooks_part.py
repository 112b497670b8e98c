"""Webhooks: whether calls are signed in both directions, and received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slipway.clock import microseconds_of
from slipway.errors import ConfigError
from slipway.go_live.check import Check, Part
from slipway.go_live.counted import counted
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.hooks.loaded_hooks import load_hooks
from slipway.webhook_endpoints.record import State
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhooks.delivery_search import DeliveryQuery, DeliverySearch
from slipway.webhooks.delivery_summary import DeliveryState

MOST: Final = 100
_DAY_US: Final = 86_400 * 1_000_000
_CHECKS: Final = 2000


async def _signed(inputs: Inputs) -> Sequence[Line]:
    code = "webhooks.signed"
    if inputs.settings.webhook_secret is not None:
        return [passed(code, "calls that runs and crons name are signed with SLIPWAY_WEBHOOK_SECRET")]
    if inputs.project.http.disable_webhooks:
        return [passed(code, "runs and crons cannot name webhooks; endpoints have keys of their own")]
    found = "calls that runs and crons name are not signed: a receiver cannot tell them from forged ones"
    return [warned(code, found, "SLIPWAY_WEBHOOK_SECRET_FILE, or http.disable_webhooks in langgraph.json")]


async def _endpoints(inputs: Inputs) -> Sequence[Line]:
    code, scripts = "webhooks.endpoints", EndpointScripts(inputs.pipeline, inputs.shards)
    ids = await scripts.ids()
    lines, enabled = [], 0
    for endpoint_id in ids[:MOST]:
        endpoint = await scripts.read(endpoint_id)
        if endpoint is None:
            continue
        if endpoint.state is State.DISABLED:
            found = f"is disabled ({endpoint.disabled_reason or 'by an operator'}), so its events are not sent"
            lines.append(warned(code, found, f"slipway webhooks enable {endpoint_id}, or remove it", endpoint_id))
        elif not endpoint.url.startswith("https://"):
            lines.append(warned(code, "its URL is not https://: events can be read", "an https:// URL", endpoint_id))
        else:
            enabled += 1
    if len(ids) > MOST:
        lines.append(warned(code, f"only {MOST} of {len(ids)} endpoints were looked at", "slipway webhooks list"))
    return lines or [
        passed(code, f"{counted(enabled, 'endpoint')}, all enabled and signed" if enabled else "there is no endpoint")
    ]


async def _dead(inputs: Inputs) -> Sequence[Line]:
    code, now_us = "webhooks.dead_letters", microseconds_of(inputs.clock.now())
    search = DeliverySearch(inputs.pipeline, inputs.shards, max_checks=_CHECKS)
    query = DeliveryQuery(states=frozenset({DeliveryState.DEAD}), created_from_us=now_us - 7 * _DAY_US)
    found = (await search.page(query, limit=MOST)).deliveries
    if not found:
        return [passed(code, "every webhook of the last seven days was received, or is still tried")]
    number = f"{MOST} or more webhooks" if len(found) == MOST else counted(len(found), "webhook")
    fix = "slipway deliveries list --state dead, then slipway deliveries replay"
    return [warned(code, f"nobody has accepted {number} of the last seven days", fix)]


async def _hooks(inputs: Inputs) -> Sequence[Line]:
    code, hooks = "hooks.signed", inputs.project.hooks
    if not hooks:
        return [passed(code, "there is no incoming webhook")]
    try:
        load_hooks(inputs.project, {**inputs.project.env, **inputs.environment})
    except ConfigError as error:
        return [failed(code, str(error), "set the secret where web processes start (docs/incoming-webhooks.md)")]
    return [
        warned(
            code,
            "its signature has no time, so who has seen a delivery may send it again later",
            "id in the hook",
            name,
        )
        for name, hook in hooks.items()
        if not hook.section.verify.has_timestamp and hook.section.id is None and hook.section.verify.scheme == "hmac"
    ] or [passed(code, f"each delivery is verified: {counted(len(hooks), 'hook')}")]


PART: Final = Part(
    "webhooks",
    "Webhooks",
    (
        Check({"webhooks.signed": "Whether webhooks of runs and crons are signed."}, _signed),
        Check({"webhooks.endpoints": "Whether endpoints are enabled, and use TLS."}, _endpoints),
        Check({"webhooks.dead_letters": "Whether receivers accept what is sent."}, _dead),
        Check({"hooks.signed": "Whether the secrets of incoming webhooks are set."}, _hooks),
    ),
)
