"""`make run` in a fresh checkout: everything is there, with a Valkey of its own."""

from __future__ import annotations

import re

import pytest

from tests.conftest import wait_until
from tests.deploy.conftest import fresh_checkout
from tests.deploy.processes import command, serves, stops


@pytest.mark.timeout(400)
async def test_make_run() -> None:
    with fresh_checkout() as checkout:
        env = checkout.environment | {"PORT": "0"}
        async with command("make run", checkout.folder, env) as dev:
            await wait_until(lambda: "ready http" in checkout.log() or dev.returncode is not None, 120)
            found = re.search(r"ready (http://\S+)", checkout.log())
            assert found is not None, checkout.log()
            await serves(found[1])
            await stops(dev)
