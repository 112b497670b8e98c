"""The names of all keys and channels of one shard. `slipway.redis.catalogue` declares what each of them holds, and
docs/keys.md shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import SHARDS, TEMPLATES


@dataclass(frozen=True, slots=True)
class Keys:
    """Names under one prefix. Two deployments may share a server under two prefixes. `shard` is the shard that has this
    prefix for itself; without it, the keys of all shards have the same prefix."""

    prefix: str
    shard: Shard | None = None

    def _of(self, kind: str, *ids: str) -> str:
        if self.shard is not None:
            self._check(kind)
        return self.prefix + TEMPLATES[kind] % ids

    def _check(self, kind: str) -> None:
        """A key of another shard under this prefix would never be found again."""
        belongs_to = SHARDS[kind]
        assert belongs_to in (self.shard, None), f"{kind} belongs to the shard {belongs_to}, not to {self.prefix}"

    def run(self, run_id: str) -> str:
        return self._of("run", run_id)

    def runs_with(self, term: str) -> str:
        return self._of("runs_with", term)

    def review(self, review_id: str) -> str:
        return self._of("review", review_id)

    @property
    def reviews(self) -> str:
        return self._of("reviews")

    def reviews_of_graph(self, graph_id: str) -> str:
        return self._of("reviews_of_graph", graph_id)

    def reviews_with(self, term: str) -> str:
        return self._of("reviews_with", term)

    @property
    def paused_runs(self) -> str:
        return self._of("paused_runs")

    @property
    def reviews_by_due(self) -> str:
        return self._of("reviews_by_due")

    @property
    def reviews_due(self) -> str:
        return self._of("reviews_due")

    @property
    def reviews_ready(self) -> str:
        return self._of("reviews_ready")

    @property
    def review_notifications(self) -> str:
        return self._of("review_notifications")

    @property
    def replication_mark(self) -> str:
        return self._of("replication_mark")

    def events(self, run_id: str) -> str:
        return self._of("events", run_id)

    def run_trace(self, run_id: str) -> str:
        return self._of("run_trace", run_id)

    @property
    def queued_runs(self) -> str:
        return self._of("queued_runs")

    @property
    def metrics(self) -> str:
        return self._of("metrics")

    @property
    def pending_counts(self) -> str:
        return self._of("pending_counts")

    @property
    def traces(self) -> str:
        return self._of("traces")

    @property
    def trace_bytes(self) -> str:
        return self._of("trace_bytes")

    def run_audit(self, run_id: str) -> str:
        return self._of("run_audit", run_id)

    def run_notifications(self, run_id: str) -> str:
        return self._of("run_notifications", run_id)

    def thread(self, thread_id: str) -> str:
        return self._of("thread", thread_id)

    def thread_runs(self, thread_id: str) -> str:
        return self._of("thread_runs", thread_id)

    def thread_queue(self, thread_id: str) -> str:
        return self._of("thread_queue", thread_id)

    def thread_states(self, thread_id: str) -> str:
        return self._of("thread_states", thread_id)

    def thread_calls(self, thread_id: str) -> str:
        return self._of("thread_calls", thread_id)

    def thread_notifications(self, thread_id: str) -> str:
        return self._of("thread_notifications", thread_id)

    def checkpoints(self, thread_id: str) -> str:
        return self._of("checkpoints", thread_id)

    def checkpoint_state(self, thread_id: str) -> str:
        return self._of("checkpoint_state", thread_id)

    def checkpoint_writes(self, thread_id: str, member: str) -> str:
        return self._of("checkpoint_writes", thread_id, member)

    def checkpoint_threads(self, run_id: str) -> str:
        return self._of("checkpoint_threads", run_id)

    def document_bytes(self, thread_id: str) -> str:
        return self._of("document_bytes", thread_id)

    @property
    def layout(self) -> str:
        return self._of("layout")

    @property
    def encryption(self) -> str:
        return self._of("encryption")

    @property
    def threads(self) -> str:
        return self._of("threads")

    def check_position(self, kind: str) -> str:
        return self._of("check_position", kind)

    def threads_with(self, term: str) -> str:
        return self._of("threads_with", term)

    @property
    def threads_created(self) -> str:
        return self._of("threads_created")

    @property
    def threads_state(self) -> str:
        return self._of("threads_state")

    @property
    def threads_ids(self) -> str:
        return self._of("threads_ids")

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

    def assistants_with(self, term: str) -> str:
        return self._of("assistants_with", term)

    def assistants_by(self, order: str) -> str:
        return self._of("assistants_by", order)

    @property
    def system_assistants(self) -> str:
        return self._of("system_assistants")

    @property
    def switches(self) -> str:
        return self._of("switches")

    @property
    def switch_changes(self) -> str:
        return self._of("switch_changes")

    @property
    def resuming_switches(self) -> str:
        return self._of("resuming_switches")

    @property
    def rollouts(self) -> str:
        return self._of("rollouts")

    @property
    def rollout_changes(self) -> str:
        return self._of("rollout_changes")

    def rollout_history(self, graph_id: str) -> str:
        return self._of("rollout_history", graph_id)

    def rollout_last(self, graph_id: str) -> str:
        return self._of("rollout_last", graph_id)

    def rollout_counts(self, graph_id: str) -> str:
        return self._of("rollout_counts", graph_id)

    @property
    def shared_changes(self) -> str:
        return self._of("shared_changes")

    def switch_runs(self, switch: str) -> str:
        return self._of("switch_runs", switch)

    @property
    def queue(self) -> str:
        return self._of("queue")

    @property
    def suspect_queue(self) -> str:
        return self._of("suspect_queue")

    @property
    def running_suspects(self) -> str:
        return self._of("running_suspects")

    @property
    def later_queue(self) -> str:
        return self._of("later_queue")

    def parked_queue(self, group: str) -> str:
        return self._of("parked_queue", group)

    def group_slots(self, group: str) -> str:
        return self._of("group_slots", group)

    @property
    def group_exchanges(self) -> str:
        return self._of("group_exchanges")

    def group_shares(self, group: str) -> str:
        return self._of("group_shares", group)

    def group_wants(self, group: str) -> str:
        return self._of("group_wants", group)

    @property
    def groups_wanted(self) -> str:
        return self._of("groups_wanted")

    def group_runs(self, group: str) -> str:
        return self._of("group_runs", group)

    def budget(self, budget_id: str) -> str:
        return self._of("budget", budget_id)

    def budget_reserver(self, reserver: str) -> str:
        return self._of("budget_reserver", reserver)

    @property
    def budget_events(self) -> str:
        return self._of("budget_events")

    @property
    def budgets_used(self) -> str:
        return self._of("budgets_used")

    def idempotency(self, digest: str) -> str:
        return self._of("idempotency", digest)

    @property
    def trash(self) -> str:
        return self._of("trash")

    @property
    def migrated(self) -> str:
        return self._of("migrated")

    @property
    def graph_versions(self) -> str:
        return self._of("graph_versions")

    @property
    def graph_structures(self) -> str:
        return self._of("graph_structures")

    @property
    def builds(self) -> str:
        return self._of("builds")

    @property
    def worker_versions(self) -> str:
        return self._of("worker_versions")

    @property
    def version_groups(self) -> str:
        return self._of("version_groups")

    @property
    def version_lanes(self) -> str:
        return self._of("version_lanes")

    def version_queue(self, lane: str) -> str:
        return self._of("version_queue", lane)

    @property
    def leases(self) -> str:
        return self._of("leases")

    @property
    def memory(self) -> str:
        return self._of("memory")

    @property
    def outage_watch(self) -> str:
        return self._of("outage_watch")

    @property
    def workers(self) -> str:
        return self._of("workers")

    def worker_health(self, host: str) -> str:
        return self._of("worker_health", host)

    @property
    def arq_fault(self) -> str:
        return self._of("arq_fault")

    def probe(self, process: str) -> str:
        return self._of("probe", process)

    @property
    def repairs(self) -> str:
        return self._of("repairs")

    @property
    def evidence(self) -> str:
        return self._of("evidence")

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

    @property
    def store_changed(self) -> str:
        return self._of("store_changed")

    @property
    def store_expiry(self) -> str:
        return self._of("store_expiry")

    def cron(self, cron_id: str) -> str:
        return self._of("cron", cron_id)

    @property
    def crons(self) -> str:
        return self._of("crons")

    def crons_with(self, term: str) -> str:
        return self._of("crons_with", term)

    def crons_by(self, order: str) -> str:
        return self._of("crons_by", order)

    @property
    def crons_due(self) -> str:
        return self._of("crons_due")

    def webhook_endpoint(self, endpoint_id: str) -> str:
        return self._of("webhook_endpoint", endpoint_id)

    @property
    def webhook_endpoints(self) -> str:
        return self._of("webhook_endpoints")

    def api_key(self, key_id: str) -> str:
        return self._of("api_key", key_id)

    @property
    def api_key_changes(self) -> str:
        return self._of("api_key_changes")

    def delivery(self, delivery_id: str) -> str:
        return self._of("delivery", delivery_id)

    @property
    def deliveries(self) -> str:
        return self._of("deliveries")

    def delivery_tries(self, delivery_id: str) -> str:
        return self._of("delivery_tries", delivery_id)

    @property
    def deliveries_all(self) -> str:
        return self._of("deliveries_all")

    def deliveries_with(self, value: str) -> str:
        return self._of("deliveries_with", value)

    @property
    def deliveries_expiring(self) -> str:
        return self._of("deliveries_expiring")

    def delivery_calls(self, target: str) -> str:
        return self._of("delivery_calls", target)

    def target(self, target: str) -> str:
        return self._of("target", target)

    def target_calls(self, target: str) -> str:
        return self._of("target_calls", target)

    def target_waiting(self, target: str) -> str:
        return self._of("target_waiting", target)

    def delivery_looks(self, queues: str) -> str:
        return self._of("delivery_looks", queues)

    def parked_deliveries(self, target: str) -> str:
        return self._of("parked_deliveries", target)

    @property
    def parked_targets(self) -> str:
        return self._of("parked_targets")

    def webhook_origin(self, origin: str) -> str:
        return self._of("webhook_origin", origin)

    @property
    def internal_deliveries(self) -> str:
        return self._of("internal_deliveries")

    def named(self, kind: str, *ids: str) -> str:
        """The key of a kind with these ids."""
        return self._of(kind, *ids)

    def owns(self, name: str) -> bool:
        """Whether a key of this name would be among the keys of this deployment."""
        return name == self.prefix or name.startswith((f"{self.prefix}:", f"{self.prefix}{{"))

    def pattern(self, kind: str) -> str:
        """A glob that matches every key of a kind whose names have one id, and longer names."""
        prefix = re.sub(r"([\\*?\[\]^])", r"\\\1", self.prefix)
        return prefix + TEMPLATES[kind] % "*"

    def id_in(self, kind: str, key: str) -> str | None:
        """The id in the name of a key of this kind; None if the key is of another kind. The id of a run, an assistant
        or a cron contains no colon, the name of a concurrency group can contain one."""
        prefix = self._of(kind, "")
        record_id = key.removeprefix(prefix)
        if not key.startswith(prefix) or not record_id or (kind in ("run", "assistant", "cron") and ":" in record_id):
            return None
        return record_id

    def stream_slots(self, client: str) -> str:
        return self._of("stream_slots", client)

    def hook_delivery(self, delivery: str) -> str:
        return self._of("hook_delivery", delivery)

    def hook_deliveries(self, hook: str) -> str:
        return self._of("hook_deliveries", hook)

    def hook_deliveries_in(self, hook: str, state: str) -> str:
        return self._of("hook_deliveries_in", f"{hook}:{state}")

    def hook_counts(self, hook: str) -> str:
        return self._of("hook_counts", hook)

    @property
    def hook_namespace(self) -> str:
        return self._of("hook_namespace")

    def page_session(self, digest: str) -> str:
        return self._of("page_session", digest)

    def stream_ticket(self, digest: str) -> str:
        return self._of("stream_ticket", digest)
