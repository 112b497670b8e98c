"""The checkpointers there are, made from settings: which one a process uses, and the other one for migrations."""

from __future__ import annotations

from app.checkpointing.checkpointer_choice import NO_PACKAGE, Kind
from app.checkpointing.checkpoints import Checkpointer
from app.checkpointing.thread_saver import ThreadSaver
from app.errors import ConfigError
from app.keyspace.names import Keys
from app.project.graphs import Graphs
from app.redis.wire import Wire
from app.serialization.allowed import Allowed
from app.serialization.sealing import Seal
from app.serialization.serde import Serde
from app.settings import Settings


async def open_checkpointer(kind: Kind, settings: Settings, graphs: Graphs, wire: Wire, keys: Keys) -> ThreadSaver:
    """A checkpointer of all threads, allowed to construct what the graphs' states are declared with. Raises
    `ConfigError` when its package, or what it needs of the server, is not there."""
    serde, most = _serde(settings, graphs), settings.max_state_bytes
    if kind == "core":
        return Checkpointer(wire, keys, serde=serde, max_thread_bytes=most)
    try:
        from app.checkpointing.langgraph_redis.saver import LangGraphRedisSaver
    except ImportError as error:
        raise ConfigError(f"{NO_PACKAGE}: {error}") from error
    saver = LangGraphRedisSaver(wire, keys, settings.langgraph_redis_prefix, serde=serde, max_thread_bytes=most)
    await saver.asetup()
    return saver


def _serde(settings: Settings, graphs: Graphs) -> Serde:
    allowed = Allowed()
    for declared in graphs.state_types():
        allowed.add(declared)
    key = settings.encryption_key
    return Serde(allowed, None if key is None else Seal.from_text(key.get_secret_value()))
