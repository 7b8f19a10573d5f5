"""Proof by arithmetic that two expressions differ: their values at one point are plainly apart.

sympy's ``simplify`` on a difference that is not zero takes ten times as long.
"""

from typing import Any

from . import limits

DIGITS = 15
DEPTH = 12
"""Of an expression: sympy's evaluation doubles its work with each level."""
APART = 1e-6
"""Relative difference of two values that no rounding explains."""
POINT = (0.7390851332, 1.3247179572, 0.5671432904, 1.9021605831, 2.7320508075, 0.9159655942)
"""Values for symbols: positive, and unlikely to be a root of what a model writes."""


def certainly_differ(first: Any, second: Any) -> bool:
    """Whether two sympy expressions have values that are plainly apart. ``False`` says nothing.

    Only sums, products, powers and elementary functions of exact numbers and symbols are looked at. All else (sets,
    relations, decimals that are to be rounded, percentages, lone symbols that may stand for words) has its own rules.
    Nor is anything said of a number that is too large to be computed.
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
    except (Exception, limits.OverLimit):  # noqa: BLE001 - among them that no precision is enough
        return False


def _apart(first: Any, second: Any) -> bool:
    """Of two numbers in sympy's form, whose exponents have no end."""
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
