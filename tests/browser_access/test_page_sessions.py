"""Signing in to the pages: the cookie, the CSRF token, and when a session ends."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from slipway.browser_access.random_texts import digest_of
from slipway.clock import microseconds_of
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.runs.record import new_id
from slipway.settings import Settings
from tests.api_keys.conftest import KeyHolder, new_holder
from tests.browser_access.conftest import HTML, Visitor
from tests.http.conftest import Served, serving
from tests.waiting import wait_until

PAGES = ["/", "/ui/graphs/greet", "/ui/reviews"]


async def test_a_browser_without_a_session_is_asked_to_sign_in_and_comes_back(
    visitor: Visitor, holder: KeyHolder
) -> None:
    opened = await visitor.http.get("/ui/graphs/greet?thread=x", headers=HTML)
    assert opened.status_code == 303
    assert opened.headers["location"] == "/ui/sign-in?next=%2Fui%2Fgraphs%2Fgreet%3Fthread%3Dx"
    form = await visitor.http.get(opened.headers["location"], headers=HTML)
    assert form.status_code == 200
    assert 'value="/ui/graphs/greet?thread=x"' in form.text
    sent = await visitor.sign_in(holder.key.text, next="/ui/graphs/greet?thread=x")
    assert (sent.status_code, sent.headers["location"]) == (303, "/ui/graphs/greet?thread=x")
    assert (await visitor.http.get("/ui/graphs/greet?thread=x", headers=HTML)).status_code == 200


async def test_programs_get_an_error_instead_of_the_form(visitor: Visitor) -> None:
    response = await visitor.http.get("/ui/recent")
    assert (response.status_code, response.json()["code"]) == (401, "access.refused")
    assert (await visitor.http.post("/threads", json={}, headers=HTML)).status_code == 401


async def test_the_cookie_is_for_this_server_and_not_for_scripts(visitor: Visitor, holder: KeyHolder) -> None:
    sent = await visitor.sign_in(holder.key.text)
    [(name, cookie)] = SimpleCookie(sent.headers["set-cookie"]).items()
    assert name == "slipway-session"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "lax", "/", "")
    assert cookie["max-age"] == "43200"


async def test_behind_tls_the_cookie_is_secure(served: Served, holder: KeyHolder) -> None:
    headers = HTML | {"x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.1"}
    async with httpx.AsyncClient(base_url=served.url) as http:
        sent = await http.post("/ui/sign-in", data={"key": holder.key.text}, headers=headers)
        [(name, cookie)] = SimpleCookie(sent.headers["set-cookie"]).items()
        assert (name, cookie["secure"], cookie["path"], cookie["domain"]) == ("__Host-slipway-session", True, "/", "")
        cookies = {"cookie": f"{name}={cookie.value}"}
        assert (await http.get("/", headers=headers | cookies)).status_code == 200
        plain = HTML | {"cookie": f"slipway-session={cookie.value}", "x-forwarded-proto": "https"}
        assert (await http.get("/", headers=plain)).status_code == 303, "another name, which anybody can set"


@pytest.mark.parametrize(
    "key", ["", "x", "slipway_abc_def", "slipway_" + "a" * 12 + "_" + "b" * 43, "'; --", "🔑" * 100]
)
async def test_a_wrong_key_shows_the_form_again(visitor: Visitor, key: str) -> None:
    sent = await visitor.sign_in(key)
    assert sent.status_code == 401
    assert "this is no API key that is valid now" in sent.text
    assert "set-cookie" not in sent.headers
    assert key not in sent.text or len(key) < 2


@pytest.mark.parametrize(
    "after",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nset-cookie: b=c"],
)
async def test_signing_in_leads_to_no_other_site(visitor: Visitor, holder: KeyHolder, after: str) -> None:
    sent = await visitor.sign_in(holder.key.text, next=after)
    assert sent.headers["location"] == "/"
    form = await visitor.http.get("/ui/sign-in", params={"next": after}, headers=HTML)
    assert "evil.example" not in form.text


async def test_a_page_of_another_site_cannot_sign_a_visitor_in(visitor: Visitor, holder: KeyHolder) -> None:
    headers = HTML | {"origin": "https://evil.example"}
    sent = await visitor.http.post("/ui/sign-in", data={"key": holder.key.text}, headers=headers)
    assert sent.status_code == 403
    assert "set-cookie" not in sent.headers


async def test_a_request_that_may_change_something_needs_the_csrf_token(
    signed_in: Visitor, served: Served, holder: KeyHolder
) -> None:
    assert (await signed_in.http.post("/threads/search", json={})).status_code == 403
    for token in ("", "0" * 64, "é"):
        headers = {"x-slipway-csrf": token.encode()}
        refused = await signed_in.http.post("/threads", json={}, headers=headers)  # type: ignore[arg-type]
        assert refused.status_code == 403
        assert "CSRF" in refused.json()["detail"]
    created = await signed_in.http.post("/threads", json={}, headers={"x-slipway-csrf": await signed_in.csrf()})
    assert created.status_code == 200
    assert created.json()["metadata"]["owner"] == "ann"

    async with httpx.AsyncClient(base_url=served.url) as http:
        other = Visitor(http)
        await other.sign_in(holder.key.text)
        stolen = {"x-slipway-csrf": await signed_in.csrf()}
        assert (await http.post("/threads", json={}, headers=stolen)).status_code == 403, "of another session"


async def test_cookies_that_a_page_of_another_site_causes_are_ignored(signed_in: Visitor) -> None:
    foreign = {"origin": "https://evil.example", "x-slipway-csrf": await signed_in.csrf()}
    assert (await signed_in.http.post("/threads", json={}, headers=foreign)).status_code == 401
    assert (
        await signed_in.http.get("/threads/" + new_id(), headers={"origin": "https://evil.example"})
    ).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "dest"),
    [("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "document")],
)
async def test_requests_that_pages_of_other_origins_cause_have_no_session(
    signed_in: Visitor, site: str, mode: str, dest: str
) -> None:
    thread_id = new_id()
    token = {"x-slipway-csrf": await signed_in.csrf()}
    created = await signed_in.http.post("/threads", json={"thread_id": thread_id}, headers=token)
    assert created.status_code == 200
    sent = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    data = f"/threads/{thread_id}"
    for path in (data, f"{data}/stream", f"{data}/state"):
        assert (await signed_in.http.get(path, headers=sent)).status_code == 401
    assert (await signed_in.http.post("/threads", json={}, headers=sent | token)).status_code == 401
    opened = {path: (await signed_in.http.get(path, headers=HTML | sent)).status_code for path in PAGES}
    assert opened == dict.fromkeys(PAGES, 200 if (mode, dest) == ("navigate", "document") else 303)
    for own in ("same-origin", "none"):
        assert (await signed_in.http.get(data, headers=sent | {"sec-fetch-site": own})).status_code == 200


@pytest.mark.parametrize(
    "route", ["threads/{thread}/runs/{run}/stream", "threads/{thread}/runs/{run}/join", "runs/{run}/stream"]
)
async def test_cancel_on_disconnect_needs_the_csrf_token(signed_in: Visitor, served: Served, route: str) -> None:
    token = {"x-slipway-csrf": await signed_in.csrf()}
    thread = (await signed_in.http.post("/threads", json={}, headers=token)).json()["thread_id"]
    graph = (await signed_in.http.post("/assistants/search", json={}, headers=token)).json()[0]["assistant_id"]
    body = {"assistant_id": graph, "input": {}, "after_seconds": 3600}
    run = (await signed_in.http.post(f"/threads/{thread}/runs", json=body, headers=token)).json()["run_id"]
    path = "/" + route.format(thread=thread, run=run)
    query = {"cancel_on_disconnect": "true"}

    async def status() -> str:
        return str((await signed_in.http.get(f"/threads/{thread}/runs/{run}")).json()["status"])

    for headers in ({}, {"x-slipway-csrf": "0" * 64}, {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}):
        async with signed_in.http.stream("GET", path, params=query, headers=headers) as refused:
            assert refused.status_code == 403
            assert b"CSRF" in await refused.aread()
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await signed_in.http.get(path, params=query, headers=link)).status_code == 401
    async with signed_in.http.stream("GET", path) as response:
        assert response.status_code == 200, "without the option"
    await wait_until(lambda: _nobody_follows(served))
    assert await status() == "pending"
    async with signed_in.http.stream("GET", path, params=query, headers=token) as response:
        assert response.status_code == 200

    async def is_cancelled() -> bool:
        return await status() == "interrupted"

    await wait_until(is_cancelled)


async def _nobody_follows(served: Served) -> bool:
    return not served.app.state.responses_in_progress


async def test_cancel_on_disconnect_with_a_key_needs_no_csrf_token(served: Served, holder: KeyHolder) -> None:
    async with holder.http() as http:
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        graph = (await http.post("/assistants/search", json={})).json()[0]["assistant_id"]
        body = {"assistant_id": graph, "input": {}, "after_seconds": 3600}
        run = (await http.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
        path = f"/threads/{thread}/runs/{run}"
        async with http.stream("GET", f"{path}/stream?cancel_on_disconnect=true") as response:
            assert response.status_code == 200

        async def is_cancelled() -> bool:
            return bool((await http.get(path)).json()["status"] == "interrupted")

        await wait_until(is_cancelled)


@pytest.mark.parametrize("other", ['a={"b": "c"}', "a", "=", ";;", "slipway-session-2=x", 'a="', "é=1"])
async def test_cookies_of_other_applications_do_not_matter(signed_in: Visitor, served: Served, other: str) -> None:
    [session] = dict(signed_in.http.cookies).values()
    async with httpx.AsyncClient(base_url=served.url) as http:
        cookies = HTML | {"cookie": f"{other}; slipway-session={session}".encode().decode("latin-1")}
        sent = {name.encode(): value.encode("latin-1") for name, value in cookies.items()}
        assert (await http.get("/", headers=sent)).status_code == 200


async def test_signing_out_ends_the_session_also_for_who_has_copied_the_cookie(
    signed_in: Visitor, served: Served
) -> None:
    copied = dict(signed_in.http.cookies)
    assert (await signed_in.http.post("/ui/sign-out", data={"csrf": "x"}, headers=HTML)).status_code == 403
    assert (await signed_in.http.get("/", headers=HTML)).status_code == 200
    sent = await signed_in.http.post("/ui/sign-out", data={"csrf": await signed_in.csrf()}, headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/ui/sign-in")
    assert "Max-Age=0" in sent.headers["set-cookie"]
    async with httpx.AsyncClient(base_url=served.url, cookies=copied) as http:
        assert (await http.get("/", headers=HTML)).status_code == 303


async def test_signing_in_again_ends_the_earlier_session(signed_in: Visitor, served: Served, holder: KeyHolder) -> None:
    copied = dict(signed_in.http.cookies)
    await signed_in.sign_in(holder.key.text)
    assert dict(signed_in.http.cookies) != copied
    async with httpx.AsyncClient(base_url=served.url, cookies=copied) as http:
        assert (await http.get("/", headers=HTML)).status_code == 303


async def test_a_session_and_its_streams_end_with_the_key(
    signed_in: Visitor, served: Served, holder: KeyHolder
) -> None:
    thread_id = new_id()
    headers = {"x-slipway-csrf": await signed_in.csrf()}
    await signed_in.http.post("/threads", json={"thread_id": thread_id}, headers=headers)
    async with signed_in.http.stream("GET", f"/threads/{thread_id}/stream") as stream:
        assert stream.status_code == 200
        await served.services.api_keys.revoke(holder.key.key.key_id, "the test")
        received = "".join([part async for part in stream.aiter_text()])
    assert "access.refused" in received
    assert (await signed_in.http.get("/", headers=HTML)).status_code == 303
    assert (await signed_in.http.get(f"/threads/{thread_id}")).status_code == 401


async def test_a_session_ends_when_its_key_expires(served: Served, visitor: Visitor) -> None:
    holder = await new_holder(served, "runs:write", expires="1m")
    await visitor.sign_in(holder.key.text)
    assert (await visitor.http.get("/", headers=HTML)).status_code == 200
    keys, key = served.services.keys, holder.key.key
    past = microseconds_of(served.services.clock.now()) - 1
    await served.services.pipeline.send("HSET", keys.api_key(key.key_id), "expires_us", past)
    await wait_until(lambda: _is_asked(visitor))


async def _is_asked(visitor: Visitor) -> bool:
    return (await visitor.http.get("/", headers=HTML)).status_code == 303


@pytest.mark.parametrize("page_session_s", [60, 3600])
async def test_a_session_ends_after_page_session_s(
    settings: Settings, graphs: Registry, keys: Keys, page_session_s: int
) -> None:
    async with serving(settings.model_copy(update={"page_session_s": page_session_s}), graphs) as served:
        holder = await new_holder(served, "runs:read")
        async with httpx.AsyncClient(base_url=served.url) as http:
            sent = await Visitor(http).sign_in(holder.key.text)
            assert f"Max-Age={page_session_s};" in sent.headers["set-cookie"]
            [session] = dict(http.cookies).values()
            stored = keys.page_session(digest_of(session))
            left_s = await served.services.pipeline.send("TTL", stored, repeatable=True)
            assert page_session_s - 30 < left_s <= page_session_s


async def test_neither_the_session_nor_its_token_is_stored(signed_in: Visitor, served: Served) -> None:
    [session] = dict(signed_in.http.cookies).values()
    secrets = (session, await signed_in.csrf())
    pipeline, found = served.services.pipeline, []
    for name in await pipeline.send("KEYS", f"{served.services.keys.prefix}*", repeatable=True):
        found.append(name + (await pipeline.send("DUMP", name, repeatable=True) or b""))
    assert any(b"page_session" in each for each in found)
    for secret in secrets:
        assert not [each for each in found if secret.encode() in each]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/json"}, b'{"key": "x"}'),
        ({"content-type": "text/plain"}, b"key=x"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"key=" + b"x" * 9000),
        ({"content-type": "application/x-www-form-urlencoded"}, b"&".join(b"a%d=b" % number for number in range(100))),
    ],
)
async def test_what_is_no_form_is_rejected(visitor: Visitor, headers: dict[str, str], body: bytes) -> None:
    sent = await visitor.http.post("/ui/sign-in", content=body, headers=HTML | headers)
    assert 400 <= sent.status_code < 500


async def test_a_session_has_the_scopes_of_its_key(served: Served, visitor: Visitor) -> None:
    holder = await new_holder(served, "runs:read")
    await visitor.sign_in(holder.key.text)
    headers: dict[str, Any] = {"x-slipway-csrf": await visitor.csrf()}
    assert (await visitor.http.post("/threads", json={}, headers=headers)).status_code == 403
    assert (await visitor.http.get("/ui/reviews", headers=HTML)).status_code == 403
