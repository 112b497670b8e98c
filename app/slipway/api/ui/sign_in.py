"""Signing in to the pages with an API key, and signing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from slipway.api.auth.rates import counted_by_address
from slipway.api.middleware.origins import is_same_origin
from slipway.api.shared_objects import services_of
from slipway.api.ui.rendering import HEADERS, page
from slipway.api.ui.views import as_page
from slipway.browser_access.page_sessions import cookie_name, session_text
from slipway.browser_access.random_texts import is_csrf_token_of
from slipway.errors import AccessRefused, InvalidRequest

SIGN_IN: Final = "/ui/sign-in"
SIGN_OUT: Final = "/ui/sign-out"

_MOST_BYTES: Final = 8 * 1024
_MOST_FIELDS: Final = 10
_FORM: Final = "application/x-www-form-urlencoded"
_SEE_OTHER: Final = 303
_UNAUTHENTICATED: Final = 401

Handler = Callable[[Request], Awaitable[Response | ASGIApp]]


def with_sign_in(handler: Handler) -> Handler:
    """Wraps the handler of a page: a browser without credentials that opens the page is sent to the page for signing
    in, and back afterwards."""

    @wraps(handler)
    async def respond(request: Request) -> Response | ASGIApp:
        try:
            return await handler(request)
        except AccessRefused as error:
            if not _may_sign_in(request, error):
                raise
            query = urlencode({"next": _path_with_query(request)}, quote_via=quote)
            return _redirect(request, f"{SIGN_IN}?{query}")

    return respond


def _may_sign_in(request: Request, error: AccessRefused) -> bool:
    """Whether a person waits for a page, and the auth file does not make the browser ask for a password itself."""
    challenges = {name.lower(): value for name, value in error.headers.items()}.get("www-authenticate", "")
    is_asked_by_browser = challenges.lower().startswith(("basic", "digest", "negotiate"))
    opens_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return error.status == _UNAUTHENTICATED and opens_page and not is_asked_by_browser


@as_page
async def form(request: Request) -> Response:
    """The form with which a person signs in."""
    return _form_page(request, _local_path(request.query_params.get("next", "")))


@as_page
async def sign_in(request: Request) -> Response:
    """Verifies the key in the form, and sets the cookie of a new session. A wrong key counts as a request without valid
    credentials for the address of the client."""
    _check_origin(request)
    fields = await _fields(request)
    after = _local_path(fields.get("next", ""))
    try:
        async with counted_by_address(request):
            session = await services_of(request).page_sessions.sign_in(
                fields.get("key", "").strip(), earlier=_session_of(request)
            )
    except AccessRefused as error:
        if error.status != _UNAUTHENTICATED:
            raise
        return _form_page(request, after, problem=str(error), status=_UNAUTHENTICATED)
    response = _redirect(request, after)
    _set_cookie(request, response, session.text, services_of(request).page_sessions.lasts_s)
    return response


@as_page
async def sign_out(request: Request) -> Response:
    """Ends the session of the browser. The form has the CSRF token of the session."""
    session = _session_of(request)
    if session is not None:
        if not is_csrf_token_of(session, (await _fields(request)).get("csrf", "")):
            raise AccessRefused(403, "the form has no valid CSRF token: reload the page and try again")
        await services_of(request).page_sessions.sign_out(session)
    response = _redirect(request, SIGN_IN)
    _set_cookie(request, response, "", 0)
    return response


def _form_page(request: Request, after: str, *, problem: str = "", status: int = 200) -> Response:
    return page(request, "sign_in.html", status, after=after, problem=problem)


def _check_origin(request: Request) -> None:
    """Raises `AccessRefused` if a page of another site sends the form: its owner would make a visitor work in the
    owner's own session."""
    origin, headers = request.headers.get("origin"), dict(request.scope["headers"])
    if origin is not None and not is_same_origin(origin, headers):
        raise AccessRefused(403, "a page of another site may not sign you in")


async def _fields(request: Request) -> Mapping[str, str]:
    """The fields of a form. Raises `InvalidRequest`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequest("content-type", f"must be {_FORM}")
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise InvalidRequest("", f"the form is larger than {_MOST_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidRequest("", f"the form has more than {_MOST_FIELDS} fields") from None
    return {name: values[0] for name, values in fields.items()}


def _local_path(text: str) -> str:
    """A path of this server, without the mount prefix: no form leads to another site."""
    is_local = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_local else "/"


def _path_with_query(request: Request) -> str:
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return f"{path}?{request.url.query}" if request.url.query else path


def _redirect(request: Request, path: str) -> Response:
    base: str = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}{path}", _SEE_OTHER, dict(HEADERS))


def _session_of(request: Request) -> str | None:
    return session_text(dict(request.scope["headers"]), is_secure=_is_secure(request))


def _is_secure(request: Request) -> bool:
    return bool(request.scope["scheme"] == "https")


def _set_cookie(request: Request, response: Response, value: str, lasts_s: int) -> None:
    is_secure = _is_secure(request)
    options: dict[str, Any] = {"httponly": True, "samesite": "lax", "secure": is_secure, "path": "/"}
    response.set_cookie(cookie_name(is_secure=is_secure), value, max_age=lasts_s, **options)
