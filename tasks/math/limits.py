r"""Limits for a model's answer, which may be ``9^{9^{9}}`` or 3,000 brackets.

An answer over a limit is not equal, and the label of its verdict names the limit. The limits lie where the original
packages, which stop after five seconds, seldom reach a verdict either. A text that is too long or too deep is not
parsed, and sympy stops where it begins to compute a number that is too large. The value of an answer does not matter:
equal forms are equal, and differences cancel, before anything is computed. The grading pool's limit on CPU time stops
what is slow within these limits.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from math import comb, prod
from typing import Any

OUTPUT_CHARACTERS = 200_000
"""Of a whole output without its thinking part: about 50,000 tokens."""
ANSWER_CHARACTERS = 10_000
"""Of the part of it that is parsed; this also bounds the digits of a written number."""
DEPTH = 100
"""Of brackets and pairs of bars: a parser's own recursion ends soon after."""
RUN = 39
"""Of consecutive signs, powers or factorials."""
VALUE_DIGITS = 1_000_000
"""Of a power, factorial or binomial coefficient that is computed exactly."""
TERMS = 10_000
"""Of a sum or product over a range that is computed term by term, and of what is multiplied out."""
FLOAT_BITS = 10_000
"""Of an exponent, and of what a factorial is taken of, in floating point."""
SUMMARY = (
    f"limits {OUTPUT_CHARACTERS}/{ANSWER_CHARACTERS} characters, depth {DEPTH}/{RUN}, "
    f"{VALUE_DIGITS} digits, {TERMS} terms"
)
"""For the fingerprint."""

LONG_RUN = re.compile(rf"([-+!^'√])(?:\s*\1){{{RUN},}}")
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
VALUE_BITS = VALUE_DIGITS * 332_193 // 100_000


class OverLimit(BaseException):
    """Carries the label of the limit.

    It is not an ``Exception``, because the packages catch those and make another attempt.
    """


def text_problem(text: str) -> str | None:
    r"""Return the limit that a text exceeds, as a label; ``None`` if it may be parsed.

    >>> text_problem("9" * 20_000)
    'too_long'
    >>> text_problem(r"\sqrt{" * 400 + "2" + "}" * 400)
    'too_deep'
    """
    if len(text) > ANSWER_CHARACTERS:
        return "too_long"
    return "too_deep" if LONG_RUN.search(text) or _depth(text) > DEPTH else None


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif character in CLOSING:
            depth -= 1
    return max(deepest, text.count("|") // 2)


@contextmanager
def bounded() -> Iterator[None]:
    """Let sympy raise :class:`OverLimit` before it computes anything that exceeds a limit.

    A large multiplication cannot be interrupted in the middle by an alarm.
    """
    guards = _guards()
    try:
        for owner, name, _, guarded in guards:
            setattr(owner, name, guarded)
        yield
    finally:
        for owner, name, original, _ in guards:
            setattr(owner, name, original)


@cache
def _guards() -> list[tuple[Any, str, Any, Any]]:
    """Functions of sympy that may compute without end: owner, name, the original, and one that checks first."""
    import sympy
    from sympy.concrete import summations
    from sympy.core import evalf, numbers
    from sympy.ntheory import multinomial

    checked: list[tuple[Any, str, Callable[..., None]]] = [
        (sympy.Integer, "_eval_power", _check_power),
        (sympy.Rational, "_eval_power", _check_power),
        (sympy.factorial, "eval", lambda _, number: _check_product(number, number)),
        (sympy.RisingFactorial, "eval", lambda _, first, count: _check_product(first + count, count)),
        (sympy.FallingFactorial, "eval", lambda _, first, count: _check_product(first, count)),
        (sympy.binomial, "_eval", _check_binomial),
        (sympy.harmonic, "eval", lambda _, count, *order: _check_terms(0, count)),
        (summations, "eval_sum_direct", lambda _, limits: _check_terms(*limits[1:])),
        (sympy.Product, "_eval_product_direct", lambda _, __, limits: _check_terms(*limits[1:])),
        (sympy.Mul, "_expandsums", lambda sums: _check_terms(1, prod(len(each.args) for each in sums))),
        (multinomial, "multinomial_coefficients", lambda sums, times: _check_terms(1, comb(times + sums - 1, times))),
        *((module, "mpf_pow", _check_float_power) for module in (evalf, numbers)),
        *((module, "mpf_pow_int", _check_float_power) for module in (evalf, evalf.libmp)),
        (evalf, "mpf_exp", _check_float),
        (evalf.libmp.gammazeta, "mpf_gamma", _check_float),
    ]
    return [(owner, name, vars(owner)[name], _with_check(vars(owner)[name], check)) for owner, name, check in checked]


def _with_check(original: Any, check: Callable[..., None]) -> Any:
    if isinstance(original, classmethod | staticmethod):
        return type(original)(_with_check(original.__func__, check))

    @wraps(original)
    def guarded(*arguments: Any) -> Any:
        check(*arguments)
        return original(*arguments)

    return guarded


def _check_power(base: Any, exponent: Any) -> None:
    if exponent.is_Rational:
        bits = max(abs(base.p), base.q).bit_length() - 1
        _check_size(bits * abs(exponent.p) // exponent.q)


def _check_product(largest: Any, count: Any) -> None:
    """Of so many factors."""
    if _is_integer(count):
        bits = int(largest).bit_length() if _is_integer(largest) else 1
        _check_size(int(count) * bits)


def _check_binomial(_: Any, many: Any, few: Any) -> None:
    if _is_integer(few):
        few = min(few, many - few) if _is_integer(many) and 0 <= few <= many else few
        _check_product(many, few)


def _check_size(bits: int) -> None:
    if bits > VALUE_BITS:
        raise OverLimit("too_large")


def _check_terms(first: Any, last: Any) -> None:
    if _is_integer(last - first) and last - first > TERMS:
        raise OverLimit("too_large")


def _check_float_power(_: Any, exponent: Any, precision: int, *__: Any) -> None:
    _check_float(exponent, precision)


def _check_float(number: Any, precision: int, *_: Any) -> None:
    if isinstance(number, tuple):  # mpmath's form: sign, mantissa, power of two, bits of the mantissa
        size = number[2] + number[3]
    else:
        size = number.bit_length()
    if size > FLOAT_BITS or precision > VALUE_BITS:
        raise OverLimit("too_large")


def _is_integer(number: Any) -> bool:
    return isinstance(number, int) or bool(number.is_Integer)
