"""Proves that two expressions differ: evaluates both at one point and finds the values plainly apart.

sympy's ``simplify`` takes ten times as long on a nonzero difference.
"""

from typing import Any

from . import limits

DIGITS = 15
DEPTH = 12
"""Greatest depth of an expression: each level doubles the work of sympy's evaluation."""
APART = 1e-6
"""Relative difference between two values that rounding cannot explain."""
POINT = (0.7390851332, 1.3247179572, 0.5671432904, 1.9021605831, 2.7320508075, 0.9159655942)
"""Values for the symbols: positive, and unlikely to be a root of an expression that a model writes."""


def certainly_differ(first: Any, second: Any) -> bool:
    """Return ``True`` if two sympy expressions have values that are plainly apart. ``False`` proves nothing.

    Covers only sums, products, powers and elementary functions of exact numbers and symbols. Everything else follows
    rules of its own: sets, relations, decimals to be rounded, percentages, and lone symbols that may stand for words.
    Numbers too large to compute are left undecided.
    """
    import sympy

    if isinstance(first, sympy.Symbol) or isinstance(second, sympy.Symbol):
        return False
    if not (_is_plain(first) and _is_plain(second)):
        return False
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if len(symbols) > len(POINT):
        return False
    point = dict(zip(symbols, POINT, strict=False))
    try:
        values = [expression.evalf(DIGITS, subs=point, strict=True) for expression in (first, second)]
        if not all(value.is_number and value.is_finite for value in values):
            return False
        if not symbols and any(abs(value) > sympy.Float(10) ** limits.VALUE_DIGITS for value in values):
            return False
        return _apart(*values)
    except (Exception, limits.OverLimit):  # noqa: BLE001 - for example, if no precision is enough
        return False


def _apart(first: Any, second: Any) -> bool:
    """Whether two sympy numbers, whose exponents are unbounded, are plainly apart."""
    parts = [first.as_real_imag(), second.as_real_imag()]
    largest = max(1, *(abs(part) for pair in parts for part in pair))
    return bool(max(abs(one - other) for one, other in zip(*parts, strict=True)) > APART * largest)


def _is_plain(expression: Any) -> bool:
    import sympy

    plain = (sympy.Rational, sympy.NumberSymbol, sympy.Symbol, sympy.Add, sympy.Mul, sympy.Pow)
    elementary = (sympy.sin, sympy.cos, sympy.tan, sympy.exp, sympy.log)
    level = [expression]
    for _ in range(DEPTH):
        if not all(isinstance(node, plain + elementary) for node in level):
            return False
        level = [part for node in level for part in node.args]
    return not level
