"""Assistants and store items whose ids are used again start without data of the deleted record."""

from __future__ import annotations

from tests.auth.conftest import Client


async def test_a_record_with_a_reused_id_has_no_data_of_the_deleted_record(ann: Client, bob: Client) -> None:
    secret = {"configurable": {"text": "secret of ann"}}
    hers = await ann.assistants.create("greet", name="hers", config=secret, metadata={"mine": "secret of ann"})
    assistant_id = hers["assistant_id"]
    await ann.assistants.update(assistant_id, config=secret, description="secret of ann")
    await ann.assistants.update(assistant_id, name="hers still")
    await ann.assistants.delete(assistant_id)
    fresh = await bob.assistants.create("greet")
    his = await bob.assistants.create("greet", assistant_id=assistant_id, name="his")
    assert (his["version"], his["config"], his["metadata"]) == (1, fresh["config"], fresh["metadata"])
    versions = await bob.assistants.get_versions(assistant_id)
    assert [each["version"] for each in versions] == [1]
    assert "secret" not in str((versions, await bob.assistants.get(assistant_id)))

    await ann.store.put_item(["n"], "k", {"text": "secret"}, index=["text"], ttl=60)
    await ann.store.delete_item(["n"], "k")
    assert (await ann.store.search_items(["n"], query="secret"))["items"] == []
    await ann.store.put_item(["n"], "k", {"text": "new"}, index=False)
    item = await ann.store.get_item(["n"], "k")
    assert item["value"] == {"text": "new"}
    assert item["created_at"] == item["updated_at"]
    assert "secret" not in str(await ann.store.search_items(["n"], query="secret"))
