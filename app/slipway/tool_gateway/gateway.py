"""The gateway: the only way to a registered tool. There is one for each attempt at a run.

A call passes these steps, in this order:

    policy      a grant permits it to the node, or `ToolRefused`
    arguments   they match the tool's schemas, or `ToolArgumentsInvalid`
    count       the ceiling `max_tool_calls` and the budgets have room for it
    begin       one script: the attempt owns its run, the call has not ended before, people have approved it if it needs
                that. A call that has ended is not executed again: it returns what it returned
    act         the tool is executed: with its secrets, its idempotency key, a time limit and retries
    end         one script: the result is stored

A crash before `begin` leaves nothing. A crash between `begin` and `end` leaves it open whether the tool had its effect:
the next attempt executes it again, with the same idempotency key. A crash after `end` repeats nothing.
"""

from __future__ import annotations

import asyncio
import secrets as random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import getpid
from typing import Any, Final, Literal, NoReturn

import structlog
from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.runtime import RunControl
from langgraph.types import RetryPolicy, interrupt
from pydantic_core import to_jsonable_python

from slipway import failpoints
from slipway.canonical_json import call_hash, canonical_json
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.stored_form import StoredForm, stored_form_of
from slipway.circuit_breakers.breakers import BREAKERS, PROBE_S, judge
from slipway.circuit_breakers.scripts import Outcome
from slipway.errors import (
    BreakerOpen,
    Fenced,
    SlipwayError,
    ToolArgumentsInvalid,
    ToolFailed,
    ToolRefused,
    ToolRejected,
    ToolTimeout,
)
from slipway.exception_text import class_name, message_of, traceback_of
from slipway.graphs.interface import Graph
from slipway.metering.meter import Meter
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.audit import AuditEntry
from slipway.runs.review_arguments import question_digest
from slipway.runs.scripts import RunScripts
from slipway.runs.write_commands import append_audit
from slipway.serialization.at_rest import opened
from slipway.serialization.places import approval_place
from slipway.switches.attempt_switches import CURRENT_SWITCHES, StoppedAtSwitch
from slipway.switches.record import Switch
from slipway.tool_gateway.approval import (
    Edited,
    Needed,
    by_name,
    decision_from,
    needed_approval,
    question,
    redacted,
    rejection,
    restored,
)
from slipway.tool_gateway.current_call import CURRENT_CALL, TOOL_CALL_ID, CurrentCall
from slipway.tool_gateway.definition import Args, ToolDefinition
from slipway.tool_gateway.finishing import FinishingTools
from slipway.tool_gateway.grant_nodes import check_made_graph
from slipway.tool_gateway.grants import Decision, NodePath
from slipway.tool_gateway.instrumentation import Entrance
from slipway.tool_gateway.node_executions import NodeExecution
from slipway.tool_gateway.registry import RegisteredTool, ToolRegistry
from slipway.tool_gateway.scripts import (
    BeginResult,
    CallBegin,
    CallIdentity,
    Decided,
    Done,
    Go,
    NeedsApproval,
    NeedsRule,
    NotOwned,
    Ready,
    RunCancelled,
    SwitchedOff,
    ToolScripts,
)
from slipway.tool_gateway.secrets import Redaction
from slipway.tool_gateway.target import BoundCall, ToolTarget
from slipway.tool_gateway.task_calls import TaskCalls
from slipway.tool_gateway.thread_calls import Act, act_in_new_thread
from slipway.tool_gateway.tool_span import ToolSpan, add_input
from slipway.tracing.current_span import add_to_current_span

log = structlog.get_logger(__name__)

LARGEST_RESULT_BYTES: Final = 1 << 20
"""A larger result of a call is not stored beside its record. A repetition of its superstep then fails, because the tool
must not be executed again."""

STORED_WITHIN_S: Final = 2.0
"""A synchronous subgraph stores its checkpoint in a thread; it has this time to do so before a tool that writes."""
_LONGEST_RETRY_DELAY_S: Final = 5.0
_NOT_KEPT: Final = b""


@dataclass(frozen=True, slots=True)
class ToolServices:
    """What the gateways of a process have in common."""

    registry: ToolRegistry
    keys: Keys
    scripts: ToolScripts
    runs: RunScripts
    checkpointer: BaseCheckpointer
    form: StoredForm


def tool_services(
    registry: ToolRegistry, pipeline: Pipeline, shards: Shards, runs: RunScripts, checkpointer: BaseCheckpointer
) -> ToolServices:
    """The services of the tools of `registry`. Results are stored as the checkpointer stores values."""
    form = stored_form_of(checkpointer.serde)
    return ToolServices(registry, shards.records, ToolScripts(pipeline, shards), runs, checkpointer, form)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call on its way through the gateway."""

    tool: RegisteredTool
    bound: BoundCall
    args: Args
    """The arguments as JSON."""
    key: str
    hash: str
    node: NodeExecution
    decision: Decision
    tool_call_id: str | None
    act: Act | None
    original: _Call | None = None
    """The call that a reviewer has edited."""

    @property
    def task(self) -> TaskCalls:
        return self.node.calls

    @property
    def is_edited(self) -> bool:
        return self.original is not None

    @property
    def is_recorded(self) -> bool:
        definition = (self.original or self).tool.definition
        return definition.writes or definition.approval.kind != "never"


class Gateway:
    """Executes the calls of one attempt. Used in the event loop of the attempt only."""

    def __init__(
        self, services: ToolServices, writer: AttemptWriter, control: RunControl, meter: Meter | None = None
    ) -> None:
        """`control` is that of the root graph. LangGraph passes it on to all graphs that its nodes execute, but not to
        one that has a thread id or namespace of its own."""
        self._services, self._writer, self._run, self._meter = services, writer, writer.run, meter
        self._control = control
        self._registry, self._policies = services.registry, services.registry.approval_policies
        self._root_nodes: Mapping[str, Any] = {}
        self._stored: set[tuple[str, str]] = set()
        """Namespaces and ids of checkpoints of subgraphs that are stored."""
        self._finishing = FinishingTools(may_finish=lambda: not writer.is_fenced)
        self.loop, self.process = asyncio.get_running_loop(), getpid()

    async def tools_ended(self) -> None:
        """Returns when no tool that writes is executed any more, after the graph has ended."""
        await self._finishing.all_ended()

    def watch(self, graph: Graph) -> None:
        """Sets the graph whose nodes may call tools. Raises `GraphUnavailable` if a factory has made it without a node
        that a rule names."""
        check_made_graph(self._run.graph_id, graph, self._registry.unchecked_nodes)
        self._root_nodes = graph.nodes

    # the ways in

    async def call_function(
        self,
        target: ToolTarget,
        entrance: Entrance,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        act: Act | None,
    ) -> Any:
        """A call of the function itself, or of the LangChain tool that it is part of."""
        tool = self._registry.find(target.name)
        if tool.target.origin != target.origin:
            here, there = tool.target.where, target.where
            raise ToolRefused(f"tool {target.name!r} is the one at {here}, and not that at {there}", target.name)
        found = TOOL_CALL_ID.get()
        tool_call_id = found[1] if found is not None and found[0] == target.langchain_tool.name else None
        bound = target.bind(entrance, args, kwargs)
        return await self._entered(
            tool.name, self._call(tool, bound, act, tool_call_id, check_types=tool_call_id is None)
        )

    async def call_by_name(self, name: str, args: Args, act: Act | None) -> Any:
        """A call of `slipway.tools.call`."""
        return await self._entered(name, self._call_by_name(name, args, act))

    async def _call_by_name(self, name: str, args: Args, act: Act | None) -> Any:
        tool = self._registry.find(name)
        await self._permitted(tool, NodeExecution.current(name))
        entrance = tool.target.entrance
        bound = tool.target.bind(entrance, (), tool.target.parse(args))
        return await self._call(tool, bound, act, None)

    async def _entered(self, name: str, call: Coroutine[Any, Any, Any]) -> Any:
        """A call that code of the graph makes, or a tool. An error may end the task of the node: it is raised when the
        other calls with a record have ended."""
        span = ToolSpan(name)
        try:
            result = await call
        except GraphBubbleUp as asked:
            span.ended_by(asked)
            raise
        except Exception as error:
            span.ended_by(error)
            with suppress(ToolRefused):
                if CURRENT_CALL.get() is None:
                    await NodeExecution.current(name).calls.others_ended(None, recorded_only=True)
            raise
        except BaseException as error:
            span.ended_by(error)
            raise
        span.ended(result)
        return result

    @property
    def has_policy(self) -> bool:
        """Whether grants decide about calls. Without a policy every call is permitted."""
        return self._registry.policy.grants is not None

    def permits(self, name: str, node: NodePath) -> bool:
        """Whether code in this node may call the LangChain tool with this name."""
        registered = self._registry.name_of(name)
        if registered is None:
            return self._registry.policy.grants is None
        return self._registry.policy.decide(self._run.graph_id, node, registered).permitted

    def require_registered(self, name: str, node: str | None) -> None:
        """Refuses the call of a LangChain tool that is not registered, if the project has a policy. The callback
        handler of the meter calls it, in any thread. Raises `ToolRefused`."""
        if self._registry.policy.grants is None or self._registry.name_of(name) is not None:
            return  # a registered function in a tool that somebody made of it: its call passes the gateway
        why = f"tool {name!r} is not registered, and langgraph.json has grants: name it in slipway.tools"
        self.refuse(name, node, why)

    def refuse(self, tool: str, node: str | None, why: str) -> NoReturn:
        """Refuses a call that does not come here, in any thread. Raises `ToolRefused`."""
        entry = AuditEntry("tool.denied", "slipway", {"tool": tool, "node": node, "rule": "", "why": why})
        command = append_audit(
            self._services.keys, self._run.run_id, entry.action, entry.actor, entry.stored_details(self._run.run_id)
        )
        self.loop.call_soon_threadsafe(self._writer.add_command, command)
        raise ToolRefused(why, tool)

    # the steps

    async def _call(
        self,
        tool: RegisteredTool,
        bound: BoundCall,
        act: Act | None,
        tool_call_id: str | None,
        *,
        check_types: bool = False,
    ) -> Any:
        node = NodeExecution.current(tool.name)
        decision = await self._permitted(tool, node)
        if check_types:
            tool.target.check(bound.values)
        args = bound.json_args()
        tool.check_args(args)
        add_input(lambda: redacted(args, tool.definition.redact))
        self._writer.may_have_calls = True
        try:
            digest = call_hash(tool.name, args)
        except (TypeError, ValueError) as error:
            raise ToolArgumentsInvalid(f"tool {tool.name!r}: arguments: {error}", tool.name) from None
        key = node.calls.key_of(self._run.thread_id, tool.name, tool_call_id, digest)
        call = _Call(tool, bound, args, key, digest, node, decision, tool_call_id, act)
        if call.is_recorded:
            self._require_checkpoints_of_run(call)
        try:
            with node.calls.active(key, recorded=call.is_recorded):
                return await self._begin_and_act(call)
        except StoppedAtSwitch as stopped:  # by the gateway, or by an MCP server whose list has changed
            node.calls.stopped = stopped
            raise
        except GraphBubbleUp:
            raise
        except Exception as error:
            fallback = tool.definition.fallback
            if fallback is None or not _may_fall_back(call, error):
                raise
            failed = error
        return await self._fall_back(call, fallback, failed)

    async def _permitted(self, tool: RegisteredTool, node: NodeExecution) -> Decision:
        if not self._is_in_root_graph(node):
            raise ToolRefused(
                f"tool {tool.name!r} was called in a graph that no node of the run has called: call it in a node",
                tool.name,
            )
        decision = self._registry.policy.decide(self._run.graph_id, node.path, tool.name)
        if not decision.permitted:
            details = {"tool": tool.name, "node": "/".join(node.path), "rule": decision.rule, "why": decision.why}
            await self._audit("tool.denied", details)
            log.warning(
                "tool.denied",
                run=self._run.run_id,
                tool=tool.name,
                node=details["node"],
                rule=decision.rule,
                reason=decision.why,
            )
            raise ToolRefused(decision.why, tool.name)
        return decision

    async def _begin_and_act(self, call: _Call) -> Any:
        if call.tool.definition.writes:
            await self._store_checkpoints(call)
            await self._finishing.ended(call.key)
        call, begun = await self._begin(call)
        if isinstance(begun, Done):
            return self._replayed(call, begun)
        if begun.begun_before:
            log.warning("tool.repeated", run=self._run.run_id, tool=call.tool.name, call=call.key)
        current = CurrentCall(call.tool.definition, call.key, CURRENT_CALL.get())
        failpoints.reach("tool_begun")
        acting = self._act(call, current)
        return await (self._finishing.execute(call.key, acting) if call.tool.definition.writes else acting)

    async def _act(self, call: _Call, current: CurrentCall) -> Any:
        """What the tool returns, when it is stored how it ended."""
        redaction, started = Redaction(call.tool.definition), time.monotonic()
        problem: Exception | None = None
        try:
            result = redaction.value(await self._execute(call, current))
        except GraphBubbleUp as asked:  # the tool asks people itself: it is executed again when they have answered
            if isinstance(asked, GraphInterrupt):
                call.task.ends_with = call.task.ends_with or asked
            ids = call.node.questions_in(asked)
            await asyncio.shield(self._end(call, "failed", "tool.interrupted", started, questions=ids))
            await self._others_ended(call)
            raise
        except Exception as error:
            problem = _shown(call.tool, error, redaction)
            await asyncio.shield(self._end(call, "failed", "tool.failed", started, error=class_name(error)))
        else:
            result = _with_notice(call, result)
            failpoints.reach("tool_acted")
            await asyncio.shield(self._end(call, "done", "tool.called", started, result=result))
            failpoints.reach("tool_ended")
        if problem is not None:
            raise problem
        self._check_result(call, result)
        return result

    def _require_checkpoints_of_run(self, call: _Call) -> None:
        """A graph with a thread id or namespace of its own begins again when its node is executed again: its tasks then
        have other ids, and its calls other keys."""
        if call.node.control is not self._control:
            raise ToolRefused(
                f"tool {call.tool.name!r} was called in a graph that node {call.node.root.name!r} executes with a "
                "thread id or another checkpoint coordinate of its own. Such a graph may only call tools that read and "
                "need no approval, because a crash or a retry would make the call again as another one: call that "
                "graph without them",
                call.tool.name,
            )

    async def _store_checkpoints(self, call: _Call) -> None:
        """The key of the call is made of the id of the task, which is made of a checkpoint. The checkpoint is stored
        before the tool is executed: otherwise the next attempt could not find out that this call was made."""
        if self._run.options.durability == "exit":
            raise ToolRefused(
                f"tool {call.tool.name!r} writes, and the run has durability exit: it stores nothing before it ends, "
                "so a crash would execute the tool again as another call. Use durability async or sync",
                call.tool.name,
            )
        await self._writer.store_checkpoints()
        checkpoints = call.node.checkpoints
        root = call.node.root.checkpoints.get("")
        for namespace, checkpoint_id in checkpoints.items():
            if checkpoint_id != root and (namespace, checkpoint_id) not in self._stored:
                await self._require_stored(call, namespace, checkpoint_id)
                self._stored.add((namespace, checkpoint_id))

    async def _require_stored(self, call: _Call, namespace: str, checkpoint_id: str) -> None:
        """A subgraph that stores nothing begins again when its node is executed again. Its tasks then
        have other ids, and its calls other keys."""
        target = {"thread_id": self._run.thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
        ends_at = time.monotonic() + STORED_WITHIN_S
        while await self._services.checkpointer.aget_tuple({"configurable": target}) is None:
            if time.monotonic() > ends_at:
                node = call.node.root.name
                raise ToolRefused(
                    f"tool {call.tool.name!r} writes, and a graph that node {node!r} executes does not store its "
                    "checkpoints: a crash or a retry would execute the tool again as another call. Compile that graph "
                    "without checkpointer=False, and call it without durability exit",
                    call.tool.name,
                )
            await asyncio.sleep(0.02)
            await self._writer.store_checkpoints()

    async def _begin(self, call: _Call) -> tuple[_Call, Go | Done]:
        """Returns when the tool may be executed: the call, which people may have edited."""
        while True:
            result = await self._begin_once(call)
            if isinstance(result, Go | Done):
                return call, result
            if isinstance(result, NeedsApproval):
                await self._ask(call, result.policy)
            elif isinstance(result, Decided):
                call = await self._decided(call, result.decision)
            elif isinstance(result, SwitchedOff):
                await self._stop_at(call, result.switch)
            elif isinstance(result, RunCancelled):
                self._writer.request_cancel(result.action)
                problem = f"the run is being cancelled: tool {call.tool.name!r} was not executed"
                raise ToolRefused(problem, call.tool.name)
            elif isinstance(result, NotOwned):
                raise self._fenced()

    async def _stop_at(self, call: _Call, switch: Switch) -> None:
        """Ends the task, and the run pauses. Raises `StoppedAtSwitch`."""
        await self._others_ended(call)
        switches = CURRENT_SWITCHES.get()
        assert switches is not None, "the execution sets it with the gateway"
        switches.stop_at(switch)

    async def _begin_once(self, call: _Call) -> BeginResult:
        """One call of the script, or two if the rule must be evaluated. It is not evaluated if people were asked about
        this very call before: a rule that says something else now cannot change what they were asked."""
        failpoints.reach("tool_called")
        if call.task.ends_with is not None:
            await self._end_task(call, call.task.ends_with)
        rule = call.tool.definition.approval
        if rule.kind == "always" or (rule.kind == "never" and not call.is_edited):
            needed = None if rule.kind == "never" else by_name(call.tool, rule.policy_name, self._policies)
            return await self._begin_with(call, needed)
        result = await self._begin_with(call, None, evaluated=False)
        if isinstance(result, NeedsRule):
            needed = await needed_approval(call.tool, call.args, self._policies)
            result = await self._begin_with(call, needed)
        return result

    async def _begin_with(self, call: _Call, needed: Needed | None, *, evaluated: bool = True) -> BeginResult:
        """Counts the call when it begins: neither one that ended before, nor one about which people must be asked. The
        script says first whether a call with a record may begin; one without is counted at once."""
        if call.is_recorded and self._meter is not None:
            result = await self._send_begin(call, needed, evaluated=evaluated, peek=True)
            if not isinstance(result, Ready):
                return result
        if self._meter is None:
            return await self._send_begin(call, needed, evaluated=evaluated)
        self._meter.count_tool_call(call.node.name)
        reservation = await self._meter.reserve_tool_call()
        result = await self._send_begin(call, needed, evaluated=evaluated, metered=reservation.metered)
        if not isinstance(result, Go):
            await self._meter.release_tool_call(reservation)
        return result

    async def _send_begin(
        self,
        call: _Call,
        needed: Needed | None,
        *,
        evaluated: bool,
        metered: str | None = None,
        peek: bool = False,
    ) -> BeginResult:
        at = {"checkpoint": call.node.root.checkpoints.get("")}
        audit = self._details(call) | {"rule": call.decision.rule, "hash": call.hash} | at
        asks: Literal["ask"] | None = "ask" if needed is not None or call.is_edited else None
        arguments: CallBegin = {
            **self._identity(call),
            "rule": asks if evaluated else "predicate",
            "quorum": 0 if needed is None else needed.policy.quorum,
            "policy": "" if needed is None else needed.name,
            "restricted": needed is not None and needed.policy.restricted,
            "fingerprint": (call.original or call).tool.definition.fingerprint,
            "token": random.token_hex(8),
            "audit": AuditEntry("tool.permitted", "slipway", audit).stored_details(self._run.run_id),
            "metered": metered,
            "peek": peek or None,
        }
        return await self._services.scripts.begin(arguments)

    # approval

    async def _ask(self, call: _Call, policy: str) -> NoReturn:
        """Ends the task with the question about a call, or with that about another call that was asked before. Raises
        LangGraph's interrupt when the other calls have ended."""
        needed = by_name(call.tool, policy, self._policies)
        if call.task.ends_with is None:
            asked = question(
                call.tool,
                call.args,
                key=call.key,
                digest=call.hash,
                tool_call_id=call.tool_call_id,
                policy=needed.policy,
            )
            self._writer.gateway_questions.add(question_digest(asked.value))
            call.task.ends_with = GraphInterrupt([asked])
        await self._end_task(call, call.task.ends_with)

    async def _decided(self, call: _Call, stored: bytes) -> _Call:
        """The call that people want to be made instead of this one, which `begin` must still prove. Raises
        `ToolRejected`."""
        decision = decision_from(opened(stored, approval_place(self._run.thread_id)))
        if isinstance(decision, Edited):
            return await self._edited(call, decision)
        await self._audit("tool.rejected", self._details(call) | {"hash": call.hash})
        raise ToolRejected(rejection(call.tool.name, decision.reason), call.tool.name, reason=decision.reason)

    async def _edited(self, call: _Call, answer: Edited) -> _Call:
        """The call that a reviewer wants instead: permitted to the node, and valid."""
        tool = self._registry.find(answer.name)
        decision = await self._permitted(tool, call.node)
        args = restored(answer.args, call.args, tool.definition.redact)
        entrance = tool.target.entrance if tool is not call.tool else call.bound.entrance
        names = entrance.signature.parameters
        injected = {name: value for name, value in call.bound.injected.items() if name in names}
        bound = tool.target.bind(entrance, (), {**injected, **tool.target.parse(args)})
        tool.check_args(bound.json_args())
        digest = call_hash(answer.name, answer.args)
        return replace(
            call,
            tool=tool,
            bound=bound,
            args=args,
            hash=digest,
            decision=decision,
            original=call.original or call,
        )

    async def _execute(self, call: _Call, current: CurrentCall) -> Any:
        """Executes the tool, and again after a failure as often as its `retries` say."""
        definition = call.tool.definition
        for number in range(definition.retries + 1):
            try:
                async with BREAKERS.call("tool", definition.name, judge=_judged, probe_s=_probe_s(definition)):
                    return await _one_try(call, current)
            except (GraphBubbleUp, BreakerOpen):
                raise
            except Exception as error:
                if number == definition.retries or not _is_fault(error):
                    raise
                log.info("tool.retried", run=self._run.run_id, tool=definition.name, error=class_name(error))
                add_to_current_span(retries=number + 1)
            await asyncio.sleep(min(0.2 * 2**number, _LONGEST_RETRY_DELAY_S))
        raise AssertionError

    async def _end(
        self,
        call: _Call,
        state: Any,
        action: str,
        started: float,
        *,
        result: Any = None,
        error: str | None = None,
        questions: Sequence[str] = (),
    ) -> None:
        """Stores how the call ended. Raises `Fenced` if the attempt no longer owns its run."""
        details = self._details(call) | {"ms": round((time.monotonic() - started) * 1000)}
        if error is not None:
            details["error"] = error
        stored = self._stored_result(call, result) if call.is_recorded and state == "done" else _NOT_KEPT
        audit = AuditEntry(action, "slipway", details).stored_details(self._run.run_id)
        ended = self._services.scripts.end(
            {**self._identity(call), "state": state, "action": action, "audit": audit, "questions": questions}, stored
        )
        if not await ended:
            raise self._fenced()

    def _stored_result(self, call: _Call, result: Any) -> bytes:
        """The stored form of a result. Empty for one that cannot be stored, or is too large."""
        try:
            stored = self._services.form.seal(self._services.form.encode(result))
        except Exception as error:
            log.warning("tool.result_not_stored", tool=call.tool.name, problem=message_of(error))
            return _NOT_KEPT
        return stored if len(stored) <= LARGEST_RESULT_BYTES else _NOT_KEPT

    def _replayed(self, call: _Call, done: Done) -> Any:
        """What the call returned when it was executed. Takes the answers that the tool got from LangGraph's list of the
        answers of the task, so that the next question of the node does not get them."""
        with suppress(GraphInterrupt):
            for _ in range(done.questions):
                interrupt("answered")
        if done.result == _NOT_KEPT:
            raise ToolFailed(
                f"tool {call.tool.name!r} was executed before, and its result was too large to be kept: it is not "
                "executed again",
                call.tool.name,
            )
        log.info("tool.replayed", run=self._run.run_id, tool=call.tool.name, call=call.key)
        add_to_current_span(executed=False)
        result = self._services.form.loads(done.result)
        self._check_result(call, result)
        return result

    def _check_result(self, call: _Call, result: Any) -> None:
        if not call.tool.result_validators:
            return
        if call.tool.target.returns_artifact and isinstance(result, tuple) and result:
            result = result[0]
        try:
            value = to_jsonable_python(result)
        except Exception as error:
            value = f"<{class_name(result)}: {message_of(error)}>"
        call.tool.check_result(value)

    async def _fall_back(self, call: _Call, name: str, failed: Exception) -> Any:
        """Calls the fallback with the same arguments. If it may not be called or does not accept them, the error of
        the first tool is raised."""
        tool = self._registry.find(name)
        log.warning(
            "tool.fell_back", run=self._run.run_id, tool=call.tool.name, fallback=name, error=class_name(failed)
        )
        add_to_current_span(fallback=name)
        await self._audit("tool.fell_back", self._details(call) | {"to": name, "error": class_name(failed)})
        try:
            names = tool.target.entrance.signature.parameters
            values = tool.target.parse(call.args)
            injected = {key: value for key, value in call.bound.injected.items() if key in names}
            bound = tool.target.bind(tool.target.entrance, (), {**injected, **values})
        except ToolArgumentsInvalid:
            raise failed from None
        return await self._call(tool, bound, call.act, call.tool_call_id)

    # helpers

    def _is_in_root_graph(self, node: NodeExecution) -> bool:
        """Whether one of the nodes of the root graph executes the code. A graph that nobody's node has started, such as
        one in a reducer, is not."""
        task = node.root.task
        found = self._root_nodes.get(task.name)
        return found is not None and task.writers is found.flat_writers

    async def _end_task(self, call: _Call, question: GraphInterrupt) -> NoReturn:
        """Raises the question when the other calls have ended."""
        await self._others_ended(call)
        raise GraphInterrupt(*question.args)

    async def _others_ended(self, call: _Call) -> None:
        """Waits before this call ends the task."""
        call.task.leave(call.key)
        await call.task.others_ended(CURRENT_CALL.get())

    def _identity(self, call: _Call) -> CallIdentity:
        return {
            "run_id": self._run.run_id,
            "incarnation": self._run.incarnation,
            "attempt": self._run.attempt,
            "call": call.key,
            "tool": call.tool.name,
            "hash": call.hash,
            "recorded": call.is_recorded,
        }

    def _details(self, call: _Call) -> dict[str, Any]:
        definition = call.tool.definition
        return {
            "tool": definition.name,
            "version": definition.version,
            "access": definition.access,
            "node": "/".join(call.node.path),
            "call": call.key,
        } | ({} if call.tool_call_id is None else {"tool_call_id": call.tool_call_id})

    async def _audit(self, action: str, details: Mapping[str, Any]) -> None:
        entry = AuditEntry(action, "slipway", details)
        await self._services.runs.audit_append(
            self._run.run_id, entry.action, entry.actor, entry.stored_details(self._run.run_id)
        )

    def _fenced(self) -> Fenced:
        self._writer.mark_fenced()
        return Fenced(f"attempt {self._run.attempt} of run {self._run.run_id} no longer owns it")


_WORTH_RETRYING: Final[Any] = RetryPolicy().retry_on
"""LangGraph's rule for nodes: not for errors such as `ValueError`, which say that the call is wrong."""


def _is_fault(error: BaseException) -> bool:
    """Whether an error says that the service behind the tool does not work, and not that the call is wrong. Only then
    is the call retried, made with the fallback, or counted by the circuit breaker. A `ToolException` is an answer of
    the tool for the model."""
    if isinstance(error, ToolTimeout | TimeoutError):
        return True
    if not isinstance(error, Exception) or isinstance(error, SlipwayError | ToolException | GraphBubbleUp):
        return False
    return bool(_WORTH_RETRYING(error))


def _judged(error: BaseException) -> Outcome:
    """What an error says about the service, to the circuit breaker."""
    outcome = judge(error)
    return "succeeded" if outcome == "failed" and not _is_fault(error) else outcome


def _probe_s(definition: ToolDefinition) -> float:
    return max(PROBE_S, 2 * (definition.timeout_s or 0))


async def _one_try(call: _Call, current: CurrentCall) -> Any:
    timeout_s = call.tool.definition.timeout_s
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await _act(call, current)
    except TimeoutError:
        if not limit.expired():
            raise
    except (SystemExit, KeyboardInterrupt) as error:
        raise ToolFailed(f"tool {call.tool.name!r} raised {class_name(error)}", call.tool.name) from None
    raise ToolTimeout(f"tool {call.tool.name!r} took longer than {timeout_s:g} s", call.tool.name)


async def _act(call: _Call, current: CurrentCall) -> Any:
    """Executes the original function: a coroutine function here, another one in a thread."""

    def execute() -> Any:
        tokens = CURRENT_CALL.set(current), TOOL_CALL_ID.set(None)
        try:
            return call.bound.execute()
        finally:
            CURRENT_CALL.reset(tokens[0])
            TOOL_CALL_ID.reset(tokens[1])

    if call.bound.entrance.is_async:
        tokens = CURRENT_CALL.set(current), TOOL_CALL_ID.set(None)
        try:
            return await call.bound.execute()
        finally:
            CURRENT_CALL.reset(tokens[0])
            TOOL_CALL_ID.reset(tokens[1])
    # a thread that must be left behind after a timeout cannot be the one that waits for the result
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = call.act or act_in_new_thread
    return await (act_in_new_thread if call.tool.definition.timeout_s is not None else in_thread)(execute)


def _with_notice(call: _Call, result: Any) -> Any:
    """The result for a model whose call a reviewer has edited: the model would take it for that of its own call."""
    if call.tool_call_id is None or not call.is_edited or not isinstance(result, str) or call.tool.result_validators:
        return result
    args = redacted(call.args, call.tool.definition.redact)
    return f"A reviewer replaced this call. What was called is {call.tool.name} with {canonical_json(args)}.\n{result}"


def _shown(tool: RegisteredTool, error: Exception, redaction: Redaction) -> Exception:
    """The error that the graph gets: the one of the tool, unless a secret occurs in it or in its causes."""
    if isinstance(error, BreakerOpen):
        return error
    if not redaction.changes(traceback_of(error)) and not redaction.changes(repr(error)):
        return error
    text = redaction.text(message_of(error))
    return ToolFailed(f"tool {tool.name!r} raised {class_name(error)}: {text}", tool.name, is_fault=_is_fault(error))


def _may_fall_back(call: _Call, error: Exception) -> bool:
    """Whether the fallback may be called. Not when the first tool was refused, nor when it writes and may have had its
    effect although it took too long."""
    if isinstance(error, ToolTimeout):
        return not call.tool.definition.writes
    return isinstance(error, BreakerOpen) or (isinstance(error, ToolFailed) and error.is_fault) or _is_fault(error)
