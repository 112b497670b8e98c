"""Opens the connections to Redis and builds all stores, for web processes, workers and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import structlog

from slipway.access.access_control import AccessControl
from slipway.access.auth_file import load_auth
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.arq_jobs.application import ArqApplication, load_arq_application
from slipway.arq_jobs.current_pool import provide_pool
from slipway.arq_jobs.redis_pool import ProjectRedis, project_redis
from slipway.assistants.all_assistants import AllAssistants
from slipway.browser_access.active_keys import ActiveKeys
from slipway.browser_access.page_sessions import PageSessions
from slipway.browser_access.scripts import BrowserScripts
from slipway.browser_access.stream_tickets import StreamTickets
from slipway.budget_counts.store import BudgetStore
from slipway.budgets import Budgets
from slipway.build_parts import build_parts
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.factory import open_checkpointer, serde_of
from slipway.checkpoints.kept_by_graph import KeptByGraph
from slipway.checkpoints.retention_after_runs import RetentionAfterRuns
from slipway.checkpoints.trash import Trash
from slipway.circuit_breakers.breakers import BreakerLimits, Breakers, provide_breakers
from slipway.clock import Clock
from slipway.crons.store import CronStore
from slipway.encryption_at_rest.process_keys import process_keys
from slipway.errors import ConfigError
from slipway.event_protocol.protocol_log import ProtocolLog
from slipway.execution.inline import InlineRuns
from slipway.execution.open_executions import OpenExecutions
from slipway.execution.thread_moving import ThreadMoving
from slipway.graph_versions.command_targets import CommandTargets
from slipway.graph_versions.needs_reads import NeedsReads
from slipway.graph_versions.reads import VersionReads
from slipway.graph_versions.registration import VersionRegistration
from slipway.graph_versions.scripts import VersionScripts
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.graphs.migration_set import MigrationSet
from slipway.health.event_loop_watch import EventLoopWatch
from slipway.health.health import HealthMonitor
from slipway.hooks.handling import FINISH_AFTER_MS, DeliveryHandler, StatusOf
from slipway.hooks.loaded_hooks import LoadedHook
from slipway.hooks.reads import HookReads
from slipway.hooks.receiving import HookReceiver
from slipway.hooks.scripts import HookScripts
from slipway.mcp_servers.project_registry import NONE, ProjectTools, load_project_tools
from slipway.mcp_servers.servers import open_servers
from slipway.metering.callback_handler import executing_runs
from slipway.metering.meter import MeterConfig
from slipway.metering.scripts import MeterScripts
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.metrics.publication import MetricsPublication
from slipway.metrics.scripts import MetricsScripts
from slipway.model_prices import PriceTable
from slipway.model_routes.current_routes import provide_routes
from slipway.model_routes.node_check import check_nodes
from slipway.model_routes.provider_check import check_providers
from slipway.model_routes.routes import ModelRoutes
from slipway.otlp.current_context import enter_run
from slipway.otlp.process_export import ProcessExport, process_export
from slipway.rate_limits.limiter import RateLimiter, RatePolicies
from slipway.rate_limits.scripts import RateScripts
from slipway.rate_limits.stream_slots import StreamSlots
from slipway.redaction.known_secrets import remember_environment
from slipway.redaction.redact import use_rules
from slipway.redis import connection_budget
from slipway.redis.blocking_calls import BlockingCalls
from slipway.redis.cluster_requirements import check_shards
from slipway.redis.connect import pipeline_to, subscriber_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.keys import Keys
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_clock import RedisClock
from slipway.redis.replicated_pipeline import Copies, ReplicatedPipeline
from slipway.redis.shards import Shards
from slipway.redis.subscriber import Subscriber
from slipway.redis.wait_for_redis import open_with_retries
from slipway.reviews.node_check import check_review_nodes
from slipway.reviews.notifications import ReviewNotifications
from slipway.reviews.protocol_answers import ProtocolAnswers
from slipway.reviews.resuming import RunResumer
from slipway.reviews.search import ReviewSearch
from slipway.reviews.store import ReviewStore
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore
from slipway.rollouts.watch import RolloutWatch
from slipway.run_operations.operations import RunOperations
from slipway.run_operations.raised_ceilings import CeilingRaises
from slipway.run_operations.repairs import RunRepairs
from slipway.run_operations.repetitions import Repetitions
from slipway.run_operations.rollout_announcements import announcements_of
from slipway.run_operations.rollout_versions import VersionFinder, VersionNeed
from slipway.run_traces.late_export import LateExport
from slipway.run_traces.reading import RunTraces
from slipway.runs.admission import Admission
from slipway.runs.audit import AuditTrail
from slipway.runs.authorization import RunAuthorizer
from slipway.runs.control_channels import ControlChannels
from slipway.runs.creation import RunCreator
from slipway.runs.event_log import EventLog
from slipway.runs.held_runs import HeldRuns
from slipway.runs.idempotency import Idempotency
from slipway.runs.leases import LeaseRenewer, worker_id
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.replicated_runs import ReplicatedRuns
from slipway.runs.scripts import RunScripts
from slipway.runs.search import RunSearch
from slipway.runs.store import RunStore
from slipway.runs.submit import RunSubmission
from slipway.runs.unfinished_runs import UnfinishedRuns
from slipway.settings import Settings
from slipway.store.embedding import VectorIndex
from slipway.store.store import RedisStore
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from slipway.switches.watch import SwitchWatch
from slipway.thread_moves.mover import ThreadMover, migrations_of
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_moves.reads import MoveReads
from slipway.thread_moves.scripts import MoveScripts
from slipway.thread_moves.state_write_check import StateWriteCheck
from slipway.thread_moves.written_by import CheckpointVersions
from slipway.threads.graph_opener import ThreadGraphOpener
from slipway.threads.notifications import ThreadNotifications
from slipway.threads.state_store import ThreadStateStore
from slipway.threads.store import ThreadStore
from slipway.threads.thread_events import ThreadEvents
from slipway.threads.thread_follower import ThreadFollower
from slipway.threads.ttl import ThreadTtl
from slipway.tool_gateway.gateway import tool_services
from slipway.tool_gateway.registry import ToolRegistry
from slipway.tracing.decision import TraceDecision
from slipway.tracing.recording import TraceRecording
from slipway.tracing.stored_traces import StoredTraces
from slipway.waiting_reasons.reasons import WaitingReasons
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointStore
from slipway.webhook_endpoints.url_check import EndpointUrlCheck
from slipway.webhooks.delivery_search import DeliverySearch
from slipway.webhooks.delivery_store import DeliveryStore
from slipway.webhooks.limits import limits_of
from slipway.webhooks.new_run_webhook_check import NewRunWebhookCheck
from slipway.webhooks.urls import UrlPolicy

log = structlog.get_logger(__name__)

Process = Literal["web", "worker", "cli"]


@dataclass(frozen=True, slots=True)
class Services:
    """The connections and stores of a process. `lease_renewer`, `control_channels`, `executions` and `event_loop` exist
    in web processes and workers; `inline` exists in web processes, and only they measure `health`. `auth` is the access
    control in workers, which authorize the runs that they create and start. In web processes it is in `Extensions`.
    `arq` is the project's arq application in web processes and workers, if langgraph.json names one. `project_tools`
    are the project's tools in web processes and workers."""

    settings: Settings
    config: LangGraphJson
    clock: Clock
    address: Address
    pipeline: Pipeline
    shards: Shards
    keys: Keys
    scripts: RunScripts
    queues: PerShard[QueueScripts]
    subscriber: Subscriber
    events: EventLog
    idempotency: Idempotency
    runs: RunStore
    submission: RunSubmission
    unfinished_runs: UnfinishedRuns
    run_search: RunSearch
    waiting_reasons: WaitingReasons
    run_traces: RunTraces
    metrics: ProcessMetrics
    metrics_publication: MetricsPublication
    audit: AuditTrail
    stored_traces: StoredTraces
    export: ProcessExport | None
    """None: this process exports no spans."""
    late_export: LateExport | None
    replicated: ReplicatedRuns
    run_operations: RunOperations
    run_repairs: RunRepairs
    ceiling_raises: CeilingRaises
    held_runs: HeldRuns
    switches: SwitchStore
    switch_watch: SwitchWatch
    rollouts: RolloutStore
    rollout_watch: RolloutWatch
    reviews: ReviewStore
    review_search: ReviewSearch
    review_notifications: ReviewNotifications
    resumer: RunResumer
    threads: ThreadStore
    checkpointer: BaseCheckpointer
    trash: Trash
    graphs: Graphs
    mover: ThreadMover
    served: ServedGraphs
    versions: VersionScripts
    registration: VersionRegistration
    assistants: AllAssistants
    states: ThreadStateStore
    thread_notifications: ThreadNotifications
    thread_events: ThreadEvents
    thread_follower: ThreadFollower
    protocol_log: ProtocolLog
    store: RedisStore
    crons: CronStore
    api_keys: ApiKeyStore
    page_sessions: PageSessions
    stream_tickets: StreamTickets
    webhook_urls: UrlPolicy
    webhook_endpoints: EndpointStore
    deliveries: DeliveryStore
    delivery_search: DeliverySearch
    lease_renewer: LeaseRenewer | None
    control_channels: ControlChannels | None
    executions: OpenExecutions | None
    inline: InlineRuns | None
    health: HealthMonitor
    admission: Admission
    budgets: BudgetStore
    hook_scripts: HookScripts
    hook_reads: HookReads
    breakers: Breakers
    rates: RateLimiter
    stream_slots: StreamSlots
    event_loop: EventLoopWatch | None
    project_tools: ProjectTools = NONE
    auth: AccessControl | None = None
    arq: OpenArqApplication | None = None

    def hook_handler(self, access: AccessControl | None, status_of: StatusOf) -> DeliveryHandler:
        """What handles deliveries to hooks. The users of hooks are authorized by `access`."""
        return DeliveryHandler(
            scripts=self.hook_scripts,
            reads=self.hook_reads,
            submission=self.submission,
            runs=self.runs,
            threads=self.threads,
            reviews=self.reviews,
            admission=self.admission,
            access=access,
            status_of=status_of,
            prefix=self.config.http.prefix,
        )

    def hook_receiver(
        self, hooks: Mapping[str, LoadedHook], access: AccessControl | None, status_of: StatusOf
    ) -> HookReceiver:
        """What receives deliveries to hooks, in web processes."""
        return HookReceiver(hooks, self.hook_handler(access, status_of), self.hook_scripts, self.clock)

    @property
    def tools(self) -> ToolRegistry:
        """The project's tools by name."""
        return self.project_tools.registry


@dataclass(frozen=True, slots=True)
class OpenArqApplication:
    """The project's arq application, and the client with its connections to Redis."""

    application: ArqApplication
    redis: ProjectRedis


@asynccontextmanager
async def open_services(settings: Settings, graphs: Graphs, process: Process) -> AsyncIterator[Services]:
    """Opens all connections and stores, and closes them on exit. Raises `ConfigError` if the process needs more
    connections than it may open, if the arq application cannot be loaded, if a model names no provider that is
    installed and, in a worker, if the auth file cannot be loaded. While Redis is unavailable, a web process and a
    worker wait, and a command raises `StoreUnavailable`."""
    config = read(settings.config)
    _replace_secrets(settings, config)
    if process == "cli":
        application = None
        connection_budget.check(settings, process)
    else:
        application = await checked_arq_application(settings, config, graphs, process)
    tools = NONE if process == "cli" else await load_project_tools(config, graphs)
    if process != "cli":
        check_providers(settings.model, config)
        await check_nodes(config, graphs)
        await check_review_nodes(config, graphs)
    async with AsyncExitStack() as stack:
        export, instance = None, worker_id()
        if process != "cli":
            export = await stack.enter_async_context(process_export(process, instance, settings.release))
        address, shards = Address(settings.redis), shards_of(settings)
        check_shards(address, shards)
        patience_s = _patience_s(settings, process)
        arq_connections = 0 if application is None else application.connections
        pipeline = pipeline_to(
            address,
            f"slipway {process}",
            patience_s=patience_s,
            large_commands=connection_budget.permits_large_commands(settings, process, arq_connections),
            counts_metrics=settings.metrics,
        )
        stack.push_async_callback(pipeline.close)
        await _opened(pipeline.open, process)
        clock = await stack.enter_async_context(_redis_clock(pipeline, process))
        subscriber = subscriber_to(address, f"slipway {process} subscriber", pipeline)
        stack.push_async_callback(subscriber.close)
        await _opened(subscriber.open, process)
        await stack.enter_async_context(process_keys(settings, pipeline, shards.encryption))
        _warn_unused_sections(config)
        store = await _store(settings, config, graphs, pipeline, shards.store)
        graphs.use_build_parts(build_parts(graphs.names(), config.models, settings.model, tools.registry))
        if process != "cli":
            await graphs.identify()
        migrations = await migrations_of(graphs)
        replicated = _replicated_runs(settings, process, address, shards, arq_connections)
        stack.push_async_callback(replicated.close)
        if process != "cli":
            await _check_replicated_graphs(graphs, replicated, pipeline)
        serde = serde_of(settings, config.checkpointer.serde, graphs)
        checkpointer = await open_checkpointer(settings.checkpointer, settings, serde, pipeline, shards)
        services = _stores(
            process,
            settings,
            config,
            graphs,
            address,
            shards,
            pipeline,
            subscriber,
            store,
            checkpointer,
            migrations,
            export,
            replicated,
            clock,
        )
        if services.late_export is not None:
            stack.push_async_callback(services.late_export.close)
        stack.enter_context(provide_breakers(services.breakers))
        stack.enter_context(provide_routes(_model_routes(settings, config, graphs, shards.records)))
        await stack.enter_async_context(open_servers(tools.servers, services.switches))
        if process != "cli":
            services = replace(services, arq=_open_arq(application, Address(settings.arq_redis), stack))
            services = await _executing(replace(services, project_tools=tools), process, instance, stack)
        yield services


def _replicated_runs(
    settings: Settings, process: Process, address: Address, shards: Shards, arq_connections: int
) -> ReplicatedRuns:
    """What replicated runs need. Its connection is opened by the first of them."""
    server = pipeline_to(
        address,
        f"slipway {process} replicated",
        patience_s=settings.redis_patience_worker_s,
        counts_metrics=settings.metrics,
    )
    copies = Copies(settings.replicated_to, settings.replicated_on)
    pipeline = ReplicatedPipeline(server, shards.threads[0].replication_mark, copies)
    obstacle = ""
    if address.is_cluster:
        obstacle = "it is not possible on a Redis Cluster: choose another durability"
    elif not connection_budget.permits_replicated_runs(settings, arq_connections):
        obstacle = connection_budget.no_replicated_runs(settings, arq_connections)
    return ReplicatedRuns(pipeline, shards, wait_s=settings.replicated_wait_s, obstacle=obstacle)


async def _check_replicated_graphs(graphs: Graphs, replicated: ReplicatedRuns, pipeline: Pipeline) -> None:
    """Raises `ConfigError` if langgraph.json gives a graph the durability `replicated`, and this process or the server
    cannot do that. Replicas may be missing now: then requests are refused until they are back."""
    names = [name for name in graphs.names() if graphs.spec(name).durability == "replicated"]
    if names and (problem := await replicated.obstacle(pipeline)):
        raise ConfigError(f"langgraph.json: slipway.graphs.{names[0]}.durability is replicated, but {problem}")


async def checked_arq_application(
    settings: Settings, config: LangGraphJson, graphs: Graphs, process: Process
) -> ArqApplication | None:
    """The project's arq application, if langgraph.json names one. Raises `ConfigError` if it cannot be loaded, or if
    the process may not open its connections."""
    application = None
    if config.arq is not None:
        application = await load_arq_application(config.arq, graphs.load_object, settings)
    connection_budget.check(settings, process, 0 if application is None else application.connections)
    return application


def _replace_secrets(settings: Settings, config: LangGraphJson) -> None:
    """From now on this process replaces secrets in everything that it writes or sends."""
    settings.remember_secrets()
    remember_environment()
    use_rules(config.redaction)


def _open_arq(application: ArqApplication | None, address: Address, stack: AsyncExitStack) -> OpenArqApplication | None:
    """Also provides the client to the project's code (`slipway.arq`)."""
    opened = None if application is None else OpenArqApplication(application, project_redis(application, address))
    if opened is not None:
        stack.push_async_callback(opened.redis.disconnect)
    stack.enter_context(provide_pool(None if opened is None else opened.redis))
    return opened


def _warn_unused_sections(config: LangGraphJson) -> None:
    for name, section in (("store", config.store), ("checkpointer", config.checkpointer)):
        if section.path is not None:
            log.warning("langgraph_json.not_used", member=f"{name}.path", used=f"Slipway's own {name}")
    if config.checkpointer.serde.pickle_fallback:
        log.warning("langgraph_json.not_used", member="checkpointer.serde.pickle_fallback", used="no pickles")


def _patience_s(settings: Settings, process: Process) -> float:
    return settings.redis_patience_worker_s if process == "worker" else settings.redis_patience_web_s


async def _opened(opening: Callable[[], Awaitable[None]], process: Process) -> None:
    await (opening() if process == "cli" else open_with_retries(opening, Clock()))


@asynccontextmanager
async def _redis_clock(pipeline: Pipeline, process: Process) -> AsyncIterator[RedisClock]:
    """The clock of Redis, which is measured again while the block is executed. A command of the CLI measures once."""
    clock = RedisClock()
    await _opened(partial(clock.measure, pipeline), process)
    if process == "cli":
        yield clock
        return
    measuring = asyncio.create_task(clock.keep_measuring(pipeline), name="clock of redis")
    try:
        yield clock
    finally:
        measuring.cancel()


def _stores(
    process: Process,
    settings: Settings,
    config: LangGraphJson,
    graphs: Graphs,
    address: Address,
    shards: Shards,
    pipeline: Pipeline,
    subscriber: Subscriber,
    store: RedisStore,
    checkpointer: BaseCheckpointer,
    migrations: Mapping[str, MigrationSet],
    export: ProcessExport | None,
    replicated: ReplicatedRuns,
    clock: Clock,
) -> Services:
    records, scripts = shards.records, RunScripts(pipeline, shards)
    queues = PerShard(shards, partial(QueueScripts, pipeline))
    switch_scripts = SwitchScripts(pipeline, shards)
    switch_watch = SwitchWatch(switch_scripts, subscriber)
    served, versions = ServedGraphs(graphs), VersionScripts(pipeline, shards)
    rollout_scripts, find_versions = RolloutScripts(pipeline, shards), VersionFinder(config.graphs, versions.read)
    rollout_watch = RolloutWatch(rollout_scripts, subscriber)
    ttl, events = _thread_ttl(config), EventLog(pipeline, records, subscriber, replicated)
    trash = Trash(pipeline, shards, checkpointer)
    threads = ThreadStore(
        pipeline,
        shards,
        checkpointer,
        trash,
        ttl=ttl,
        event_ttl_s=settings.event_ttl_s,
        max_checks=settings.search_max_checks,
    )
    notifications = ThreadNotifications(records, subscriber)
    follower = ThreadFollower(pipeline, records, notifications, events)
    runs = RunStore(pipeline, records, scripts, event_ttl_s=settings.event_ttl_s)
    admission = Admission(pipeline, queues, settings.redis_high_water)
    creator = RunCreator(
        pipeline,
        shards,
        scripts,
        trash,
        admission=admission,
        event_ttl_s=settings.event_ttl_s,
        lease_ms=int(settings.lease_s * 1000),
        thread_ttl=ttl.stored() if ttl else None,
        serves=lambda: served.packed,
        tracing=_trace_decision(settings, export),
        replicated=replicated,
        clock=clock,
    )
    assistants = AllAssistants(graphs, pipeline, shards.assistants, max_checks=settings.search_max_checks)
    version_reads = VersionReads(pipeline, shards.home)
    planner = MovePlanner(graphs, checkpointer, version_reads, migrations)
    move_reads = MoveReads(pipeline, records)
    written_by = CheckpointVersions(move_reads, runs, version_reads)
    health = HealthMonitor(pipeline, shards, settings, clock, graphs.names())
    webhook_urls = UrlPolicy(config.webhooks.url)
    delivery_search = DeliverySearch(pipeline, shards, max_checks=settings.search_max_checks)
    check_webhook = NewRunWebhookCheck(webhook_urls, disabled=config.http.disable_webhooks)
    authorizer = RunAuthorizer(settings, graphs, assistants, threads, check_webhook)
    graph_opener = ThreadGraphOpener(graphs, runs, checkpointer, store)
    states = ThreadStateStore(
        graph_opener, threads, checkpointer, StateWriteCheck(planner, written_by, checkpointer), pipeline, shards
    )
    submission = RunSubmission(
        settings=settings,
        graphs=graphs,
        assistants=assistants,
        threads=threads,
        checkpointer=checkpointer,
        authorizer=authorizer,
        creator=creator,
        check_layout=health.check_layout,
        answers=ProtocolAnswers(pipeline, records),
        switches=switch_watch,
        rollouts=rollout_watch,
        find_versions=find_versions,
        targets=CommandTargets(graphs, version_reads, versions.read),
        budgets=Budgets(config.budgets, clock),
    )
    audit = AuditTrail(pipeline, records, scripts)
    run_traces = RunTraces(pipeline, shards, settings)
    late_export = None if export is None else LateExport(run_traces, export)
    if late_export is not None:
        runs.on_cancelled = late_export.run_cancelled
    resumer = RunResumer(pipeline, records, submission, graphs, settings)
    operations = RunOperations(runs, scripts, clock, event_ttl_s=settings.event_ttl_s)
    repetitions = Repetitions(runs, audit, threads, graph_opener)
    repairs = RunRepairs(runs, scripts, submission, threads, states, graph_opener, checkpointer, audit, repetitions)
    rate_scripts = RateScripts(pipeline, shards.clients)
    access, hooks = shards.access, shards.hooks
    browser_scripts, active_keys = BrowserScripts(pipeline, access), ActiveKeys(ApiKeyScripts(pipeline, access), clock)
    metrics = ProcessMetrics(process, enabled=settings.metrics)
    return Services(
        settings=settings,
        config=config,
        clock=clock,
        address=address,
        pipeline=pipeline,
        shards=shards,
        keys=records,
        scripts=scripts,
        queues=queues,
        subscriber=subscriber,
        events=events,
        idempotency=Idempotency(pipeline, shards.idempotency),
        runs=runs,
        submission=submission,
        unfinished_runs=UnfinishedRuns(pipeline, shards),
        run_repairs=repairs,
        ceiling_raises=CeilingRaises(runs, scripts, operations, repairs),
        held_runs=HeldRuns(queues, submission.choices),
        switches=SwitchStore(switch_scripts, clock),
        switch_watch=switch_watch,
        rollouts=RolloutStore(
            rollout_scripts,
            clock,
            find_versions,
            VersionNeed(config.graphs, NeedsReads(pipeline, shards)),
            config.rollouts,
            announcements_of(config, webhook_urls),
        ),
        rollout_watch=rollout_watch,
        run_operations=operations,
        audit=audit,
        stored_traces=StoredTraces(pipeline, records),
        export=export,
        late_export=late_export,
        replicated=replicated,
        reviews=ReviewStore(pipeline, shards, audit, resumer),
        review_notifications=ReviewNotifications(shards, subscriber),
        review_search=ReviewSearch(pipeline, shards, max_checks=settings.search_max_checks),
        resumer=resumer,
        run_search=RunSearch(pipeline, shards, max_checks=settings.search_max_checks),
        waiting_reasons=WaitingReasons(pipeline, shards, settings),
        run_traces=run_traces,
        metrics=metrics,
        metrics_publication=MetricsPublication(metrics, MetricsScripts(pipeline, shards.home)),
        threads=threads,
        checkpointer=checkpointer,
        trash=trash,
        graphs=graphs,
        mover=ThreadMover(planner, MoveScripts(pipeline, shards), move_reads, checkpointer, clock, written_by),
        served=served,
        versions=versions,
        registration=VersionRegistration(versions, graphs, served, is_worker=process == "worker"),
        assistants=assistants,
        states=states,
        thread_notifications=notifications,
        thread_events=ThreadEvents(follower, states),
        thread_follower=follower,
        protocol_log=ProtocolLog(pipeline, records, follower, events),
        store=store,
        api_keys=ApiKeyStore(ApiKeyScripts(pipeline, access)),
        page_sessions=PageSessions(browser_scripts, active_keys, lasts_s=settings.page_session_s),
        stream_tickets=StreamTickets(browser_scripts, active_keys),
        crons=CronStore(pipeline, shards, clock, max_checks=settings.search_max_checks),
        webhook_urls=webhook_urls,
        deliveries=DeliveryStore(pipeline, shards, limits_of(settings), delivery_search),
        delivery_search=delivery_search,
        webhook_endpoints=EndpointStore(
            EndpointScripts(pipeline, shards), clock, EndpointUrlCheck(check_webhook), list(config.graphs)
        ),
        lease_renewer=None,
        control_channels=None,
        executions=None,
        inline=None,
        health=health,
        admission=admission,
        budgets=BudgetStore(pipeline, shards),
        hook_scripts=HookScripts(
            pipeline, hooks, retention_s=settings.hook_retention_s, finish_after_ms=FINISH_AFTER_MS
        ),
        hook_reads=HookReads(pipeline, hooks),
        breakers=Breakers(pipeline, shards.processes, _breaker_limits(settings)),
        rates=RateLimiter(rate_scripts, _rate_policies(settings), clock),
        stream_slots=StreamSlots(rate_scripts, settings.max_streams_per_key),
        event_loop=None,
    )


def _trace_decision(settings: Settings, export: ProcessExport | None) -> TraceDecision:
    decision = TraceDecision(settings.traces, settings.trace_sample_ratio)
    return decision if export is None else decision.with_sampler(export.samples)


def _recording(services: Services) -> TraceRecording:
    recording = TraceRecording(services.settings.trace_run_max_bytes, services.settings.trace_content)
    return recording if services.export is None else replace(recording, sink=services.export, enter_trace=enter_run)


def _model_routes(settings: Settings, config: LangGraphJson, graphs: Graphs, keys: Keys) -> ModelRoutes:
    return ModelRoutes(
        settings.model,
        timeout_s=settings.model_timeout_s,
        config=config.models,
        load_object=graphs.load_object,
        keys=keys,
    )


def _rate_policies(settings: Settings) -> RatePolicies:
    return RatePolicies(
        per_user=settings.rate_per_key,
        per_user_writes=settings.rate_per_key_writes,
        per_address=settings.rate_per_address,
        shadow=settings.rate_shadow,
    )


def _breaker_limits(settings: Settings) -> BreakerLimits:
    return BreakerLimits(settings.breaker_failures, settings.breaker_window_s, settings.breaker_open_s)


async def _store(
    settings: Settings, config: LangGraphJson, graphs: Graphs, pipeline: Pipeline, keys: Keys
) -> RedisStore:
    """The long-term store with the vector index of langgraph.json. The embedding function may be the project's code."""
    section = config.store
    index = None if section.index is None else await asyncio.to_thread(VectorIndex, section.index, graphs.load_object)
    store = RedisStore(pipeline, keys, max_item_bytes=settings.max_store_item_bytes, index=index, ttl=section.ttl)
    graphs.use_store(store)
    return store


def _thread_ttl(config: LangGraphJson) -> ThreadTtl | None:
    """The default time to live of threads."""
    section = config.checkpointer.ttl
    return None if section is None or section.default_ttl is None else ThreadTtl(section.default_ttl, section.strategy)


def meter_config(services: Services, blocking: BlockingCalls) -> MeterConfig:
    """How calls of models and tools are counted. Prices of langgraph.json take precedence over the setting."""
    return MeterConfig(
        scripts=MeterScripts(services.pipeline, services.shards),
        blocking=blocking,
        shards=services.shards,
        prices=PriceTable(services.settings.prices | services.config.prices),
        budgets=Budgets(services.config.budgets, services.clock),
        counts=services.budgets,
        output_tokens=services.settings.model_output_tokens,
    )


def _on_rollout_changed(services: Services) -> None:
    rollouts = services.rollout_watch.rollouts
    currents = {graph: each.current for graph, each in rollouts.items()}
    ramping = {graph: each.ramp.version for graph, each in rollouts.items() if each.ramp is not None}
    services.served.refresh(currents, ramping)
    services.held_runs.rollout_changed()


async def _publish_metrics(services: Services, stack: AsyncExitStack) -> None:
    """Publishes the metrics of this process until it stops."""
    if services.event_loop is not None:
        services.event_loop.count_in(services.metrics)
    publication = services.metrics_publication
    stack.push_async_callback(publication.close)
    task = asyncio.create_task(publication.run(), name="metrics")
    stack.callback(task.cancel)


async def _executing(services: Services, process: Process, instance: str, stack: AsyncExitStack) -> Services:
    """Adds what a process needs to execute runs: the watch of its event loop, heartbeats and, in web processes,
    `InlineRuns`. `instance` is the id of the process."""
    event_loop = EventLoopWatch(services.settings.event_loop_limit_s, services.settings.config.resolve().parent)
    stack.enter_context(event_loop.watching())
    stack.enter_context(executing_runs())
    patience_s = _patience_s(services.settings, process)
    stack.push_async_callback(services.budgets.close)
    blocking = BlockingCalls(services.address, f"slipway {process} blocking calls", patience_s=patience_s)
    stack.push_async_callback(blocking.close)
    lease_renewer = LeaseRenewer(
        services.address, services.shards, instance, services.settings, is_worker=process == "worker"
    )
    await lease_renewer.start()
    stack.push_async_callback(lease_renewer.stop)
    channels = ControlChannels(services.subscriber, services.queues, instance, lease_renewer.on_control_message)
    await channels.open()
    retention = RetentionAfterRuns(services.checkpointer, KeptByGraph(services.settings, services.graphs).keep_of)
    stack.push_async_callback(retention.close)
    await services.switch_watch.start()
    stack.push_async_callback(services.switch_watch.close)
    rollouts = services.rollout_watch
    rollouts.on_change.append(lambda: _on_rollout_changed(services))
    await rollouts.start()
    stack.push_async_callback(rollouts.close)
    if await services.registration.register():
        services.held_runs.versions_served()
    executions = OpenExecutions(
        services.scripts,
        services.graphs,
        services.checkpointer,
        services.shards,
        services.store,
        lease_renewer,
        event_ttl_s=services.settings.event_ttl_s,
        metering=meter_config(services, blocking),
        retention=retention,
        tools=tool_services(
            services.tools, services.pipeline, services.shards, services.scripts, services.checkpointer
        ),
        switches=services.switch_watch,
        rollouts=services.rollout_watch,
        moving=ThreadMoving(services.mover, services.graphs, services.versions),
        metrics=services.metrics,
        replicated=services.replicated,
        recording=_recording(services),
        on_opened=(lambda run: None) if services.late_export is None else services.late_export.attempt_started,
    )
    services = replace(
        services, lease_renewer=lease_renewer, control_channels=channels, executions=executions, event_loop=event_loop
    )
    await _publish_metrics(services, stack)
    if process == "worker":
        auth_file = await asyncio.to_thread(load_auth, services.config.auth, services.graphs.load_object)
        return replace(services, auth=AccessControl(auth_file))
    inline = InlineRuns(services.submission.creator, services.graphs, executions, services.settings)
    stack.push_async_callback(inline.close)
    await services.health.measure()
    watch = asyncio.create_task(services.health.run(), name="health watch")
    stack.callback(watch.cancel)
    submission = replace(services.submission, inline=inline)
    resumer = RunResumer(services.pipeline, services.shards.records, submission, services.graphs, services.settings)
    reviews = ReviewStore(services.pipeline, services.shards, services.audit, resumer)
    return replace(services, inline=inline, submission=submission, resumer=resumer, reviews=reviews)
