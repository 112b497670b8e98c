"""Where the Lua comes from: each script is a file in `lua/`, with the key names and `prelude.lua` before it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from slipway.redis.catalogue.key_kinds import TEMPLATES
from slipway.redis.keys import WAKE_TOKENS
from slipway.redis.script import Script


@cache
def load(name: str, *, repeatable: bool, prelude: bool = True) -> Script:
    """The script of `lua/<name>.lua`."""
    folder = resources.files("slipway.redis") / "lua"
    source = (folder / f"{name}.lua").read_text()
    if prelude:
        source = "\n".join((_lua_names(), (folder / "prelude.lua").read_text(), source))
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), repeatable)


def _lua_names() -> str:
    templates = ", ".join(f"{kind} = '{template}'" for kind, template in TEMPLATES.items())
    return f"local TEMPLATES = {{{templates}}}\nlocal WAKE_TOKENS = {WAKE_TOKENS}"
