"""The Procfile's lines from a plain checkout, as a platform runs them: an environment with `requirements.txt` alone,
the variables that the platform sets and no others, its smallest Redis with a certificate that it signed itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.deploy.conftest import Checkout
from tests.deploy.processes import command, serves, stops


def procfile(folder: Path) -> dict[str, str]:
    """Its commands by the names of their processes."""
    lines = (folder / "Procfile").read_text().splitlines()
    return {name: line.strip() for name, _, line in (text.partition(":") for text in lines)}


@pytest.mark.timeout(400)
async def test_it_serves_and_stops(checkout: Checkout, platform_redis: str) -> None:
    port, lines, folder = free_port(), procfile(checkout.folder), checkout.folder
    env = checkout.environment | {"PORT": str(port), "REDIS_URL": platform_redis}
    async with command(lines["release"], folder, env) as release:
        assert await asyncio.wait_for(release.wait(), 60) == 0, checkout.log()
    assert "ready to serve" in checkout.log()
    async with command(lines["web"], folder, env) as web, command(lines["worker"], folder, env) as worker:
        await serves(f"http://127.0.0.1:{port}")
        await stops(web, worker)
    assert "Traceback" not in checkout.log()


@pytest.mark.timeout(400)
async def test_a_certificate_that_is_not_trusted_names_the_setting(checkout: Checkout, platform_redis: str) -> None:
    env = checkout.environment | {"REDIS_URL": platform_redis, "PORT": "0", "SLIPWAY_REDIS_TLS_VERIFY": "1"}
    for name, line in procfile(checkout.folder).items():
        (checkout.folder / "log").unlink(missing_ok=True)
        async with command(line, checkout.folder, env) as process:
            assert await asyncio.wait_for(process.wait(), 60) == (1 if name == "release" else 2)
        (sentence,) = (text for text in checkout.log().splitlines() if text.startswith("slipway: "))
        assert "is not trusted (self-signed certificate)" in sentence
        assert "set SLIPWAY_REDIS_CA_FILE" in sentence
        assert "SLIPWAY_REDIS_TLS_VERIFY=0" in sentence
        assert "Traceback" not in checkout.log()
