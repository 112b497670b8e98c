"""Evaluates arithmetic safely: the expression is parsed and never executed as code, and its numbers are bounded."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Final

_LONGEST: Final = 200
_DEEPEST: Final = 40
_MOST_DIGITS: Final = 60
_MOST_EXPONENT: Final = 200
_BINARY: Final[dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_WORDS: Final = (
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:times|multiplied by)\b", "*"),
    (r"\bdivided by\b", "/"),
    (r"\bto the power of\b", "**"),
    (r"\bsquared\b", "**2"),
    (r"\bcubed\b", "**3"),
    (r"[×·]", "*"),
    (r"[÷:]", "/"),
    (r"−", "-"),
    (r"\^", "**"),
    (r"(\d+(?:\.\d+)?) ?(?:%|percent) of ", r"\1/100*"),
    (r"(?<=\d),(?=\d{3}\b)", ""),
    (r"(?<![\d.])0+(?=\d)", ""),
    (r"(\d) ?(?:%|percent)(?! ?\d)", r"\1/100"),
)
_FILLER: Final = re.compile(
    r"^(?:please )?(?:what(?:'s|’s| is| are)?|how much is|calculate|compute|work out|evaluate|solve)\s+|[\s=?.!]+$",
    re.IGNORECASE,
)
_SUM: Final = re.compile(r"[\d\s.+\-*/%()]+")
_DATE: Final = re.compile(r"\d{4}-\d\d?-\d\d?")


class Uncomputable(ValueError):
    """The expression exceeds a bound; the message says which."""


def find_expression(question: str) -> str | None:
    """The arithmetic expression that the question consists of, or None when it is something else."""
    text = question.strip()[: _LONGEST * 2]
    while (shorter := _FILLER.sub("", text)) != text:
        text = shorter
    if _DATE.fullmatch(text):
        return None
    for pattern, instead in _WORDS:
        text = re.sub(pattern, instead, text, flags=re.IGNORECASE)
    text = text.strip()
    is_sum = bool(_SUM.fullmatch(text)) and bool(re.search(r"\d", text)) and bool(re.search(r"[\d)]\s*[-+*/%]", text))
    return text if is_sum else None


def evaluate(expression: str) -> Decimal:
    """The value of a sum of numbers, + - * / // % ** and brackets. Raises `Uncomputable`."""
    if len(expression) > _LONGEST:
        raise Uncomputable(f"the sum is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Uncomputable("the sum is not complete") from None
    with localcontext() as context:
        context.prec = _MOST_DIGITS
        try:
            return _value(tree.body, 0)
        except (DivisionByZero, ZeroDivisionError):
            raise Uncomputable("nothing can be divided by zero") from None
        except (InvalidOperation, Overflow):
            raise Uncomputable("the result is not a number that can be written down") from None


def _value(node: ast.expr, depth: int) -> Decimal:
    if depth > _DEEPEST:
        raise Uncomputable("the sum has too many brackets")
    match node:
        case ast.Constant(value=bool()):
            raise Uncomputable("only numbers are supported")
        case ast.Constant(value=int() | float() as number):
            if isinstance(number, int) and number.bit_length() > 4 * _MOST_DIGITS:
                raise Uncomputable(f"a number has more than {_MOST_DIGITS} digits")
            return _sized(Decimal(str(number)))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = _value(operand, depth + 1)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, depth + 1), _value(right, depth + 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _sized(_BINARY[type(op)](_value(left, depth + 1), _value(right, depth + 1)))
    raise Uncomputable("only numbers, + - * / // % ** and brackets are supported")


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if abs(exponent) > _MOST_EXPONENT:
        raise Uncomputable(f"exponents go up to {_MOST_EXPONENT}")
    return _sized(base**exponent)


def _sized(value: Decimal) -> Decimal:
    if not value.is_finite() or (value and abs(value.adjusted()) > _MOST_DIGITS):
        raise Uncomputable(f"the result has more than {_MOST_DIGITS} digits")
    return value


def readable(value: Decimal, places: int = 10) -> str:
    """The number as people write it: no trailing zeros, commas between thousands, at most `places` behind the point."""
    with localcontext() as context:
        context.prec = 2 * _MOST_DIGITS
        rounded = round(value, places) if value == 0 or abs(value.adjusted()) < places else value
        return f"{rounded.normalize() if rounded else Decimal(0):,f}"
