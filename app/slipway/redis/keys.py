"""The catalogue of every key and channel. `<p>` is the `key_prefix` setting; ids are UUIDs as text.

| name | type | lives | holds |
|---|---|---|---|
| `<p>:run:<run>` | hash | with its thread, or `kept_s` longer | the run's record |
| `<p>:run:<run>:events` | stream | `event_ttl_s` after the end | the run's log |
| `<p>:run:<run>:wake` | channel | | new events of the run |
| `<p>:thread:<thread>` | hash | until deleted | the thread's record |
| `<p>:thread:<thread>:runs` | zset | with its thread | its runs, by created_at in µs |
| `<p>:thread:<thread>:queue` | zset | while runs wait | its waiting runs, by created_at in µs |
| `<p>:thread:<thread>:states` | zset | `event_ttl_s` after the last | checkpoints written outside runs, by time in µs |
| `<p>:thread:<thread>:crons` | set | with its thread | the crons whose runs are on it |
| `<p>:thread:<thread>:wake` | channel | | a run was made, began or ended, its state or its metadata was written |
| `<p>:threads` | zset | | all threads, by updated_at in µs |
| `<p>:threads:due` | zset | while they have a TTL | threads, by the end of their TTL in ms |
| `<p>:assistant:<assistant>` | hash | until deleted | an assistant's record, and each version's content |
| `<p>:assistants` | zset | | all assistants that clients made, by created_at in µs |
| `<p>:assistants:graph:<graph>` | zset | | those of one graph, the same way |
| `<p>:assistants:system` | hash | | graph → since when it has its system assistant, in µs |
| `<p>:queue` | zset | until claimed | due jobs `<run>:<attempt>`, by rank: due time in ms and priority |
| `<p>:queue:suspects` | zset | until claimed | the same, of runs with which a worker died since they last got on |
| `<p>:suspects` | set | while they run | those of these runs that a worker holds, until they get further |
| `<p>:queue:later` | zset | until due | jobs, by due time in ms |
| `<p>:queue:parked:<group>` | zset | until the group has room | due jobs over their group's limit, by rank |
| `<p>:queue:wake` | list | until popped | a token for each job queued, at most `WAKE_TOKENS` |
| `<p>:group:<group>` | set | while they run | running runs of a group that has a limit |
| `<p>:idempotency:<digest>` | string | a day | digest of the body that came with the key, and a random id |
| `<p>:trash` | zset | until emptied | removed threads, by time in µs, until what they left is gone |
| `<p>:migrated` | hash | until removed from the source | thread → created_at in µs, when a migration copied it |
| `<p>:leases` | zset | while they run | runs, by the lease's end in ms |
| `<p>:pulse` | hash: `seen_ms`, `grace_ms` | | heartbeat, reap | heartbeat, reap |
| `<p>:workers` | zset | one lease after the last beat | living workers, by last heartbeat in ms |
| `<p>:duty:<duty>` | string | until its worker falls silent | the worker that does a duty |
| `<p>:repairs` | hash | | how often the doctor has mended each problem |
| `<p>:store:items:<ns>` | hash | until deleted or expired | key → an item of the long-term store; `<ns>` is dotted |
| `<p>:store:order:<ns>` | zset | with its items | keys, by the time of the last put in µs |
| `<p>:store:vectors:<ns>` | hash | with its items | key → dimensions and unit vectors, float32 |
| `<p>:store:namespaces` | zset, all scores 0 | | namespaces with items, each with a dot at its end |
| `<p>:store:expiry` | zset | | `<ns>\\0<key>`, by the end of its time in ms |
| `<p>:cron:<cron>` | hash | until deleted | a cron's record |
| `<p>:crons` | zset | | all crons, by created_at in µs |
| `<p>:crons:due` | zset | while enabled | crons, by their next due time in ms |
| `<p>:delivery:<run>` | hash | until delivered or given up | what a webhook is told: the run's record as it ended |
| `<p>:deliveries` | zset | | runs whose webhook is to be called by a worker, by due time in ms |
| `<p>:deliveries:own` | zset | | the same for webhooks that are paths of this server: web processes call them |
| `<p>:probe:<process>` | string | a moment | what a health check writes, to read it back |
| `<p>:worker:<worker>:control` | channel | | what a worker is told about one of its runs |

A webhook waits as `<run>@<created_at in µs>` while one of a removed run that had the same id waits under the id.
Records, logs and queues are written by the run and thread scripts of `lua/` alone.
The checkpointers' keys are in `checkpoint_names` and `document_names`. The scripts know these names by the same
templates (`source.load` writes them into the Lua), so none is spelled twice.
"""

from __future__ import annotations

import re
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
    "thread_states": ":thread:%s:states",
    "thread_crons": ":thread:%s:crons",
    "thread_wake": ":thread:%s:wake",
    "checkpoints": ":cp:%s:i",
    "threads": ":threads",
    "threads_due": ":threads:due",
    "assistant": ":assistant:%s",
    "assistants": ":assistants",
    "graph_assistants": ":assistants:graph:%s",
    "system_assistants": ":assistants:system",
    "queue": ":queue",
    "suspects": ":queue:suspects",
    "on_trial": ":suspects",
    "later": ":queue:later",
    "parked": ":queue:parked:%s",
    "group": ":group:%s",
    "queue_wake": ":queue:wake",
    "idempotency": ":idempotency:%s",
    "trash": ":trash",
    "migrated": ":migrated",
    "leases": ":leases",
    "pulse": ":pulse",
    "workers": ":workers",
    "probe": ":probe:%s",
    "repairs": ":repairs",
    "store_items": ":store:items:%s",
    "store_order": ":store:order:%s",
    "store_vectors": ":store:vectors:%s",
    "store_namespaces": ":store:namespaces",
    "store_expiry": ":store:expiry",
    "cron": ":cron:%s",
    "crons": ":crons",
    "crons_due": ":crons:due",
    "delivery": ":delivery:%s",
    "deliveries": ":deliveries",
    "own_deliveries": ":deliveries:own",
    "duty": ":duty:%s",
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

    def thread_states(self, thread_id: str) -> str:
        return self._of("thread_states", thread_id)

    def thread_wake(self, thread_id: str) -> str:
        return self._of("thread_wake", thread_id)

    def checkpoints(self, thread_id: str) -> str:
        return self._of("checkpoints", thread_id)

    @property
    def threads(self) -> str:
        return self._of("threads")

    @property
    def threads_due(self) -> str:
        return self._of("threads_due")

    def assistant(self, assistant_id: str) -> str:
        return self._of("assistant", assistant_id)

    @property
    def assistants(self) -> str:
        return self._of("assistants")

    def graph_assistants(self, graph_id: str) -> str:
        return self._of("graph_assistants", graph_id)

    @property
    def system_assistants(self) -> str:
        return self._of("system_assistants")

    @property
    def queue(self) -> str:
        return self._of("queue")

    @property
    def suspects(self) -> str:
        return self._of("suspects")

    @property
    def on_trial(self) -> str:
        return self._of("on_trial")

    @property
    def later(self) -> str:
        return self._of("later")

    def parked(self, group: str) -> str:
        return self._of("parked", group)

    def group(self, group: str) -> str:
        return self._of("group", group)

    @property
    def queue_wake(self) -> str:
        return self._of("queue_wake")

    def idempotency(self, digest: str) -> str:
        return self._of("idempotency", digest)

    @property
    def trash(self) -> str:
        return self._of("trash")

    @property
    def migrated(self) -> str:
        return self._of("migrated")

    @property
    def leases(self) -> str:
        return self._of("leases")

    @property
    def workers(self) -> str:
        return self._of("workers")

    def probe(self, process: str) -> str:
        return self._of("probe", process)

    @property
    def repairs(self) -> str:
        return self._of("repairs")

    def duty(self, duty: str) -> str:
        return self._of("duty", duty)

    def control(self, worker_id: str) -> str:
        return self._of("control", worker_id)

    def store_order(self, namespace: str) -> str:
        return self._of("store_order", namespace)

    def store_vectors(self, namespace: str) -> str:
        return self._of("store_vectors", namespace)

    @property
    def store_namespaces(self) -> str:
        return self._of("store_namespaces")

    def cron(self, cron_id: str) -> str:
        return self._of("cron", cron_id)

    @property
    def crons(self) -> str:
        return self._of("crons")

    @property
    def crons_due(self) -> str:
        return self._of("crons_due")

    def delivery(self, run_id: str) -> str:
        return self._of("delivery", run_id)

    @property
    def deliveries(self) -> str:
        return self._of("deliveries")

    @property
    def own_deliveries(self) -> str:
        return self._of("own_deliveries")

    def pattern(self, kind: str) -> str:
        """A glob that matches every key of a kind, and longer ones."""
        prefix = re.sub(r"([\\*?\[\]^])", r"\\\1", self.prefix)
        return prefix + TEMPLATES[kind] % "*"

    def ident(self, kind: str, key: str) -> str | None:
        """Whose key of a kind this is, or None when it is of another kind. Ids of runs have no colon, groups may."""
        lead = self._of(kind, "")
        ident = key.removeprefix(lead)
        return ident if key.startswith(lead) and ident and (kind != "run" or ":" not in ident) else None
