"""A project that was written for another server, started by `slipway dev --config` and used by two users."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from tests.auth.conftest import PROJECT, as_user
from tests.crash.cluster import ROOT, START_WITHIN_S
from tests.environment import bare_environment, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of the running server."""
    port, log = free_port(), tmp_path / "log"
    arguments = ("--config", str(PROJECT), "--port", str(port), "--data-dir", str(tmp_path / "data"))
    with log.open("ab") as out:
        process = subprocess.Popen(
            slipway("dev", *arguments),
            env=bare_environment() | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    children: list[psutil.Process] = []
    try:
        await wait_until(lambda: "ready http" in log.read_text() or process.poll() is not None, START_WITHIN_S)
        assert process.poll() is None, log.read_text()
        children = psutil.Process(process.pid).children(recursive=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        psutil.wait_procs(children, 10)


@pytest.mark.timeout(120)
async def test_an_unmodified_project_is_served(dev: str) -> None:
    async with as_user(dev, "ann") as ann, as_user(dev, "bob") as bob, httpx.AsyncClient(base_url=dev) as client:
        assert (await client.get("/hello")).json() == {"hello": "desk"}
        assert {each["graph_id"] for each in await ann.assistants.search()} == {
            *("greet", "remember", "ask_greet", "watcher", "own_desk")
        }

        thread = (await ann.threads.create())["thread_id"]
        events = [event async for event in ann.runs.stream(thread, "greet", input={"text": "hi"})]
        assert events[-1].data["reply"] == "Good day, ann"
        assert [each["thread_id"] for each in await ann.threads.search()] == [thread]
        assert await bob.threads.search() == []

        for text in ("a cat", "a dog", "a tax"):
            await ann.store.put_item(["pets"], text[2:], {"text": text})
        near = await ann.store.search_items(["pets"], query="dog", limit=1)
        assert near["items"][0]["value"] == {"text": "a dog"}
        assert (await bob.store.search_items(["pets"], query="dog"))["items"] == []

        await ann.runs.wait(None, "remember", input={"text": "a note"})
        assert (await ann.runs.wait(None, "ask_greet", input={"text": "hi"}))["reply"] == "Good day, None"


def run_until_exit(
    tmp_path: Path, valkey_url: str, keys: Keys, command: str, **sections: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command that must fail, in a project with these sections of langgraph.json."""
    (tmp_path / "graphs.py").write_text((PROJECT.parent / "graphs.py").read_text())
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"greet": "./graphs.py:greet"}} | sections))
    environment = {
        "PYTHONPATH": str(ROOT),
        "SLIPWAY_REDIS_URL": valkey_url,
        "SLIPWAY_KEY_PREFIX": keys.prefix,
        "SLIPWAY_PORT": str(free_port()),
    }
    return subprocess.run(
        slipway(command, "--config", str(file)),
        env=bare_environment() | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("command", ["web", "worker", "release", "dev"])
def test_without_an_authenticate_handler_nothing_is_served(
    tmp_path: Path, valkey_url: str, keys: Keys, command: str
) -> None:
    (tmp_path / "open.py").write_text("from langgraph_sdk import Auth\nauth = Auth()\n")
    done = run_until_exit(tmp_path, valkey_url, keys, command, auth={"path": "./open.py:auth"})
    assert done.returncode == (1 if command == "release" else 2)
    reports = done.stderr.count("auth.path: the Auth object has no authenticate handler")
    assert reports == 1 or (command == "dev" and reports == 2), "the web process and the worker may both report it"
    if command == "dev":
        assert " cannot start; the reason is above" in done.stderr


BROKEN_APPS = {
    "import": ("import nowhere_to_be_found\n", "http.app: ./app.py:app cannot be loaded: ModuleNotFoundError"),
    "lifespan": (
        "from contextlib import asynccontextmanager\n"
        "from fastapi import FastAPI\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise OSError('no database')\n"
        "    yield\n"
        "app = FastAPI(lifespan=lifespan)\n",
        "http.app: its lifespan fails: OSError: no database",
    ),
}


@pytest.mark.parametrize("broken", BROKEN_APPS)
@pytest.mark.parametrize("command", ["web", "dev"])
def test_a_broken_host_app_is_reported_once(
    tmp_path: Path, valkey_url: str, keys: Keys, command: str, broken: str
) -> None:
    code, message = BROKEN_APPS[broken]
    (tmp_path / "app.py").write_text(code)
    done = run_until_exit(tmp_path, valkey_url, keys, command, http={"app": "./app.py:app"})
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(f"slipway: {message}") == 1
