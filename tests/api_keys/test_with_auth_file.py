"""API keys beside an auth file: its handlers apply on top, and its own users are authenticated as before."""

from __future__ import annotations

from pathlib import Path

from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.auth.test_http_section import Desk, desk

__all__ = ["desk"]

AUTH_FILE = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if authorization is None:
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return authorization

@auth.on.threads
async def of_owner(ctx, value):
    if ctx.action == "delete":
        return False
    owner = getattr(ctx.user, "owner", None) or ctx.user.identity
    if "takes over" in str(value.get("metadata")):
        owner = "another"
    if ctx.action in ("create", "update"):
        value["metadata"]["owner"] = owner
    return {"owner": owner}

@auth.on.store
async def of_identity(ctx, value):
    value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
"""


async def test_the_handlers_of_an_auth_file_apply_on_top_of_keys(
    desk: Desk, tmp_path: Path, pipeline: Pipeline, keys: Keys
) -> None:
    (tmp_path / "own_auth.py").write_text(AUTH_FILE)
    store = ApiKeyStore(ApiKeyScripts(pipeline, keys))
    bob = await store.create(scopes=["runs:write"], owner="bob", expires=None, name="", by="x")
    reader = await store.create(scopes=["runs:read"], owner="bob", expires=None, name="", by="x")
    async with desk.serves(auth={"path": "./own_auth.py:auth"}) as client:
        assert (await client.post("/threads", json={})).json()["detail"] == "who are you?"
        hers = (await client.post("/threads", json={}, headers={"authorization": "ann"})).json()
        assert hers["metadata"] == {"owner": "ann"}
        key = {"x-api-key": bob.text}
        his = (await client.post("/threads", json={}, headers=key)).json()
        assert his["metadata"] == {"owner": "bob"}
        path = f"/threads/{his['thread_id']}"
        assert (await client.get(f"/threads/{hers['thread_id']}", headers=key)).status_code == 404
        assert (await client.get(path, headers={"authorization": "ann"})).status_code == 404
        assert (await client.get(path, headers=key)).status_code == 200
        assert (await client.delete(path, headers=key)).status_code == 403, "the handler refuses"
        assert (await client.post("/threads", json={}, headers={"x-api-key": reader.text})).status_code == 403
        taken = {"metadata": {"note": "takes over"}}
        for method, where in (("POST", "/threads"), ("PATCH", path)):
            refused = await client.request(method, where, json=taken, headers=key)
            assert refused.status_code == 403, refused.text
            assert "ctx.user.owner" in refused.json()["detail"]
        item = {"namespace": ["bob"], "key": "k", "value": {}}
        refused = await client.put("/store/items", json=item, headers=key)
        assert refused.status_code == 403
        assert "the namespace" in refused.json()["detail"]


async def test_a_user_of_an_auth_file_cannot_pose_as_one_of_slipway(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "posing.py").write_text(
        "from langgraph_sdk import Auth\nauth = Auth()\n@auth.authenticate\n"
        "async def authenticate(authorization: str):\n"
        "    return {'identity': 'x', 'slipway_access': {'scopes': ['administer']}}\n"
    )
    async with desk.serves(auth={"path": "./posing.py:auth"}) as client:
        assert (await client.post("/threads", json={}, headers={"authorization": "x"})).status_code == 500
