r"""The value of plain LaTeX arithmetic, without a computer algebra system.

Most wrong answers are a number or a short expression beside a reference that is a number. Where the values of the two
are plainly apart, no comparison will find them equal, and parsing them costs a thousand times as much. Only forms that
every reader of LaTeX takes alike are looked at; all else has no value here.
"""

import math
import re

APART = 1e-5
"""Absolute and relative difference of two values that no rounding to six decimals explains."""
LETTERS = {
    letter: 1.7 + 0.3183098861837907 * place
    for place, letter in enumerate("abcdfghjklmnopqrstuvwxyzABCDFGHJKLMNOPQRSTUVWXYZ")
}
"""A value for each letter that can only be a variable, such that no two are related."""
TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<command>\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z]))"
    r"|(?P<letter>[a-zA-Z])|(?P<sign>[-+*/^(){}]))"
)
CALL = re.compile(r"\s*[a-zA-Z]\s*(?:\(\s*-?[a-zA-Z0-9]+\s*\)\s*)?")
"""A variable, or a function's value."""
THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
LONGEST = 200
DEEPEST = 20


class _NoValue(Exception):
    """The text is not plain arithmetic."""


def plainly_apart(answer: str, reference: str, *, percent: bool = False) -> bool:
    r"""Whether an answer has another value than a reference that is a number. ``False`` says nothing.

    Of an equation the last right side counts, which is all that can equal a number. A percent sign (in the
    texts, or beside one of them: ``percent``) may stand for a hundredth or for nothing, a degree sign for nothing.

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
    return all(abs(scale * value - number) > APART * max(1.0, abs(number), abs(scale * value)) for scale in scales)


def _is_side(text: str) -> bool:
    """Whether what stands left of the last equals sign can be read; of a chain, only its end needs to be."""
    if "=" in text:
        return "," not in text and ";" not in text
    return bool(CALL.fullmatch(text)) or _value(text, letters=True) is not None


def _bare(text: str) -> str:
    text = text.strip().removesuffix(".").removesuffix(r"\%").removesuffix("%")
    if THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return text.removesuffix(r"^\circ").removesuffix(r"^{\circ}")


def _value(text: str, *, letters: bool) -> float | None:
    if len(text) > LONGEST:
        return None
    try:
        value = _Reader(text, letters=letters).whole()
    except (_NoValue, ArithmeticError, ValueError):
        return None
    return value if isinstance(value, float) and math.isfinite(value) else None


class _Reader:
    """Recursive descent over sums, products, signs, powers and atoms."""

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

    def whole(self) -> float:
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

    def _sum(self) -> float:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _NoValue
        value = self._product()
        while self._next[1] in ("+", "-"):
            sign = 1 if self._take("+") else -1
            if sign < 0:
                self._expect("-")
            value += sign * self._product()
        self._depth -= 1
        return value

    def _product(self) -> float:
        if self._take("-"):
            return -self._product()
        value, number_before = self._power()
        while True:
            kind, text = self._next
            if text in (r"\cdot", r"\times", "*"):
                self._place += 1
                factor, number_before = self._power()
                value *= factor
            elif text == "/":
                self._place += 1
                factor, _ = self._power()
                value /= factor
                if self._next[0] in ("number", "letter", "command") or self._next[1] == "(":
                    raise _NoValue  # 1/2x is read in two ways
                number_before = True
            elif kind == "number" or (number_before and text == r"\frac"):
                raise _NoValue  # digits behind a factor, mixed numbers
            elif kind in ("letter", "command") or text == "(":
                letter_before = self._tokens[self._place - 1][0] == "letter"
                if text == "(" and (letter_before or self._tokens[self._place - 1][1] == ")"):
                    raise _NoValue  # f(3) may be a function, (1)(2) an index
                factor, number_before = self._power()
                value *= factor
            else:
                return value

    def _power(self) -> tuple[float, bool]:
        """A factor, and whether it was a number as written."""
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
            exponent = float(text)
        if self._next[1] == "^" or (value < 0 and exponent != int(exponent)):
            raise _NoValue
        return value**exponent, False

    def _atom(self) -> tuple[float, bool]:
        kind, text = self._next
        self._place += 1
        if kind == "number":
            return float(text), True
        if kind == "letter":
            return LETTERS[text], False
        if text == r"\pi":
            return math.pi, False
        if text == "(":
            value = self._sum()
            self._expect(")")
            return value, False
        if text == r"\frac":
            return self._braced() / self._braced(), False
        if text == r"\sqrt":
            return math.sqrt(self._braced()), False
        raise _NoValue

    def _braced(self) -> float:
        self._expect("{")
        value = self._sum()
        self._expect("}")
        return value
