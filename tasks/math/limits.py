r"""What is refused before a computer algebra system sees it: a model's answer may be ``9^{9^{9}}`` or 3,000 brackets.

A refused answer is not equal, and the label of its verdict says which limit it was over. The limits are far beyond
MATH's references (at most 81 characters, brackets three deep) and beyond everything that is parsed of the shared real
outputs (208 characters, six deep), so they change no verdict there. What is slow within them meets the grading pool's
limit on CPU time.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

OUTPUT_CHARACTERS = 200_000
"""Of a whole output without its thinking part: about 50,000 tokens."""
ANSWER_CHARACTERS = 1000
"""Of the part of it that is parsed; bounds the digits of a number as written, too."""
DEPTH = 15
"""Of brackets, pairs of bars, and signs, powers or factorials in a row."""
VALUE_DIGITS = 5000
"""Of the value of a power, factorial or binomial coefficient."""
TERMS = 10_000
"""Of a sum or product over a range, and of a power of a sum that is multiplied out."""
NODES = 5000
"""Of a parsed expression."""
SUMMARY = (
    f"limits {OUTPUT_CHARACTERS}/{ANSWER_CHARACTERS} characters, depth {DEPTH}, "
    f"{VALUE_DIGITS} digits, {TERMS} terms, {NODES} nodes"
)
"""For the fingerprint."""

BINOMIAL = re.compile(r"binom\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
LONG_RUN = re.compile(rf"([-+!^'√])(?:\s*\1){{{DEPTH},}}")
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")


def text_problem(text: str) -> str | None:
    r"""The limit that a text is over, as a label; ``None`` if it may be parsed.

    >>> text_problem("9" * 2000)
    'too_long'
    >>> text_problem(r"\sqrt{" * 40 + "2" + "}" * 40)
    'too_deep'
    """
    if len(text) > ANSWER_CHARACTERS:
        return "too_long"
    if LONG_RUN.search(text) or _depth(text) > DEPTH:
        return "too_deep"
    return "too_large" if any(_is_large(int(many), int(few)) for many, few in BINOMIAL.findall(text)) else None


def _is_large(many: int, few: int) -> bool:
    """Whether a binomial coefficient is; the parser computes it at once."""
    few = min(few, max(many - few, 0))
    return few * math.log10(max(many, 2)) > VALUE_DIGITS and many * math.log10(2) > VALUE_DIGITS


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif character in CLOSING:
            depth -= 1
    return max(deepest, text.count("|") // 2)


class _OverLimit(Exception):
    """Carries the label of the limit."""


@dataclass(frozen=True)
class _Size:
    """Bounds on an expression, as if nothing in it cancelled."""

    digits: float
    """Base-10 logarithm of the largest numerator or denominator in it; a symbol counts as 1."""
    terms: float = 1.0
    """How many there are when it is multiplied out."""
    symbolic: bool = False
    """It has symbols, so it is no number."""

    @property
    def value(self) -> float:
        """Bound on a number's absolute value."""
        return 10.0**self.digits if self.digits < MOST_EXPONENT else math.inf


MOST_EXPONENT = 300
"""Of a floating-point number."""
NOTHING = _Size(0.0)


def value_problem(expression: Any) -> str | None:
    """The limit that a parsed but not yet evaluated sympy expression would be over, or ``None``.

    Bounds come from the parts upwards, so nothing large is computed.
    """
    try:
        _bounds(expression, count(1))
    except _OverLimit as limit:
        return str(limit)
    except RecursionError:
        return "too_deep"
    return None


def _bounds(node: Any, nodes: Iterator[int]) -> _Size:
    if next(nodes) > NODES:
        raise _OverLimit("too_long")
    size = _combined(node, [_bounds(part, nodes) for part in _parts(node)])
    if size.digits > VALUE_DIGITS or size.terms > TERMS:
        raise _OverLimit("too_large")
    return size


def _parts(node: Any) -> Sequence[Any]:
    if isinstance(node, list | tuple):
        return node
    if getattr(node, "is_Matrix", False) and hasattr(node, "flat"):
        return list(node.flat())
    return getattr(node, "args", ())


def _combined(node: Any, parts: Sequence[_Size]) -> _Size:
    """Bounds on a node from those on its parts; for what is not named here, they are its parts' largest."""
    import sympy

    if isinstance(node, sympy.Rational):
        return _Size(max(_digits(node.p), _digits(node.q)))
    if isinstance(node, sympy.Float):
        return _Size(abs(math.log10(abs(node))) if 0 < abs(float(node)) < math.inf else 0.0)
    if isinstance(node, sympy.Symbol | sympy.MatrixSymbol):
        return _Size(0.0, symbolic=True)
    if not parts:
        return NOTHING
    largest = _Size(
        max(part.digits for part in parts), max(part.terms for part in parts), any(part.symbolic for part in parts)
    )
    if isinstance(node, sympy.Add):
        terms = 1.0 if _is_rational(node) else sum(part.terms for part in parts)
        return replace(largest, digits=largest.digits + math.log10(len(parts)), terms=terms)
    if isinstance(node, sympy.Mul):
        return replace(
            largest, digits=sum(part.digits for part in parts), terms=math.prod(part.terms for part in parts)
        )
    if isinstance(node, sympy.Pow):
        return _power(node, *parts)
    if isinstance(node, sympy.exp):
        return replace(largest, digits=math.log10(math.e) * parts[0].value if not largest.symbolic else largest.digits)
    if isinstance(node, sympy.factorial | sympy.factorial2 | sympy.gamma | sympy.sinh | sympy.cosh):
        arguments = parts[0].value
        return largest if largest.symbolic else _Size(arguments * math.log10(max(arguments, 10.0)))
    if isinstance(node, sympy.binomial):
        many, few = (part.value for part in parts)
        return largest if largest.symbolic else _Size(min(few * parts[0].digits, many * math.log10(2)))
    if isinstance(node, sympy.Sum | sympy.Product):
        ends = [_bounds(end, count(1)) for _, *ends in node.limits for end in ends if end.is_finite is not False]
        return replace(largest, terms=parts[0].terms * max((end.value for end in ends if not end.symbolic), default=1))
    return largest


def _power(node: Any, base: _Size, exponent: _Size) -> _Size:
    import sympy

    symbolic = base.symbolic or exponent.symbolic
    if exponent.symbolic:
        return _Size(max(base.digits, exponent.digits), max(base.terms, exponent.terms), symbolic)
    times = abs(float(node.exp)) if isinstance(node.exp, sympy.Rational) else exponent.value
    digits = base.digits * times if base.digits else 0.0
    if times > TERMS and (symbolic or not isinstance(node.base, sympy.Expr)):
        return _Size(digits, times, symbolic)
    if base.terms == 1 or times == math.inf:
        return _Size(digits, 1.0, symbolic)
    # Terms of the multinomial expansion: (times + terms - 1) over (terms - 1).
    logarithm = math.lgamma(times + base.terms) - math.lgamma(base.terms) - math.lgamma(times + 1)
    return _Size(digits, math.exp(min(logarithm, math.log(2 * TERMS))), symbolic)


def _is_rational(node: Any) -> bool:
    """Whether a sum can only be one fraction: without symbols, roots and functions."""
    import sympy

    return all(
        isinstance(part, sympy.Rational | sympy.Add | sympy.Mul)
        or (isinstance(part, sympy.Pow) and isinstance(part.exp, sympy.Integer))
        for part in sympy.preorder_traversal(node)
    )


def _digits(number: int) -> float:
    """Logarithm of an integer that may be beyond floating point."""
    return abs(number).bit_length() * math.log10(2) if abs(number) > 1 else 0.0
