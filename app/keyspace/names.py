"""The catalogue of every key and channel. `<p>` is the `key_prefix` setting; ids are UUIDs as text.

| name | type | lives | written by | read by |
|---|---|---|---|---|
| `<p>:run:<run>` | hash | with its thread | create, claim, apply, settle and the other run scripts | runs |
| `<p>:run:<run>:events` | stream | `event_ttl_s` after the run's end | whatever appends an event | events |
| `<p>:run:<run>:wake` | channel | | whatever appends an event | subscriber |
| `<p>:thread:<thread>` | hash | until deleted | run and thread scripts | threads |
| `<p>:thread:<thread>:runs` | zset of runs, by created_at in µs | with its thread | create, delete | runs |
| `<p>:thread:<thread>:queue` | zset of waiting runs, by created_at in µs | while runs wait | create, claim, release, cancel | scripts |
| `<p>:threads` | zset of threads, by updated_at in µs | | run and thread scripts | threads |
| `<p>:queue` | zset of jobs `<run>:<attempt>`, by due time in ms | while jobs wait | create, settle, release | claim |
| `<p>:queue:wake` | list of tokens, at most `WAKE_TOKENS` | until popped | whatever queues a job | claims (blocking pop) |
| `<p>:leases` | zset of runs, by the lease's end in ms | while they run | claim, heartbeat, settle, release | reap |
| `<p>:workers` | zset of workers, by last heartbeat in ms | until one lease after the last | heartbeat | health |
| `<p>:worker:<worker>:control` | channel | | cancel, thread_delete | that worker |

The checkpointer's keys are in `checkpoint_names`. The scripts know these names by the same templates (`source.load`
writes them into the Lua), so none is spelled twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WAKE_TOKENS: Final = 64

TEMPLATES: Final = {
    "run": ":run:%s",
    "events": ":run:%s:events",
    "run_wake": ":run:%s:wake",
    "thread": ":thread:%s",
    "thread_runs": ":thread:%s:runs",
    "thread_queue": ":thread:%s:queue",
    "threads": ":threads",
    "queue": ":queue",
    "queue_wake": ":queue:wake",
    "leases": ":leases",
    "workers": ":workers",
    "control": ":worker:%s:control",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """Names under one prefix. Two deployments may share a server under two prefixes."""

    prefix: str

    def _of(self, kind: str, *ident: str) -> str:
        return self.prefix + TEMPLATES[kind] % ident

    def run(self, run_id: str) -> str:
        return self._of("run", run_id)

    def events(self, run_id: str) -> str:
        return self._of("events", run_id)

    def run_wake(self, run_id: str) -> str:
        return self._of("run_wake", run_id)

    def thread(self, thread_id: str) -> str:
        return self._of("thread", thread_id)

    def thread_runs(self, thread_id: str) -> str:
        return self._of("thread_runs", thread_id)

    def thread_queue(self, thread_id: str) -> str:
        return self._of("thread_queue", thread_id)

    @property
    def threads(self) -> str:
        return self._of("threads")

    @property
    def queue(self) -> str:
        return self._of("queue")

    @property
    def queue_wake(self) -> str:
        return self._of("queue_wake")

    @property
    def leases(self) -> str:
        return self._of("leases")

    @property
    def workers(self) -> str:
        return self._of("workers")

    def control(self, worker_id: str) -> str:
        return self._of("control", worker_id)
