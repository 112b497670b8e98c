"""The commands of the Procfile as a platform executes them: with the packages of `requirements.txt`, the variables that
a platform sets, and a small Redis with a self-signed certificate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.deploy.conftest import Checkout
from tests.deploy.processes import assert_serves, command, first_key, stop
from tests.environment import free_port


def procfile(folder: Path) -> dict[str, str]:
    """The commands by process name."""
    lines = (folder / "Procfile").read_text().splitlines()
    return {name: line.strip() for name, _, line in (text.partition(":") for text in lines)}


@pytest.mark.timeout(400)
async def test_the_processes_serve_and_stop(checkout: Checkout, platform_redis: str) -> None:
    port, lines, folder = free_port(), procfile(checkout.folder), checkout.folder
    env = checkout.environment | {"PORT": str(port), "REDIS_URL": platform_redis}
    async with command(lines["release"], folder, env) as release:
        assert await asyncio.wait_for(release.wait(), 60) == 0, checkout.log()
    assert "ready to serve" in checkout.log()
    async with command(lines["web"], folder, env) as web:
        assert await asyncio.wait_for(web.wait(), 60) == 2, "others can reach it, and there is no key"
    (refusal,) = (text for text in checkout.log().splitlines() if text.startswith("slipway: "))
    assert "slipway keys create --scope administer" in refusal
    key = await first_key(lines["release"].removesuffix(" release"), folder, env)
    async with command(lines["web"], folder, env) as web, command(lines["worker"], folder, env) as worker:
        await assert_serves(f"http://127.0.0.1:{port}", key)
        await stop(web, worker)
    assert "Traceback" not in checkout.log()


@pytest.mark.timeout(400)
async def test_the_error_for_an_untrusted_certificate_names_the_settings(
    checkout: Checkout, platform_redis: str
) -> None:
    env = checkout.environment | {"REDIS_URL": platform_redis, "PORT": "0", "SLIPWAY_REDIS_TLS_VERIFY": "1"}
    for name, line in procfile(checkout.folder).items():
        (checkout.folder / "log").unlink(missing_ok=True)
        async with command(line, checkout.folder, env) as process:
            assert await asyncio.wait_for(process.wait(), 60) == (1 if name == "release" else 2)
        (error,) = (text for text in checkout.log().splitlines() if text.startswith("slipway: "))
        assert "is not trusted (self-signed certificate)" in error
        assert "set SLIPWAY_REDIS_CA_FILE" in error
        assert "SLIPWAY_REDIS_TLS_VERIFY=0" in error
        assert "Traceback" not in checkout.log()
