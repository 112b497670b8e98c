"""What would keep a new release from serving: looked at before a deploy replaces the old one."""

from __future__ import annotations

from typing import Final

from app.errors import StoreUnavailable
from app.findings import Level
from app.link import Address
from app.server_facts import read_facts
from app.wire import Wire

_PATIENCE_S: Final = 10.0


async def redis_problems(url: str) -> list[str]:
    """What is wrong with the server at `url`: nothing that says so can be fixed by starting again."""
    wire = Wire(Address(url), "release", patience_s=_PATIENCE_S)
    try:
        await wire.open()
        facts = await read_facts(wire)
    except StoreUnavailable as error:
        return [str(error)]
    finally:
        await wire.close()
    return [finding.detail for finding in facts.findings() if finding.level is Level.ERROR]
