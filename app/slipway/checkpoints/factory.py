"""Creates the checkpointer that the settings choose, and the other one for a migration."""

from __future__ import annotations

from langgraph.checkpoint.serde._msgpack import STRICT_MSGPACK_ENABLED

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.requirements import CheckpointerName
from slipway.graphs.interface import Graphs
from slipway.graphs.modules import any_module
from slipway.graphs.official_sections import Classes, SerdeSection
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.class_allowlist import Allowance, ClassAllowlist, Modules
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from slipway.settings import Settings


async def open_checkpointer(
    kind: CheckpointerName, settings: Settings, serde: Serde, pipeline: Pipeline, shards: Shards
) -> BaseCheckpointer:
    """Raises `ConfigError` when Redis lacks the modules that the checkpointer needs."""
    budget = settings.max_state_bytes
    if kind == "core":
        return CoreCheckpointer(pipeline, shards, serde=serde, max_thread_bytes=budget)
    # imported only when it is chosen: the package and redisvl take 0.3 s and 4 MB in each process
    from slipway.checkpoints.langgraph_redis.checkpointer import LangGraphRedisCheckpointer

    checkpointer = LangGraphRedisCheckpointer(
        pipeline, shards, settings.langgraph_redis_prefix, serde=serde, max_thread_bytes=budget
    )
    await checkpointer.asetup()
    return checkpointer


def serde_of(settings: Settings, section: SerdeSection, graphs: Graphs, *, preserve_unknown: bool = False) -> Serde:
    """The serializer with the classes that the graphs and langgraph.json allow. `preserve_unknown`: see `Serde`."""
    key = settings.encryption_key
    encryption = None if key is None else Encryption.from_text(key.get_secret_value())
    return Serde(_allowed(section, graphs), encryption, preserve_unknown=preserve_unknown)


def _allowed(section: SerdeSection, graphs: Graphs) -> ClassAllowlist:
    packed, json = section.allowed_msgpack_modules, section.allowed_json_modules
    allowed = ClassAllowlist(_entries(packed), _modules(packed, graphs), None if json is True else _entries(json))
    for declared in graphs.state_types():
        allowed.add(declared)
    return allowed


def _modules(classes: Classes, graphs: Graphs) -> Modules | None:
    """The modules of which every data class is allowed."""
    if classes is False or (STRICT_MSGPACK_ENABLED and classes is not True):
        return None
    return graphs.module if classes is not True else lambda name: graphs.module(name) or any_module(name)


def _entries(classes: Classes) -> list[Allowance]:
    """In langgraph.json `["package", "module", "Name"]` is a class and `["package"]` a package."""
    listed = [] if isinstance(classes, bool) else classes
    return [entry[0] if len(entry) == 1 else (".".join(entry[:-1]), entry[-1]) for entry in listed]
