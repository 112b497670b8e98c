"""JMESPath expressions (jmespath.org) that are safe to evaluate on hostile JSON: what one costs has limits.

The library `jmespath` parses and evaluates them. It has no limits of its own: `[@, @][] | [@, @][] | …` doubles a list
at every step, `join` multiplies two sizes, and a comparison walks through everything that it compares. So an expression
is limited in its length and nesting when it is compiled, and by a `Budget` of steps, CPU time and size while it is
evaluated. Several expressions can share a budget.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jmespath.exceptions import JMESPathError, JMESPathTypeError, ParseError
from jmespath.functions import Functions
from jmespath.parser import Parser
from jmespath.visitor import TreeInterpreter

MAX_CHARACTERS: Final = 1_000
MAX_DEPTH: Final = 40
"""Levels of the syntax tree."""
MAX_STEPS: Final = 100_000
"""Nodes of expressions that are evaluated, and values that are walked through."""
MAX_CPU_S: Final = 0.25
MAX_SIZE: Final = 1 << 22
"""The size of a value that an expression builds: its characters, and 8 for each value inside it."""

_VALUE_SIZE: Final = 8
_STEPS_BETWEEN_LOOKS: Final = 128
_CHARACTERS_A_STEP: Final = 256
_MAX_INTEGER: Final = 1 << 63

_Node = Mapping[str, Any]
"""A node of the syntax tree, as the library has it: `type`, `children` and maybe `value`."""

_FUNCTIONS: Final[Mapping[str, Any]] = Functions.FUNCTION_TABLE
_WALKING: Final = frozenset({"to_string", "contains", "join", "sort", "max", "min", "sum", "avg", "to_number"})
"""Functions that look into their arguments, in native code that nothing can interrupt."""
_PATHS: Final = frozenset({"field", "subexpression", "index_expression", "index", "identity", "current", "literal"})
"""Nodes that only select: what they result in is a part of the payload or of the expression."""
_FROM_LEFT: Final = frozenset(
    {
        *("subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection"),
        "flatten",
    }
)
"""Nodes of which only the first child is evaluated on the value of the whole node."""


class ExpressionError(ValueError):
    """The text is no expression that can be used. `column` is where the problem is, from 1."""

    def __init__(self, problem: str, column: int) -> None:
        super().__init__(f"{problem} (column {column})")
        self.column = column


class EvaluationError(Exception):
    """The expression has no result for this value, or would cost too much. `column` is that of the function that
    failed, else 1."""

    def __init__(self, problem: str, column: int = 1) -> None:
        super().__init__(f"{problem} (column {column})")
        self.column = column


@dataclass(slots=True)
class Budget:
    """What is left for evaluations. CPU time is that of the thread, so that other programs of the machine do not
    matter."""

    steps: int = MAX_STEPS
    cpu_s: float = MAX_CPU_S
    _started: float = field(default_factory=time.thread_time)

    def spend(self, steps: int = 1) -> None:
        """Raises `EvaluationError` if nothing is left."""
        before = self.steps // _STEPS_BETWEEN_LOOKS
        self.steps -= steps
        if self.steps < 0:
            raise EvaluationError(f"takes more than {MAX_STEPS} steps")
        if self.steps // _STEPS_BETWEEN_LOOKS != before and time.thread_time() - self._started > self.cpu_s:
            raise EvaluationError(f"takes more than {self.cpu_s * 1000:.0f} ms")

    def check_size(self, value: Any) -> int:
        """The size of `value`. Raises `EvaluationError` if it is more than `MAX_SIZE`, or if a number in it is no
        number of JSON. A value that occurs several times counts each time."""
        size, waiting = 0, [value]
        while waiting:
            each = waiting.pop()
            size += _VALUE_SIZE
            kind = type(each)
            if kind is str:
                size += len(each)
                self.spend(1 + len(each) // _CHARACTERS_A_STEP)
            elif kind is dict:
                size += sum(map(len, each))
                self.spend(1 + len(each))
                waiting.extend(each.values())
            elif kind is list:
                self.spend(1 + len(each) // _VALUE_SIZE)
                waiting.extend(each)
            elif kind is float:
                if not math.isfinite(each):
                    raise EvaluationError("results in a number that JSON cannot express")
            elif kind is int and not -_MAX_INTEGER <= each < 2 * _MAX_INTEGER:
                raise EvaluationError("results in a number of more than 64 bits")
            if size + _VALUE_SIZE * len(waiting) > MAX_SIZE:
                raise EvaluationError(f"builds a value that is larger than {MAX_SIZE} characters")
        return size


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    _tree: _Node = field(repr=False, compare=False)

    def evaluate(self, value: Any, budget: Budget) -> Any:
        """The result for a JSON value: JSON too, None if the expression selects nothing. It may share parts with
        `value`. Raises `EvaluationError`, and nothing else."""
        try:
            result = _Interpreter(budget).visit(self._tree, value)
            if not _only_selects(self._tree):
                budget.check_size(result)
        except EvaluationError:
            raise
        except JMESPathTypeError as error:
            raise EvaluationError(_type_problem(error), self._column_of(error.function_name)) from None
        except JMESPathError as error:
            raise EvaluationError(str(error).splitlines()[0]) from None
        except Exception as error:  # functions raise what Python's own raise: ValueError, OverflowError, TypeError, …
            raise EvaluationError(f"cannot be evaluated: {type(error).__name__}") from None
        return result

    @property
    def headers(self) -> frozenset[str]:
        """The members of `headers` that the expression names."""
        return frozenset(_members_of("headers", self._tree))

    def _column_of(self, function: str) -> int:
        return self.text.find(f"{function}(") + 1 or 1


def compiled(text: str, names: frozenset[str]) -> Expression:
    """Compiles an expression that is evaluated on an object with the members `names`. Raises `ExpressionError` if it is
    no JMESPath, too long, nested too deeply, calls a function that does not exist or with the wrong number of
    arguments, or begins with a name that is not in `names`: it would never select anything."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"is longer than {MAX_CHARACTERS} characters", MAX_CHARACTERS + 1)
    if not text.strip():
        raise ExpressionError("names nothing: it is empty", 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PendingDeprecationWarning)  # of a literal that is no JSON, such as `abc`
            tree: _Node = Parser().parse(text).parsed
    except PendingDeprecationWarning:
        raise ExpressionError(
            "has a text between backticks that is not JSON: write 'text'", text.find("`") + 1
        ) from None
    except ParseError as error:
        raise ExpressionError(_parse_problem(error), (error.lex_position or 0) + 1) from None
    except RecursionError:
        raise ExpressionError(f"is nested deeper than {MAX_DEPTH} levels", 1) from None
    except ValueError:  # a literal that is no JSON, or a number with thousands of digits
        raise ExpressionError("is not a JMESPath expression", 1) from None
    if _depth(tree) > MAX_DEPTH:
        raise ExpressionError(f"is nested deeper than {MAX_DEPTH} levels", 1)
    for call in _calls(tree):
        _check_call(text, call)
    for name in _members(tree):
        if name not in names:
            known = ", ".join(sorted(names))
            raise ExpressionError(f"names nothing: {name!r} is not one of {known}", text.find(name) + 1 or 1)
    return Expression(text, tree)


class _Interpreter(TreeInterpreter):
    """Evaluates within a budget."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget, self._functions = budget, _BoundedFunctions(budget)

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._budget.spend()
        return super().visit(node, *args, **kwargs)

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if isinstance(base, list):
            self._budget.spend(sum(1 + len(each) // _VALUE_SIZE if isinstance(each, list) else 1 for each in base))
            return [part for each in base for part in (each if isinstance(each, list) else [each])]
        return None

    def visit_comparator(self, node: Any, value: Any) -> Any:
        both = [self.visit(child, value) for child in node["children"]]
        for each in both:
            self._budget.check_size(each)
        children = [{"type": "literal", "children": [], "value": each} for each in both]
        return super().visit_comparator({**node, "children": children}, value)  # type: ignore[typeddict-item]


class _BoundedFunctions(Functions):
    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Any) -> Any:
        arguments = list(resolved_args)
        for each in arguments:
            if function_name in _WALKING:
                self._budget.check_size(each)
            elif isinstance(each, list | dict | str):
                self._budget.spend(1 + len(each) // _VALUE_SIZE)
        if function_name == "join" and len(arguments) == 2 and isinstance(arguments[1], list):
            glue, parts = arguments
            if isinstance(glue, str) and len(glue) * len(parts) > MAX_SIZE:
                raise EvaluationError(f"builds a value that is larger than {MAX_SIZE} characters")
        return super().call_function(function_name, arguments)


def _check_call(text: str, call: _Node) -> None:
    name, given = str(call["value"]), len(call["children"])
    column = text.find(f"{name}(") + 1 or 1
    if name not in _FUNCTIONS:
        raise ExpressionError(f"calls the function {name}(), which does not exist", column)
    signature = _FUNCTIONS[name]["signature"]
    variadic = bool(signature and signature[-1].get("variadic"))
    if given < len(signature) if variadic else given != len(signature):
        least = "at least " if variadic else ""
        raise ExpressionError(f"{name}() takes {least}{len(signature)} arguments, found {given}", column)


def _parse_problem(error: ParseError) -> str:
    if error.token_value:
        return f"is not a JMESPath expression: {str(error.token_value)[:40]!r} is not possible here"
    return "is not a JMESPath expression: it ends too early"


def _type_problem(error: JMESPathTypeError) -> str:
    expected = " or ".join(str(each) for each in error.expected_types)
    return f"{error.function_name}() cannot take a value of type {error.actual_type}; it takes {expected}"


def _only_selects(tree: _Node) -> bool:
    return all(node["type"] in _PATHS for node in _nodes(tree))


def _nodes(tree: _Node) -> Iterator[_Node]:
    """All nodes, each once."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(each for each in node["children"] if isinstance(each, dict))


def _depth(tree: _Node) -> int:
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [each for node in level for each in node["children"] if isinstance(each, dict)]
    return depth


def _calls(tree: _Node) -> Iterator[_Node]:
    return (node for node in _nodes(tree) if node["type"] == "function_expression")


def _members(node: _Node) -> Iterator[str]:
    """The members that the node selects of the value on which it is evaluated. It recurses as deep as `MAX_DEPTH`."""
    if node["type"] == "field":
        yield str(node["value"])
    elif node["type"] != "expref":  # its value is an element of an argument of the function
        children = [each for each in node["children"] if isinstance(each, dict)]
        for child in children[:1] if node["type"] in _FROM_LEFT else children:
            yield from _members(child)


def _members_of(member: str, tree: _Node) -> Iterator[str]:
    """The members that are selected of `member` by `member.name` or by `member.{a: name}`, anywhere in the tree."""
    selected = {"type": "field", "children": [], "value": member}
    for node in _nodes(tree):
        if node["type"] == "subexpression" and node["children"][0] == selected:
            yield from _members(node["children"][1])
