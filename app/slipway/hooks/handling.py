"""Does what a verified delivery to a hook asks for, once, and stores the answer.

    plan (the mapping) ─▶ hook_receive ─▶ runs/submit.py ─▶ hook_answer

The first script stores the delivery with the id of the run that it will create. A repetition finds the answer or, if
the process died in between, this id: a run with it exists, or is created now. So a delivery creates at most one run,
and its repetitions get the answer of the first. An error is no such answer: the sender may repeat the delivery when the
cause is removed. A delivery that was stored and never answered is finished by a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, NoReturn
from uuid import UUID, uuid5

import structlog

from slipway import failpoints
from slipway.access.access_control import AccessControl
from slipway.access.filters import AccessFilter
from slipway.access.permissions import Permissions
from slipway.access.scoped_users import scoped_user
from slipway.access.scopes import Scope
from slipway.access.users import User
from slipway.errors import Conflict, HookMappingFailed, NotFound, ReviewClosed, SlipwayError
from slipway.graphs.hooks_section import HookConfig
from slipway.hooks.plan import Action, DecideReview, Ignore, Incoming, Plan, ResumeRun, StartRun, ThreadName, planned
from slipway.hooks.reads import HookReads
from slipway.hooks.record import DeliveryState, HookDelivery, record_id_of, stored_fields
from slipway.hooks.scripts import FirstAnswer, HookScripts, NewDelivery, StoredAnswer, ToDo
from slipway.redis.shard_ids import run_id_beside
from slipway.reviews.actor import actor_for
from slipway.reviews.store import ReviewStore
from slipway.run_options import RunOptions
from slipway.runs.admission import Admission
from slipway.runs.logged_run import LoggedRun
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.run_request import RunIds, RunRequest
from slipway.runs.store import RunStore
from slipway.runs.submit import RunSubmission
from slipway.serialization.at_rest import sealed
from slipway.serialization.json_encoding import clean, dumps
from slipway.serialization.places import hook_place
from slipway.threads.store import ThreadStore

log = structlog.get_logger(__name__)

FINISH_AFTER_MS: Final = 30_000
"""When a worker finishes a delivery that was stored and not answered."""
SCOPES: Final = (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.REVIEWS_DECIDE)
"""Of the user of a hook."""

StatusOf = Callable[[SlipwayError], int]
"""The HTTP status of an error."""

_ACCEPTED: Final = 202
_IGNORED: Final = 200
_RECORD_BYTES: Final = 1024
"""What a delivery is counted as beside its body."""
_CONFIG: Final[Mapping[str, Any]] = {"configurable": {}, "metadata": {}}


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """The response to a delivery. `delivery` is the id of its record. `repeated`: it was answered before."""

    status: int
    content: bytes
    delivery: str
    repeated: bool


class _Done(NamedTuple):
    """What a delivery has done: the members of the answer, and the run that it has created or whose review it has
    decided."""

    members: Mapping[str, Any]
    run: LoggedRun


@dataclass(frozen=True, slots=True)
class Replay:
    """That an operator has a delivery handled again. `token` is the same for repetitions of this request."""

    of: str
    by: str
    token: str


@dataclass(frozen=True, slots=True)
class DeliveryHandler:
    """Handles deliveries, for the user of their hook. `prefix` is that of the paths in answers."""

    scripts: HookScripts
    reads: HookReads
    submission: RunSubmission
    runs: RunStore
    threads: ThreadStore
    reviews: ReviewStore
    admission: Admission
    access: AccessControl | None
    status_of: StatusOf
    prefix: str = ""

    async def handle(self, config: HookConfig, incoming: Incoming, replay: Replay | None = None) -> HookAnswer:
        """Stores the delivery, and does what it asks for unless that was done before. Raises a `SlipwayError` if it is
        not possible; the delivery is stored with this error, unless Redis is unavailable or has no room."""
        plan = planned(config, incoming)
        await self.admission.admit(_RECORD_BYTES + len(incoming.body))
        delivery = record_id_of(
            config.name, plan.delivery_id if replay is None else f"replay {replay.of} {replay.token}"
        )
        ids = await self._ids(config, plan)
        stored = await self.scripts.receive(
            NewDelivery(
                delivery=delivery,
                hook=config.name,
                fields=_stored_fields(delivery, config, incoming, plan, replay),
                stored_body=sealed(incoming.body, hook_place(delivery)),
                run_id=ids.run_id,
                thread_id=ids.thread_id,
                answer=self._answer_now(plan, delivery),
            )
        )
        match stored:
            case FirstAnswer(status, content):
                return HookAnswer(status, content, delivery, repeated=True)
            case ToDo() as todo:
                failpoints.reach("hook_stored")
                assert plan.action is not None
                try:
                    return await self._do(config, plan.action, delivery, todo)
                except SlipwayError as error:
                    _log_rejected(config, delivery, error)
                    await self.scripts.answer(delivery, config.name, self._rejection(error))
                    raise
        if plan.error is not None:
            _log_rejected(config, delivery, plan.error)
            raise plan.error
        answer = self._answer_now(plan, delivery)
        assert answer is not None
        log.info("hook.ignored", hook=config.name, delivery=delivery, event_type=plan.event)
        return HookAnswer(answer.status, answer.content, delivery, repeated=False)

    async def finish(self, config: HookConfig, record: HookDelivery) -> None:
        """Does what a stored delivery asks for, which was never answered, and stores the answer. Raises a
        `SlipwayError` if it is not possible."""
        plan = planned(config, Incoming(record.headers, record.body, record.digest))
        todo = ToDo(record.run_id, record.thread_id, repeated=True)
        answer = self._answer_now(plan, record.delivery)
        if answer is not None:
            await self.scripts.answer(record.delivery, config.name, answer)
        elif plan.action is not None:
            await self._do(config, plan.action, record.delivery, todo)

    async def give_up(self, record: HookDelivery, error: SlipwayError) -> None:
        """Stores an error as the answer of a delivery that cannot be finished."""
        await self.scripts.answer(record.delivery, record.hook, self._rejection(error))

    async def _ids(self, config: HookConfig, plan: Plan) -> RunIds:
        """The ids of the run that a delivery may create, and of the thread that is created for it if it names none."""
        match plan.action:
            case ResumeRun(run_id=str() as asking):
                return RunIds(run_id=run_id_beside(asking, new_id()), thread_id=new_id())
            case StartRun(thread=name) | ResumeRun(thread=name):
                with suppress(SlipwayError):  # a bad name: the delivery is stored, and rejected when it is handled
                    return RunIds.new(new_id(), await self._thread_id(config, name))
        return RunIds.new(new_id())

    def _answer_now(self, plan: Plan, delivery: str) -> StoredAnswer | None:
        """The answer that is known before anything is done. None if something must be done."""
        if plan.error is not None:
            return self._rejection(plan.error)
        if isinstance(plan.action, Ignore):
            members = {"ignored": True, "reason": plan.action.reason, "event": plan.event, "delivery": delivery}
            return StoredAnswer(DeliveryState.IGNORED, _IGNORED, dumps(members))
        return None

    def _rejection(self, error: SlipwayError) -> StoredAnswer:
        content = dumps({"detail": str(error), **error.details()})
        return StoredAnswer(DeliveryState.REJECTED, self.status_of(error), content)

    async def _do(self, config: HookConfig, action: Action, delivery: str, todo: ToDo) -> HookAnswer:
        user = user_of_hook(config)
        try:
            done = await self._done(config, user, action, delivery, todo)
        except SlipwayError:
            run = await self._existing_run(todo) if not isinstance(action, DecideReview) else None
            if run is None:
                raise
            done = self._run_done(run)
        content = dumps({**done.members, "delivery": delivery})
        stored = StoredAnswer(DeliveryState.ACCEPTED, _ACCEPTED, content)
        answer = await self.scripts.answer(delivery, config.name, stored)
        log.info("hook.accepted", hook=config.name, delivery=delivery, **done.run.log_fields())
        return HookAnswer(answer.status, answer.content, delivery, todo.repeated)

    async def _existing_run(self, todo: ToDo) -> Run | None:
        """The run of this delivery, if an earlier or a simultaneous request has created it."""
        try:
            return await self.runs.find(todo.run_id)
        except NotFound:
            return None

    async def _done(self, config: HookConfig, user: User, action: Action, delivery: str, todo: ToDo) -> _Done:
        match action:
            case StartRun():
                thread_id = await self._thread_id(config, action.thread) or todo.thread_id
                options = RunOptions(input=action.input, config=dict(_CONFIG))
                return self._run_done(
                    await self._submitted(
                        config,
                        user,
                        RunIds(run_id=todo.run_id, thread_id=thread_id),
                        RunRequest(
                            assistant_id=config.section.assistant or "",
                            options=options,
                            metadata={**action.metadata, "hook_delivery": delivery},
                            create_thread=action.create_thread,
                            multitask_strategy=action.multitask_strategy,
                            user=user.stored(),
                        ),
                    )
                )
            case ResumeRun():
                if todo.repeated and (run := await self._existing_run(todo)) is not None:
                    return self._run_done(run)
                return self._run_done(await self._resumed(config, user, action, delivery, todo))
            case DecideReview():
                return await self._decided(config, user, action, todo)
        raise AssertionError(action)

    async def _resumed(self, config: HookConfig, user: User, action: ResumeRun, delivery: str, todo: ToDo) -> Run:
        thread_id = await self._thread_id(config, action.thread)
        if action.run_id is not None:
            asking = await self.runs.find(_uuid(config, "run_id", action.run_id))
            await self._check_owner(config, asking.thread_id, NotFound("run", asking.run_id))
            if asking.phase is not Phase.WAITING_FOR_APPROVAL:
                raise Conflict(
                    f"run {asking.run_id} does not wait for an answer: it is {asking.phase.value}",
                    run_id=asking.run_id,
                    phase=asking.phase.value,
                )
            thread_id = asking.thread_id
        assert thread_id is not None
        await self.threads.check_access(thread_id, _owner_filter(config))
        thread = await self.threads.get(thread_id)
        assistant_id = config.section.assistant or thread.metadata.get("assistant_id")
        if thread.status != "interrupted" or not isinstance(assistant_id, str):
            raise Conflict(
                f"no run of thread {thread_id} waits for an answer: the thread is {thread.status}",
                thread_id=thread_id,
                status=thread.status,
            )
        return await self._submitted(
            config,
            user,
            RunIds(run_id=todo.run_id, thread_id=thread_id),
            RunRequest(
                assistant_id=assistant_id,
                options=RunOptions(command={"resume": action.answer}, config=dict(_CONFIG), strict_resume=True),
                metadata={**action.metadata, "hook_delivery": delivery},
                user=user.stored(),
            ),
        )

    async def _submitted(self, config: HookConfig, user: User, ids: RunIds, request: RunRequest) -> Run:
        permissions = Permissions(self.access, user)
        spec = await self.submission.prepare(request, ids, permissions)
        access_filter = spec.behaviour.access_filter & _owner_filter(config)
        return await self.submission.submit(
            replace(spec, behaviour=replace(spec.behaviour, access_filter=access_filter))
        )

    async def _decided(self, config: HookConfig, user: User, action: DecideReview, todo: ToDo) -> _Done:
        review = await self.reviews.get(clean(action.review_id))
        await self._check_owner(config, review.thread_id, NotFound("review", review.review_id))
        try:
            review = await self.reviews.decide(review.review_id, actor_for(user), action.decision)
        except ReviewClosed:
            outcome = review.outcome
            if not todo.repeated or outcome is None or user.identity not in outcome.by:
                raise
        members = {
            "review_id": review.review_id,
            "state": review.state.value,
            "run_id": review.run_id,
            "thread_id": review.thread_id,
            "resumed_by": review.resumed_by,
            "status_url": f"{self.prefix}/threads/{review.thread_id}/runs/{review.resumed_by or review.run_id}",
        }
        return _Done(members, LoggedRun(review.run_id, review.thread_id, review.graph_id))

    async def _check_owner(self, config: HookConfig, thread_id: str, hidden: NotFound) -> None:
        """Raises `hidden`, the error for a record that does not exist, if the thread belongs to another owner."""
        try:
            await self.threads.check_access(thread_id, _owner_filter(config))
        except NotFound:
            raise hidden from None

    async def _thread_id(self, config: HookConfig, name: ThreadName) -> str | None:
        """The id of the named thread; None for a new one."""
        if name.thread_id is not None:
            return _uuid(config, "thread_id", name.thread_id)
        if name.text is None:
            return None
        parts = dumps([config.name, config.section.owner, clean(name.text)]).decode()
        return str(uuid5(await self.reads.namespace(), parts))

    def _run_done(self, run: Run) -> _Done:
        members = {
            "run_id": run.run_id,
            "thread_id": run.thread_id,
            "status_url": f"{self.prefix}/threads/{run.thread_id}/runs/{run.run_id}",
        }
        return _Done(members, run.logged)


def user_of_hook(config: HookConfig) -> User:
    """The user for whom the runs of a hook execute."""
    section = config.section
    user = scoped_user(f"hook:{config.name}", SCOPES, section.owner, display_name=f"hook {config.name}")
    return User({**user, "groups": list(section.groups)}) if section.groups else user


def _stored_fields(
    delivery: str, config: HookConfig, incoming: Incoming, plan: Plan, replay: Replay | None
) -> dict[str, str]:
    return stored_fields(
        delivery=delivery,
        hook=config.name,
        delivery_id=plan.delivery_id,
        event=plan.event,
        headers=incoming.headers,
        digest=incoming.digest,
        size=len(incoming.body),
        replay_of=None if replay is None else replay.of,
        by=None if replay is None else replay.by,
    )


def _owner_filter(config: HookConfig) -> AccessFilter:
    """The records that a hook with an owner may use."""
    owner = config.section.owner
    return AccessFilter() if owner is None else AccessFilter(({"owner": owner},))


def _uuid(config: HookConfig, field: str, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        _reject(config, field, f"must be a UUID, found a text of {len(text)} characters")


def _reject(config: HookConfig, field: str, problem: str) -> NoReturn:
    raise HookMappingFailed(config.name, field, problem)


def _log_rejected(config: HookConfig, delivery: str, error: SlipwayError) -> None:
    log.warning("hook.rejected", hook=config.name, delivery=delivery, code=error.code, problem=str(error))
