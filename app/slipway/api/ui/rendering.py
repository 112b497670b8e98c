"""Templates, and the headers of every page.

Templates escape all values. Data for scripts is in JSON script tags, which browsers do not execute. As a second
protection, the content security policy forbids inline scripts and every request to another origin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from slipway.api.ui.phase_texts import phase_text
from slipway.browser_access.page_sessions import SESSION_KEY, PageSession
from slipway.redaction.redact import redact_json, redact_text
from slipway.serialization.json_encoding import dumps

HERE: Final = Path(__file__).parent

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Renders a template. Its links start with the mount prefix of the server. Secrets are replaced."""
    session: PageSession | None = request.scope.get(SESSION_KEY)
    html = (
        _templates()
        .get_template(template)
        .render(values, base=request.scope.get("root_path", ""), csrf="" if session is None else session.csrf_token)
    )
    return Response(redact_text(html).encode("utf-8", "replace"), status, dict(HEADERS), "text/html")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_data"] = as_data
    environment.filters["pretty"] = pretty
    environment.filters["readable_name"] = readable_name
    environment.filters["phase_text"] = phase_text
    return environment


def as_data(value: Any) -> Markup:
    """JSON for a script tag without secrets, escaped so that no value can end the tag."""
    text = redact_json(dumps(value)).decode()
    for sign, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(sign, escaped)
    return Markup(text)


def pretty(value: Any) -> str:
    """JSON with an indent of 2. Letters that are not ASCII are not escaped."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def readable_name(name: str) -> str:
    """`node_visits` as `node visits`."""
    return name.replace("_", " ")
