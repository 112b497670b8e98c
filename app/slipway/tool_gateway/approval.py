"""Approval of calls: which policy a call needs, the question that people get, and what they decided.

A question has the format of LangChain's per-call approvals: an interrupt with one call of a tool, answered with one
decision. It also has the members of LangChain's batched approvals, for clients that know only those, such as Agent Chat
UI. Its member `slipway` says what the approval is about (`call`, `hash`), and has the policy of the review.

The id of the interrupt is the key of the call, and not LangGraph's, which numbers the questions of a task. So LangGraph
gives the answer to nobody: the script that decides the review stores the decision under the key and the hash of the
call, and `tool_call_begin.lua` finds it there, in whatever order the calls of a task begin.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from langgraph.types import Interrupt

from slipway.errors import ToolRefused
from slipway.graphs.review_policy import ReviewPolicy
from slipway.graphs.tools_section import ApprovalPolicySection
from slipway.tool_gateway.definition import Args
from slipway.tool_gateway.registry import RegisteredTool
from slipway.value_problems import did_you_mean

REDACTED: Final = "[redacted]"

_NO_POLICY: Final = ApprovalPolicySection()


@dataclass(frozen=True, slots=True)
class Needed:
    """That a call needs approval by this policy. `name` is empty for a rule without a policy."""

    name: str
    policy: ReviewPolicy


async def needed_approval(
    tool: RegisteredTool, args: Args, policies: Mapping[str, ApprovalPolicySection]
) -> Needed | None:
    """The approval that the tool's rule demands for these arguments; None for none. Raises `ToolRefused` if the rule
    fails: a call about which nobody knows whether it needs approval is not made."""
    rule = tool.definition.approval
    if rule.kind == "never":
        return None
    if rule.kind == "always":
        return by_name(tool, rule.policy_name, policies)
    assert rule.predicate is not None
    try:
        found = rule.predicate(copy.deepcopy(dict(args)))
        if inspect.isawaitable(found):
            found = await found
    except Exception as error:
        problem = f"its approval rule {rule.text} raised {type(error).__name__}"
        raise ToolRefused(f"tool {tool.name!r}: {problem}, so it was not called", tool.name) from error
    if found is None or found is False:
        return None
    if found is True:
        return by_name(tool, rule.policy_name, policies)
    return by_name(tool, found, policies)


def by_name(tool: RegisteredTool, name: Any, policies: Mapping[str, ApprovalPolicySection]) -> Needed:
    """Raises `ToolRefused` for an unknown policy."""
    if name == "":
        return Needed("", _NO_POLICY.policy())
    section = policies.get(name) if isinstance(name, str) else None
    if section is None:
        hint = did_you_mean(name, policies) if isinstance(name, str) else ""
        rule = tool.definition.approval.text
        problem = f"there is no approval policy {name!r}, which its rule {rule} asks for{hint}"
        raise ToolRefused(f"tool {tool.name!r}: {problem}", tool.name)
    return Needed(name, section.policy(name))


def question(
    tool: RegisteredTool, args: Args, *, key: str, digest: str, tool_call_id: str | None, policy: ReviewPolicy
) -> Interrupt[Any]:
    shown = redacted(args, tool.definition.redact)
    value = {
        "type": "tool_approval",
        "tool_call_id": tool_call_id or key,
        "name": tool.name,
        "args": shown,
        "description": tool.target.description,
        "action_requests": [{"name": tool.name, "args": shown, "description": tool.target.description}],
        "review_configs": [{"action_name": tool.name, "allowed_decisions": ["approve", "edit", "reject"]}],
        "slipway": {"call": key, "hash": digest, "access": tool.definition.access} | policy.stored(),
    }
    return Interrupt(value, key, response_schema=_answer_schema(tool))


def _answer_schema(tool: RegisteredTool) -> dict[str, Any]:
    schema, definitions = dict(tool.target.json_schema), {}
    if tool.definition.redact:  # the person who edits does not have all arguments
        schema = {"type": "object"}
    else:
        definitions = schema.pop("$defs", {})
    edited = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "args": {"type": "object"}},
        "required": ["name", "args"],
        "additionalProperties": False,
        "if": {"properties": {"name": {"const": tool.name}}},
        "then": {"properties": {"args": schema}},
    }
    alternatives = [
        _decision("approve", {}, []),
        _decision("edit", {"edited_action": edited}, ["edited_action"]),
        _decision("reject", {"message": {"type": "string"}}, []),
    ]
    return {"oneOf": alternatives} | ({"$defs": definitions} if definitions else {})


def _decision(kind: str, members: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **members},
        "required": ["type", *required],
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Edited:
    """Another call is to be made instead."""

    name: str
    args: Args


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call must not be made."""

    reason: str


def decision_from(stored: bytes) -> Edited | Rejected:
    """The decision about a call that people did not approve: `runs.review_arguments.StoredApproval.decision`."""
    decision = orjson.loads(stored)
    if decision["kind"] == "edit":
        return Edited(decision["name"], decision["args"])
    return Rejected(decision["message"])


def rejection(tool: str, reason: str) -> str:
    """What the graph and the model read."""
    if reason:
        return f"The call of {tool} was rejected by a reviewer, and was not made. The reason: {reason}"
    return f"The call of {tool} was rejected by a reviewer, and was not made. Do not repeat it unless you are asked to."


def redacted(args: Args, paths: Sequence[str]) -> dict[str, Any]:
    """A copy of the arguments without those at these paths."""
    shown = copy.deepcopy(dict(args))
    for path in paths:
        _replace(shown, path.split("."), None)
    return shown


def restored(edited: Args, original: Args, paths: Sequence[str]) -> dict[str, Any]:
    """Edited arguments with the original values where a redacted one was left as it was shown."""
    values = copy.deepcopy(dict(edited))
    for path in paths:
        _replace(values, path.split("."), original)
    return values


def _replace(value: Any, path: Sequence[str], original: Any) -> None:
    """Replaces the member at `path`: by a placeholder, or with `original`, the placeholder by the original member. A
    path goes through all elements of a list."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            other = original[index] if isinstance(original, list) and index < len(original) else None
            _replace(element, path, other)
        return
    if not isinstance(value, dict) or path[0] not in value:
        return
    name, *rest = path
    other = original.get(name) if isinstance(original, dict) else None
    if rest:
        _replace(value[name], rest, other)
    elif original is None:
        value[name] = REDACTED
    elif value[name] == REDACTED:
        value[name] = other
