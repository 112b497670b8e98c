"""The script stubs of calls of tools. The header of each file in `redis/lua/` says what the script changes
atomically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, arguments_for
from slipway.runs.cancel_reasons import Action
from slipway.switches.record import Switch, switch_from

_BEGIN: Final = load("tool_call_begin")
_END: Final = load("tool_call_end")


class CallIdentity(TypedDict):
    """Which call of which attempt. `call` is the key of the call. `recorded`: whether the call has a record: one that
    writes, or that people may have to approve."""

    run_id: str
    incarnation: str
    attempt: int
    call: str
    tool: str
    hash: str
    recorded: bool


class CallBegin(CallIdentity):
    """The arguments of `tool_call_begin.lua`. `token` is a new text for each time that the call begins."""

    rule: Literal["ask", "predicate"] | None
    """`ask` if the call needs approval, `predicate` if the rule is not evaluated yet. If people were asked about a call
    with this hash before, the script needs no rule."""
    quorum: int
    """Of the policy: so many people must have approved it. 0 if an edited call needs no approval but the edit."""
    policy: str
    restricted: bool
    """Whether the policy restricts who may approve the call, apart from how many. Then whoever edited the call by
    another policy has not approved it."""
    fingerprint: str | None
    """Of what the MCP server says about the tool that people are asked about. If they were asked when it was another
    one, they are asked again."""
    token: str
    audit: str
    metered: str | None
    """What the chain has used of models and tools, with this call. None without a meter, and to `peek`."""
    peek: bool | None
    """True only asks whether the call may begin."""


class CallEnd(CallIdentity):
    """The arguments of `tool_call_end.lua`."""

    questions: Sequence[str]
    """The ids of interrupts with which the tool itself has just asked people."""
    state: Literal["done", "failed"]
    action: str
    audit: str


@dataclass(frozen=True, slots=True)
class Go:
    """The tool may be executed now. `begun_before`: how often the call began without an end."""

    begun_before: int


@dataclass(frozen=True, slots=True)
class Done:
    """The call was executed."""

    result: bytes
    questions: int
    """How many questions the tool itself has asked people, which are answered."""


@dataclass(frozen=True, slots=True)
class NeedsRule:
    """The predicate must be evaluated first."""


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """People must approve the call first. `policy` is the name of the policy by which they were asked first."""

    policy: str


@dataclass(frozen=True, slots=True)
class Decided:
    """People have edited or rejected the call. `decision` is JSON: see `tool_gateway/approval.py`."""

    decision: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The call may begin."""


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """An operator has switched the tool off."""

    switch: Switch


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """The run is to be cancelled."""

    action: Action


@dataclass(frozen=True, slots=True)
class NotOwned:
    """The attempt no longer owns its run."""


BeginResult = Go | Done | NeedsRule | NeedsApproval | Decided | Ready | SwitchedOff | RunCancelled | NotOwned


class ToolScripts(RecordScriptStubs):
    """One round trip each."""

    async def begin(self, arguments: CallBegin) -> BeginResult:
        """Begins the call, if everything permits it."""
        shard = self._shards.of_run(arguments["run_id"])
        reply = await self._pipeline.run(_BEGIN, [], arguments_for(shard, arguments))
        match reply[0]:
            case b"go":
                return Go(int(reply[1]))
            case b"done":
                return Done(reply[1], int(reply[2]))
            case b"rule":
                return NeedsRule()
            case b"ask":
                return NeedsApproval(reply[1].decode())
            case b"decided":
                return Decided(reply[1])
            case b"ready":
                return Ready()
            case b"off":
                return SwitchedOff(switch_from(reply[1]))
            case b"cancel":
                return RunCancelled(Action(reply[1].decode()))
        return NotOwned()

    async def end(self, arguments: CallEnd, result: bytes) -> bool:
        """False if the attempt no longer owns its run. Then nothing was stored."""
        shard = self._shards.of_run(arguments["run_id"])
        reply = await self._pipeline.run(_END, [], [*arguments_for(shard, arguments), result])
        return bool(reply[0] == b"ok")
