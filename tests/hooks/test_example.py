"""The example of docs/incoming-webhooks.md on `slipway dev`, as it is written there, and the commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.environment import PYTHON_PATH, bare_environment, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

PAGE = (Path(__file__).parents[2] / "docs" / "incoming-webhooks.md").read_text()
SECRET = "a-secret-of-the-example-0123456789"


def block(language: str) -> str:
    """The first code block of the page in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "langgraph.json").write_text(block("json"))
    (tmp_path / "release_notes.py").write_text(block("python"))
    return bare_environment() | {"PYTHONPATH": PYTHON_PATH, "GITHUB_WEBHOOK_SECRET": SECRET}


@pytest.fixture
async def dev(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[str]:
    """The URL of a running `slipway dev`."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "slipway.cli", "dev", "--port", str(port)]
    with (tmp_path / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            await wait_until(lambda: _is_ready(client, process, tmp_path / "dev.log"), 60)
        yield url
    finally:
        process.terminate()
        process.wait(40)


async def _is_ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-2000:]
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def execute(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def test_the_example_works_as_it_is_written(dev: str, tmp_path: Path, environment: dict[str, str]) -> None:
    lines = block("sh").splitlines()
    assert lines[0].startswith("export GITHUB_WEBHOOK_SECRET=")
    assert lines[1] == "slipway dev &"
    script = "\n".join(lines[2:]).replace("http://127.0.0.1:8123", dev)
    shell = {**environment, "PATH": os.environ["PATH"]}
    sent = await asyncio.to_thread(execute, ["bash", "-c", script], tmp_path, shell)
    answer = json.loads(sent.stdout)
    assert answer.keys() == {"run_id", "thread_id", "status_url", "delivery"}, sent
    async with httpx.AsyncClient(base_url=dev) as client:

        async def run() -> dict[str, Any]:
            return dict((await client.get(answer["status_url"])).json())

        async def has_ended() -> bool:
            return bool((await run())["status"] == "success")

        await wait_until(has_ended)
        state = (await client.get(f"/threads/{answer['thread_id']}/state")).json()
        assert state["values"]["notes"] == "acme/web\n- Repair the door"
    redis = {**environment, "SLIPWAY_REDIS_URL": f"unix://{tmp_path}/.slipway/valkey.sock"}

    async def command(*arguments: str) -> str:
        done = await asyncio.to_thread(
            execute, [sys.executable, "-m", "slipway.cli", "hooks", *arguments], tmp_path, redis
        )
        assert done.returncode == 0, done
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    assert re.search(r"github +github +starts release_notes +1 +0 +0 +0 +0 +20", await command("list"))
    assert answer["delivery"] in await command("deliveries", "github")
    assert json.loads(await command("deliveries", "github", "--json"))["answer"] == answer
    shown = json.loads(await command("show", "github", answer["delivery"]))
    assert json.loads(shown["body"])["pusher"] == {"name": "ann"}
    replayed = json.loads(await command("replay", "github", answer["delivery"], "--by", "ann"))
    assert replayed["thread_id"] == answer["thread_id"]
    assert replayed["run_id"] != answer["run_id"]
    newest = json.loads((await command("deliveries", "github", "--json")).splitlines()[0])
    assert (newest["replay_of"], newest["by"]) == (answer["delivery"], "ann")


def test_a_mapping_is_tried_without_redis_and_secrets(tmp_path: Path, environment: dict[str, str]) -> None:
    del environment["GITHUB_WEBHOOK_SECRET"]
    body = re.search(r"^BODY='(.*)'$", block("sh"), re.MULTILINE)
    assert body is not None
    (tmp_path / "push.json").write_text(body[1])
    command = [sys.executable, "-m", "slipway.cli", "hooks", "check", "github", "push.json"]
    done = execute([*command, "--header", "X-GitHub-Event=push"], tmp_path, environment)
    assert done.returncode == 0, done
    shown = json.loads(done.stdout)
    assert (shown["creates_run_of"], shown["thread"], shown["event"]) == ("release_notes", "acme/web", "push")
    assert shown["input"] == {"repository": "acme/web", "commits": ["Repair the door"]}
    ignored = json.loads(execute([*command, "--header", "X-GitHub-Event=star"], tmp_path, environment).stdout)
    assert "the event type is 'star'" in ignored["reason"]
    (tmp_path / "push.json").write_text("{}")
    wrong = execute([*command, "--header", "X-GitHub-Event=push"], tmp_path, environment)
    assert wrong.returncode == 1
    assert "slipway.hooks.github.when: the expression" in wrong.stderr
    unknown = execute([*command[:-2], "gitlab", "push.json"], tmp_path, environment)
    assert unknown.returncode == 1
    assert "hook 'gitlab' not found" in unknown.stderr
    assert "existing: github" in unknown.stderr


def test_a_missing_secret_ends_the_start_with_file_and_line(tmp_path: Path, environment: dict[str, str]) -> None:
    del environment["GITHUB_WEBHOOK_SECRET"]
    environment |= {"SLIPWAY_REDIS_URL": "redis://127.0.0.1:1"}
    done = execute([sys.executable, "-m", "slipway.cli", "release"], tmp_path, environment)
    assert done.returncode != 0
    problem = r"langgraph.json:\d+: slipway.hooks.github.verify.secret_env: .* GITHUB_WEBHOOK_SECRET is not set"
    assert re.search(problem, done.stderr)
    (tmp_path / "langgraph.json").write_text(block("json").replace("body.commits[].message", "body.commits["))
    done = execute([sys.executable, "-m", "slipway.cli", "web"], tmp_path, environment)
    assert done.returncode == 2
    assert "langgraph.json:" in done.stderr
    assert "slipway.hooks.github.input.commits: the expression 'body.commits[' is not" in done.stderr
    assert done.stderr.count("\n") == 1
