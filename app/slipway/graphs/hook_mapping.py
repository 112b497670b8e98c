"""The mapping of an incoming webhook: what becomes of a delivery, as compiled expressions.

A **template** is a JSON value whose texts are JMESPath expressions: `{"title": "body.issue.title", "labels":
"body.issue.labels[].name", "source": "'github'"}`. The name of a member that ends with `?` is left out if its
expression selects nothing; for any other member that is an error. Numbers, booleans and null stand for themselves.

Expressions see one object:

    body       the body of the delivery: its JSON, or the fields of its form
    headers    request headers in lower case: those that the scheme names, and those that the mapping names
    event      the event type, null if the delivery has none
    id         the delivery id
    digest     the SHA-256 of what is signed, in hexadecimal
    hook       the name of the hook
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.json_expressions import Budget, EvaluationError, Expression, ExpressionError, compiled

BODY_NAMES: Final = frozenset({"body", "headers", "digest", "hook"})
"""What an expression for the event type sees."""
EVENT_NAMES: Final = BODY_NAMES | {"event"}
"""What an expression for the delivery id sees."""
ALL_NAMES: Final = EVENT_NAMES | {"id"}

MOST_EXPRESSIONS: Final = 200
"""Of one template."""
DEEPEST: Final = 20
_OPTIONAL: Final = "?"

Path = tuple[str | int, ...]
Names = frozenset[str]


def path_text(path: Path) -> str:
    """Such as `input.labels[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class MappingError(Exception):
    """A part of a mapping, at `path`, cannot be compiled, or has no result for this delivery."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path, self.problem = path, problem


@dataclass(frozen=True, slots=True)
class Leaf:
    """One expression, and where it is in the template. `optional`: it may select nothing."""

    expression: Expression
    path: Path
    optional: bool = False

    def evaluate(self, seen: Mapping[str, Any], budget: Budget) -> Any:
        """None only if the leaf is optional. Raises `MappingError`."""
        try:
            result = self.expression.evaluate(seen, budget)
        except EvaluationError as error:
            raise MappingError(self.path, f"the expression {self.expression.text!r} {error}") from None
        if result is None and not self.optional:
            raise MappingError(self.path, f"the expression {self.expression.text!r} names nothing in this delivery")
        return result


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a boolean or null."""

    value: Any


Node = Leaf | Constant | Mapping[str, "Node"] | Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    root: Node

    def evaluate(self, seen: Mapping[str, Any], budget: Budget) -> Any:
        """The JSON value. Raises `MappingError`, which names the member that has no result."""
        return _evaluated(self.root, seen, budget)

    @property
    def expressions(self) -> Iterator[Expression]:
        return (leaf.expression for leaf in _leaves(self.root))


def compiled_leaf(text: str, path: Path, names: Names = ALL_NAMES, *, optional: bool = False) -> Leaf:
    """Raises `MappingError`."""
    try:
        return Leaf(compiled(text, names), path, optional)
    except ExpressionError as error:
        raise MappingError(path, f"the expression {text!r} {error}" if text.strip() else str(error)) from None


def compiled_template(value: Any, path: Path, names: Names = ALL_NAMES) -> Template:
    """Raises `MappingError` for a text that is no expression, and for a template that names nothing."""
    root = _compiled(value, path, names, 0)
    count = sum(1 for _ in _leaves(root))
    if count == 0:
        raise MappingError(path, "names nothing: expected an expression, or an object of expressions")
    if count > MOST_EXPRESSIONS:
        raise MappingError(path, f"has {count} expressions; at most {MOST_EXPRESSIONS} are possible")
    return Template(root)


def _compiled(value: Any, path: Path, names: Names, depth: int, *, optional: bool = False) -> Node:
    if depth > DEEPEST:
        raise MappingError(path, f"is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        return compiled_leaf(value, path, names, optional=optional)
    if isinstance(value, list):
        return [_compiled(each, (*path, index), names, depth + 1) for index, each in enumerate(value)]
    if not isinstance(value, dict):
        return Constant(value)
    stems = [name.removesuffix(_OPTIONAL) for name in value]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise MappingError((*path, twice), f"given twice: as {twice!r} and as '{twice}?'")
    return {
        name: _compiled(each, (*path, name), names, depth + 1, optional=name.endswith(_OPTIONAL))
        for name, each in value.items()
    }


def _evaluated(node: Node, seen: Mapping[str, Any], budget: Budget) -> Any:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Leaf):
        return node.evaluate(seen, budget)
    if isinstance(node, Mapping):
        results = {name: _evaluated(each, seen, budget) for name, each in node.items()}
        return {
            name.removesuffix(_OPTIONAL): result
            for name, result in results.items()
            if result is not None or not name.endswith(_OPTIONAL)
        }
    return [_evaluated(each, seen, budget) for each in node]


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from _leaves(each)
    elif not isinstance(node, Constant):
        for each in node:
            yield from _leaves(each)
