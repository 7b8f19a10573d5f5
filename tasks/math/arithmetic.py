r"""The value of plain LaTeX arithmetic, without a computer algebra system.

Most wrong answers are a number or a short expression, compared with a reference that is a number. If the two values are
plainly apart, no comparison finds them equal, and parsing them costs a thousand times as much. This module evaluates
only forms that every LaTeX reader interprets in the same way; any other text has no value here.
"""

import math
import re
from typing import NamedTuple

APART = 1e-5
"""Absolute and relative difference between two values that rounding to six decimals cannot explain."""
ROUNDING = 2.0**-52
"""Upper bound on the relative error of one floating-point operation."""
TINY = 1e-300
"""Absolute error that covers underflow."""
EXACT = 2.0**53
"""Floating point represents whole numbers below this exactly."""
LETTERS = {
    letter: 1.7 + 0.3183098861837907 * place
    for place, letter in enumerate("abcdfghjklmnopqrstuvwxyzABCDFGHJKLMNOPQRSTUVWXYZ")
}
"""A value for each letter that can only be a variable; no two values are related."""
TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<command>\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z]))"
    r"|(?P<letter>[a-zA-Z])|(?P<sign>[-+*/^(){}]))"
)
CALL = re.compile(r"\s*[a-zA-Z]\s*(?:\(\s*-?[a-zA-Z0-9]+\s*\)\s*)?")
"""A variable, or a function applied to one argument."""
THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
LONGEST = 200
DEEPEST = 20


class _NoValue(Exception):
    """The text is not plain arithmetic, or has no value in floating point."""


class _Value(NamedTuple):
    """A value and a bound on its error. Cancellation in a sum can make the bound as large as the value."""

    size: float
    error: float = 0.0

    def __neg__(self) -> "_Value":
        return _Value(-self.size, self.error)

    def plus(self, other: "_Value") -> "_Value":
        return _sure(self.size + other.size, self.error + other.error)

    def times(self, other: "_Value") -> "_Value":
        error = abs(self.size) * other.error + abs(other.size) * self.error + self.error * other.error
        return _sure(self.size * other.size, error)

    def over(self, other: "_Value") -> "_Value":
        least = abs(other.size) - other.error
        if least <= 0:
            raise _NoValue
        size = self.size / other.size
        return _sure(size, (self.error + abs(size) * other.error) / least)

    def to_the(self, other: "_Value") -> "_Value":
        if self.size < 0 and (other.error or other.size != int(other.size)):
            raise _NoValue
        if self.size == self.error == 0:
            return _sure(0.0**other.size, 0.0)
        least = abs(self.size) - self.error
        if least <= 0:
            raise _NoValue
        # Error of the logarithm. While it is small, it nearly equals the relative error.
        error = abs(other.size) * self.error / least + abs(math.log(abs(self.size))) * other.error
        if error > 0.1:
            raise _NoValue
        size = self.size**other.size
        return _sure(size, 2 * abs(size) * (error + ROUNDING))


def _sure(size: float, error: float) -> _Value:
    """Return the result of an operation: add its rounding error to the error of its operands."""
    error += abs(size) * ROUNDING + TINY
    if not math.isfinite(size + error):
        raise _NoValue
    return _Value(size, error)


def plainly_apart(answer: str, reference: str, *, percent: bool = False) -> bool:
    r"""Return ``True`` if the answer's value certainly differs from a numeric reference. ``False`` proves nothing.

    In an equation only the rightmost side counts, because only that side can equal a number. A percent sign may mean a
    hundredth or nothing, whether it is in a text or next to one (``percent``); a degree sign means nothing.

    >>> plainly_apart(r"x = \frac{3}{4} + 1", "2"), plainly_apart(r"\sqrt{4}", "2")
    (True, False)
    """
    number = _value(_bare(reference), letters=False)
    if number is None:
        return False
    left, is_equation, right = answer.rpartition("=")
    value = _value(_bare(right), letters=True)
    if value is None or (is_equation and not _is_side(left)):
        return False
    scales = (1.0, 0.01, 100.0) if percent or "%" in answer + reference else (1.0,)
    return all(_apart(value.times(_Value(scale)), number) for scale in scales)


def _apart(first: _Value, second: _Value) -> bool:
    distance = abs(first.size - second.size) - first.error - second.error
    return distance > APART * max(1.0, abs(first.size), abs(second.size))


def _is_side(text: str) -> bool:
    """Whether the text left of the last equals sign can be read. A chain of equations only has to be free of lists."""
    if "=" in text:
        return "," not in text and ";" not in text
    return bool(CALL.fullmatch(text)) or _value(text, letters=True) is not None


def _bare(text: str) -> str:
    text = text.strip().removesuffix(".").removesuffix(r"\%").removesuffix("%")
    if THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return text.removesuffix(r"^\circ").removesuffix(r"^{\circ}")


def _value(text: str, *, letters: bool) -> _Value | None:
    if len(text) > LONGEST:
        return None
    try:
        return _Reader(text, letters=letters).whole()
    except (_NoValue, ArithmeticError, ValueError):
        return None


def _number(text: str) -> _Value:
    size = float(text)
    return _Value(size) if size < EXACT and "." not in text else _sure(size, 0.0)


class _Reader:
    """Recursive-descent parser for sums, products, signs, powers and atoms."""

    def __init__(self, text: str, *, letters: bool) -> None:
        self._tokens: list[tuple[str, str]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            match = TOKEN.match(text, place)
            if match is None or (match.lastgroup == "letter" and (not letters or match["letter"] not in LETTERS)):
                raise _NoValue
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            place = match.end()
        self._place = 0
        self._depth = 0

    def whole(self) -> _Value:
        value = self._sum()
        if self._place < len(self._tokens):
            raise _NoValue
        return value

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._place] if self._place < len(self._tokens) else ("end", "")

    def _take(self, text: str) -> bool:
        taken = self._next[1] == text
        self._place += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise _NoValue

    def _sum(self) -> _Value:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _NoValue
        value = self._product()
        while self._next[1] in ("+", "-"):
            if self._take("+"):
                value = value.plus(self._product())
            else:
                self._expect("-")
                value = value.plus(-self._product())
        self._depth -= 1
        return value

    def _product(self) -> _Value:
        if self._take("-"):
            return -self._product()
        value, number_before = self._power()
        while True:
            kind, text = self._next
            if text in (r"\cdot", r"\times", "*"):
                self._place += 1
                factor, number_before = self._power()
                value = value.times(factor)
            elif text == "/":
                self._place += 1
                factor, _ = self._power()
                value = value.over(factor)
                if self._next[0] in ("number", "letter", "command") or self._next[1] == "(":
                    raise _NoValue  # 1/2x is ambiguous
                number_before = True
            elif kind == "number" or (number_before and text == r"\frac"):
                raise _NoValue  # digits after a factor, and mixed numbers
            elif kind in ("letter", "command") or text == "(":
                letter_before = self._tokens[self._place - 1][0] == "letter"
                if text == "(" and (letter_before or self._tokens[self._place - 1][1] == ")"):
                    raise _NoValue  # f(3) may be a function call, and (1)(2) an index
                factor, number_before = self._power()
                value = value.times(factor)
            else:
                return value

    def _power(self) -> tuple[_Value, bool]:
        """Read a factor. Return it, and whether it was written as a number."""
        value, is_number = self._atom()
        if not self._take("^"):
            return value, is_number
        if self._take("{"):
            exponent = self._sum()
            self._expect("}")
        else:
            kind, text = self._next
            if kind != "number" or len(text) > 1:
                raise _NoValue
            self._place += 1
            exponent = _Value(float(text))
        if self._next[1] == "^":
            raise _NoValue
        return value.to_the(exponent), False

    def _atom(self) -> tuple[_Value, bool]:
        kind, text = self._next
        self._place += 1
        if kind == "number":
            return _number(text), True
        if kind == "letter":
            return _Value(LETTERS[text]), False
        if text == r"\pi":
            return _sure(math.pi, 0.0), False
        if text == "(":
            value = self._sum()
            self._expect(")")
            return value, False
        if text == r"\frac":
            return self._braced().over(self._braced()), False
        if text == r"\sqrt":
            return self._braced().to_the(_Value(0.5)), False
        raise _NoValue

    def _braced(self) -> _Value:
        self._expect("{")
        value = self._sum()
        self._expect("}")
        return value
