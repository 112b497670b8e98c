"""`config` and `checkpoint` in request bodies."""

from __future__ import annotations

from slipway.api.bodies.body import Body, Configurable, Metadata
from slipway.protocol_types import JsonObject, MaxConcurrency, RecursionLimit

# runs


class ConfigBody(Body):
    """`config`: the parts of a RunnableConfig that a client may set."""

    tags: list[str] = []
    recursion_limit: RecursionLimit | None = None
    configurable: Configurable = {}
    metadata: Metadata = {}
    max_concurrency: MaxConcurrency | None = None
    run_name: str | None = None

    def public(self) -> JsonObject:
        """As Run.kwargs shows it."""
        shown: JsonObject = {"configurable": self.configurable, "metadata": self.metadata}
        for name in ("tags", "recursion_limit", "max_concurrency", "run_name"):
            if value := getattr(self, name):
                shown[name] = value
        return shown

    def given(self) -> JsonObject:
        """Only what was given: what an assistant keeps."""
        return {name: value for name, value in self.public().items() if value}


class CheckpointBody(Body):
    """Where in a thread's past: all parts optional."""

    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: JsonObject | None = None
    thread_id: str | None = None

    def public(self) -> JsonObject:
        """Without what is absent, and without the thread, which is that of the path."""
        return self.model_dump(exclude_none=True, exclude={"thread_id"})
