"""`make run` in a new checkout."""

from __future__ import annotations

import pytest

from tests.deploy.conftest import fresh_checkout
from tests.deploy.processes import assert_serves, command, dev_url, stop


@pytest.mark.timeout(400)
async def test_make_run_serves_the_example_graphs() -> None:
    with fresh_checkout() as checkout:
        env = checkout.environment | {"PORT": "0"}
        async with command("make run", checkout.folder, env) as dev:
            await assert_serves(await dev_url(dev, checkout.folder / "log"))
            await stop(dev)
