"""`config` and `checkpoint` in request bodies."""

from __future__ import annotations

from slipway.api.bodies.body import Body, Configurable, Metadata
from slipway.protocol_types import JsonObject, MaxConcurrency, RecursionLimit


class ConfigBody(Body):
    """`config`: the members of a RunnableConfig that a client can set."""

    tags: list[str] = []
    recursion_limit: RecursionLimit | None = None
    configurable: Configurable = {}
    metadata: Metadata = {}
    max_concurrency: MaxConcurrency | None = None
    run_name: str | None = None

    def public(self) -> JsonObject:
        """The config as responses show it, in `kwargs` of a run."""
        config: JsonObject = {"configurable": self.configurable, "metadata": self.metadata}
        for name in ("tags", "recursion_limit", "max_concurrency", "run_name"):
            if value := getattr(self, name):
                config[name] = value
        return config

    def non_empty(self) -> JsonObject:
        """The config without empty members, as an assistant stores it."""
        return {name: value for name, value in self.public().items() if value}


class CheckpointBody(Body):
    """A checkpoint reference. It must name a checkpoint of the thread in the path."""

    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: JsonObject | None = None
    thread_id: str | None = None

    def public(self) -> JsonObject:
        """The members that are set, without `thread_id`."""
        return self.model_dump(exclude_none=True, exclude={"thread_id"})
