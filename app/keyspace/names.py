"""The catalogue of every key and channel. `<p>` is the `key_prefix` setting, ids are UUIDs as text.

| name | type | lives | written by | read by |
|---|---|---|---|---|
| `<p>:run:<run>` | hash | with its thread | create, claim, apply, settle, … scripts | runs, http |
| `<p>:run:<run>:events` | stream | `event_ttl_s` after the end | create, apply, settle | events |
| `<p>:run:<run>:wake` | channel | | whoever appends an event | subscriber |
| `<p>:thread:<thread>` | hash | until deleted | create, settle, thread scripts | threads, http |
| `<p>:thread:<thread>:runs` | zset, by created_at in µs | with its thread | create | runs |
| `<p>:thread:<thread>:queue` | zset, by created_at in µs | with its runs | create, settle, cancel | scripts |
| `<p>:threads` | zset, by updated_at in µs | | thread scripts | threads |
| `<p>:queue` | zset of job ids, by due time in ms | | create, settle, release | claim |
| `<p>:queue:wake` | list of tokens, at most `WAKE_TOKENS` | | whoever queues a job | workers, blocking |
| `<p>:leases` | zset of `<run>`, by lease end in ms | | claim, heartbeat, settle | reaper |
| `<p>:workers` | zset of worker ids, by last heartbeat in ms | | heartbeat | dev, health |
| `<p>:worker:<worker>` | hash | one lease after its last heartbeat | heartbeat | health, ui |
| `<p>:worker:<worker>:control` | channel | | cancel, reaper | that worker |
| `<p>:cp:<thread>:…` | see `checkpoints` below | with its thread | checkpointer | checkpointer |
"""

from __future__ import annotations

from dataclasses import dataclass

WAKE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Keys:
    """Names under one prefix. Two deployments may share a server under two prefixes."""

    prefix: str

    def run(self, run_id: str) -> str:
        return f"{self.prefix}:run:{run_id}"

    def events(self, run_id: str) -> str:
        return f"{self.prefix}:run:{run_id}:events"

    def run_wake(self, run_id: str) -> str:
        return f"{self.prefix}:run:{run_id}:wake"

    def thread(self, thread_id: str) -> str:
        return f"{self.prefix}:thread:{thread_id}"

    def thread_runs(self, thread_id: str) -> str:
        return f"{self.prefix}:thread:{thread_id}:runs"

    def thread_queue(self, thread_id: str) -> str:
        return f"{self.prefix}:thread:{thread_id}:queue"

    @property
    def threads(self) -> str:
        return f"{self.prefix}:threads"

    @property
    def queue(self) -> str:
        return f"{self.prefix}:queue"

    @property
    def queue_wake(self) -> str:
        return f"{self.prefix}:queue:wake"

    @property
    def leases(self) -> str:
        return f"{self.prefix}:leases"

    @property
    def workers(self) -> str:
        return f"{self.prefix}:workers"

    def worker(self, worker_id: str) -> str:
        return f"{self.prefix}:worker:{worker_id}"

    def control(self, worker_id: str) -> str:
        return f"{self.prefix}:worker:{worker_id}:control"
