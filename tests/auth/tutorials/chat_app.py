"""The steps of a chat app for one user, and the result of each step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client

OK = "ok"
YEARLY = "0 0 1 1 *"
STEP_WITHIN_S = 30


def user_message(text: str) -> dict[str, Any]:
    """The input of the chat graph with one message."""
    return {"messages": [{"role": "user", "content": text}]}


class ChatApp:
    """`steps` has the result of each step: "ok", or the status of the error response, or another error."""

    def __init__(self, url: str, user: str) -> None:
        self.user = user
        self.headers = {"authorization": f"Bearer {user}-token"}
        self.client: Any = get_client(url=url, api_key=None, headers=self.headers)
        self.url = url
        self.steps: dict[str, str] = {}

    async def step(self, name: str, action: Callable[[], Awaitable[Any]]) -> Any:
        """Run one step and store its result. Returns None if it failed."""
        try:
            result = await asyncio.wait_for(action(), STEP_WITHIN_S)
        except httpx.HTTPStatusError as error:
            self.steps[name] = str(error.response.status_code)
            return None
        except Exception as error:
            self.steps[name] = f"{type(error).__name__}: {error}"
            return None
        self.steps[name] = OK
        return result

    async def run_all(self) -> dict[str, str]:
        """Run every step in order."""
        async with self.client:
            await self._assistants()
            await self._threads()
            await self._runs()
            await self._approval()
            await self._multitask()
            await self._stateless()
            await self._crons()
            await self._store()
            await self._idempotency()
            await self._remote()
        return self.steps

    async def _assistants(self) -> None:
        a = self.client.assistants
        await self.step("assistants.search", a.search)
        await self.step("assistants.schemas", lambda: a.get_schemas("chat"))
        await self.step("assistants.graph", lambda: a.get_graph("chat"))
        created = await self.step("assistants.create", lambda: a.create("chat", metadata={"of": "app"}, name="mine"))
        if created:
            mine = created["assistant_id"]
            await self.step("assistants.update", lambda: a.update(mine, name="still mine"))
            await self.step("assistants.versions", lambda: a.get_versions(mine))
            await self.step("assistants.set_latest", lambda: a.set_latest(mine, 1))
            await self.step("assistants.run", lambda: self.client.runs.wait(None, mine, input=user_message("hi")))
            await self.step("assistants.delete", lambda: a.delete(mine))

    async def _threads(self) -> None:
        t = self.client.threads
        thread_id = str(uuid4())
        await self.step("threads.create", lambda: t.create(thread_id=thread_id, metadata={"graph_id": "chat"}))
        await self.step("threads.create again", lambda: t.create(thread_id=thread_id, if_exists="do_nothing"))
        await self.step("threads.create ttl", lambda: t.create(ttl=60))
        await self.step(
            "threads.create supersteps",
            lambda: t.create(
                graph_id="chat",
                supersteps=[{"updates": [{"values": user_message("hi"), "as_node": "reply"}]}],
            ),
        )
        await self.step("threads.get", lambda: t.get(thread_id))
        await self.step("threads.update", lambda: t.update(thread_id, metadata={"title": "A chat"}))
        await self.step("threads.search", lambda: t.search(metadata={"graph_id": "chat"}, limit=10))
        await self.step("threads.count", t.count)
        await self.step("threads.copy", lambda: t.copy(thread_id))
        await self.step("threads.delete", lambda: t.delete(thread_id))

    async def _runs(self) -> None:
        c = self.client
        thread = (await c.threads.create())["thread_id"]
        modes = ["values", "messages-tuple", "updates"]

        async def streamed(**kwargs: Any) -> None:
            async for part in c.runs.stream(thread, "chat", input=user_message("hi"), stream_mode=modes, **kwargs):
                assert part.event != "error", part.data

        await self.step("runs.stream", streamed)
        await self.step("runs.stream resumable", lambda: streamed(stream_resumable=True, on_disconnect="continue"))
        await self.step("runs.wait", lambda: c.runs.wait(thread, "chat", input=user_message("hi")))
        run = await self.step(
            "runs.create", lambda: c.runs.create(thread, "chat", input=user_message("hi"), stream_resumable=True)
        )
        run_id = run["run_id"]
        await self.step("runs.join", lambda: c.runs.join(thread, run_id))

        async def joined(**kwargs: Any) -> None:
            async for part in c.runs.join_stream(thread, run_id, **kwargs):
                assert part.event != "error", part.data

        await self.step("runs.join_stream", joined)
        await self.step("runs.join_stream from the beginning", lambda: joined(last_event_id="-1"))
        await self.step("runs.get", lambda: c.runs.get(thread, run_id))
        await self.step("runs.list", lambda: c.runs.list(thread))
        await self.step("threads.get_state", lambda: c.threads.get_state(thread))
        await self.step("threads.get_history", lambda: c.threads.get_history(thread))
        await self.step(
            "threads.update_state", lambda: c.threads.update_state(thread, user_message("x"), as_node="reply")
        )
        await self.step("runs.delete", lambda: c.runs.delete(thread, run_id))
        await self.step("runs.cancel", lambda: self._cancelled(thread))
        new = str(uuid4())
        await self.step(
            "runs.create if_not_exists",
            lambda: c.runs.wait(new, "chat", input=user_message("hi"), if_not_exists="create", metadata={"of": "app"}),
        )
        await self.step("threads.get of if_not_exists", lambda: c.threads.get(new))
        await self.step(
            "runs.webhook", lambda: c.runs.wait(thread, "chat", input=user_message("hi"), webhook="https://example.com")
        )

    async def _cancelled(self, thread: str) -> None:
        run = await self.client.runs.create(thread, "chat", input=user_message("wait"))
        await self.client.runs.cancel(thread, run["run_id"], wait=True)

    async def _approval(self) -> None:
        c = self.client
        thread = (await c.threads.create())["thread_id"]
        await self.step("interrupt", lambda: c.runs.wait(thread, "approval", input=user_message("hi")))
        done = await self.step("interrupt answered", lambda: c.runs.wait(thread, "approval", command={"resume": "yes"}))
        assert done["messages"][-1]["content"] == "Decision: yes"

    async def _multitask(self) -> None:
        c = self.client
        for strategy in ("enqueue", "interrupt", "rollback", "reject"):
            thread = (await c.threads.create())["thread_id"]
            await c.runs.create(thread, "chat", input=user_message("wait"))

            async def second(thread: str = thread, strategy: str = strategy) -> Any:
                return await c.runs.create(thread, "chat", input=user_message("hi"), multitask_strategy=strategy)

            await self.step(f"multitask {strategy}", second)
            await c.threads.delete(thread)

    async def _stateless(self) -> None:
        c = self.client

        async def streamed() -> None:
            async for part in c.runs.stream(None, "chat", input=user_message("hi")):
                assert part.event != "error", part.data

        await self.step("stateless stream", streamed)
        await self.step("stateless wait", lambda: c.runs.wait(None, "chat", input=user_message("hi")))
        await self.step("stateless create", lambda: c.runs.create(None, "chat", input=user_message("hi")))
        await self.step(
            "stateless keep", lambda: c.runs.wait(None, "chat", input=user_message("hi"), on_completion="keep")
        )
        await self.step(
            "stateless batch", lambda: c.runs.create_batch([{"assistant_id": "chat", "input": user_message("hi")}])
        )

    async def _crons(self) -> None:
        c = self.client
        thread = (await c.threads.create())["thread_id"]
        new: dict[str, Any] = {"schedule": YEARLY, "input": user_message("hi")}
        await self.step("crons.create_for_thread", lambda: c.crons.create_for_thread(thread, "chat", **new))
        cron = await self.step("crons.create", lambda: c.crons.create("chat", **new))
        await self.step("crons.search", c.crons.search)
        if cron:
            await self.step("crons.update", lambda: c.crons.update(cron["cron_id"], schedule="0 1 1 1 *"))
            await self.step("crons.delete", lambda: c.crons.delete(cron["cron_id"]))

    async def _store(self) -> None:
        s, mine = self.client.store, [self.user, "notes"]
        await self.step("store.put_item", lambda: s.put_item(mine, "a", {"text": "hi"}))
        await self.step("store.get_item", lambda: s.get_item(mine, "a"))
        await self.step("store.search_items", lambda: s.search_items(mine))
        await self.step("store.list_namespaces", lambda: s.list_namespaces(prefix=[self.user]))
        await self.step("store.delete_item", lambda: s.delete_item(mine, "a"))

    async def _idempotency(self) -> None:
        headers = self.headers | {"idempotency-key": str(uuid4())}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30) as client:

            async def twice() -> None:
                thread = (await self.client.threads.create())["thread_id"]
                body = {"assistant_id": "chat", "input": user_message("hi")}
                both = [await client.post(f"/threads/{thread}/runs", json=body) for _ in range(2)]
                assert len({each.raise_for_status().json()["run_id"] for each in both}) == 1

            await self.step("idempotency key", twice)

    async def _remote(self) -> None:
        graph = RemoteGraph("approval", url=self.url, headers=self.headers, client=self.client)
        config: Any = {"configurable": {"thread_id": str(uuid4())}}

        async def answered() -> None:
            assert (await graph.ainvoke(user_message("hi"), config))["__interrupt__"]
            assert (await graph.aget_state(config)).next == ("approve",)
            done = await graph.ainvoke(Command(resume="yes"), config)
            assert done["messages"][-1]["content"] == "Decision: yes"
            await graph.aupdate_state(config, user_message("x"), as_node="approve")
            assert [each async for each in graph.aget_state_history(config)]

        await self.step("RemoteGraph", answered)


async def main(url: str) -> None:
    """Print the results of two users."""
    both = await asyncio.gather(ChatApp(url, "ann").run_all(), ChatApp(url, "bob").run_all())
    for name in both[0]:
        print(f"{name}\t{both[0].get(name)}\t{both[1].get(name)}")


if __name__ == "__main__":
    import sys

    asyncio.run(main(sys.argv[1]))
