r"""Large numbers and deep answers: decided as the packages that are followed decide them, and stopped where those are.

Real references of MATH are ``2^{2005}``, ``3^{2007}`` and ``\frac{1}{2004!}``.
"""

import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgebench.tasks.math import limits, minerva
from judgebench.tasks.math.arithmetic import plainly_apart
from judgebench.tasks.math.mathverify import verify_output
from judgebench.tasks.math.numeric import certainly_differ

from judgebench.grading.pool import KILLED, GradingPool, Verifier
from judgebench.records import Check

EXAMPLES = 300
POWER = str(2**2005)
NOUGHTS = "0" * 400
TOWER = "9^{9^{9}}"

BOTH_EQUAL = [
    ("8^{500}", "2^{1500}"),
    (r"2\cdot 2^{2004}", "2^{2005}"),
    ("2^{2004}+2^{2004}", "2^{2005}"),
    (POWER, "2^{2005}"),
    (r"\frac{3^{2008}}{3}", "3^{2007}"),
    (r"\dfrac{1}{2004!}", r"\frac{1}{2004!}"),
    (r"\frac{1}{2004\cdot 2003!}", r"\frac{1}{2004!}"),
    (r"1^{(10^{30})}", "1"),
    (r"(-1)^{10^{30}}", "1"),
    ("10^{400}", "1" + NOUGHTS),
    ("1" + ",000" * 134, "10^{402}"),
    ("8^{-500}", "2^{-1500}"),
    (r"15\cdot 10^{399}", r"1.5\times 10^{400}"),
    (r"\sqrt{10^{800}}", "10^{400}"),
    (r"8^{500}+3i", r"3i+2^{1500}"),
    (r"x\cdot 8^{500}", "2^{1500}x"),
    ("9^{100000}", "3^{200000}"),
    (r"\frac{100000!}{99999!}", "100000"),
    (r"\binom{20000}{10000}", r"\frac{20000!}{10000!\cdot 10000!}"),
    ("10^{20}+1-10^{20}", "1"),
    ("10^{200}+1-10^{200}", "1"),
    (r"(1+\sqrt{2})^{200}(1-\sqrt{2})^{200}", "1"),
    ("(1+x)^{20000}", "(x+1)^{20000}"),
    (f"x+{TOWER}", f"{TOWER}+x"),
    (f"{TOWER}+{TOWER}", rf"2\cdot {TOWER}"),
    (TOWER, "9^{9^9}"),
    ("e^{10^{10}}", r"e^{10\cdot 10^{9}}"),
    (r"\frac{1}{" * 30 + "2" + "}" * 30, "2"),
    (r"\sqrt{1+" * 30 + "x" + "}" * 30, r"\sqrt{1+" * 29 + r"\sqrt{x+1}" + "}" * 29),
    ("(" * 30 + "5" + ")" * 30, "5"),
    ("-" * 20 + "5", "5"),
    ("+".join(["1"] * 150), "150"),
]
"""Pairs of an answer and a reference that Math-Verify and the Minerva rule call equal."""
NEITHER_EQUAL = [
    ("8^{500}", "2^{1501}"),
    ("2^{2004}", "2^{2005}"),
    (POWER[:-1] + "3", "2^{2005}"),
    (r"\frac{1}{2003!}", r"\frac{1}{5}"),
    ("10^{400}+1", "10^{400}"),
    ("8^{500}x", "2^{1501}x"),
    ("8^{500}i", "2^{1501}i"),
    ("1e400", "10^{400}"),
    ("10^{20}+2-10^{20}", "1"),
]
"""Pairs that both call different."""
MATH_VERIFY_ONLY = [
    ("(8^{500}, 1)", "(2^{1500}, 1)"),
    (r"\{8^{500}, 1\}", r"\{1, 2^{1500}\}"),
    ("[0, 8^{500})", "[0, 2^{1500})"),
    ("x > 8^{500}", "x > 2^{1500}"),
    (r"\begin{pmatrix} 8^{500} \\ 1 \end{pmatrix}", r"\begin{pmatrix} 2^{1500} \\ 1 \end{pmatrix}"),
    (f"(2-1, {TOWER})", "(1, 9^{9^9})"),
    (f"1{NOUGHTS}\\frac{{1}}{{2}}", r"10^{400}+\frac{1}{2}"),
    (r"\sum_{k=1}^{10^{9}} k", "500000000500000000"),
    (r"\sum_{k=1}^{20000} \frac{1}{k(k+1)}", r"\frac{20000}{20001}"),
    (r"\prod_{k=1}^{20000} k", "20000!"),
    (r"\frac{2}{1500!}", r"\frac{1}{1500!}"),
    (r"8^{-501}", "2^{-1500}"),
]
"""Pairs that Math-Verify calls equal and the Minerva rule does not: it reads no sets and sums, and does not round."""


def boxed(text: str) -> str:
    """As the answer of an output."""
    return rf"\boxed{{{text}}}"


def closing(text: str) -> str:
    """As the answer of an output by the Minerva rule."""
    return f"{minerva.OPENING} ${text}$. {minerva.APPENDED}"


def math_verify(answer: str, reference: str) -> bool:
    """The package's own verdict."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    gold, target = (parse(boxed(text), parsing_timeout=None) for text in (reference, answer))
    return bool(verify(gold, target, timeout_seconds=None))


def minerva_rule(answer: str, reference: str) -> bool:
    """Equality as lm-eval 0.4.13 has it, on normalised strings."""
    import sympy
    from sympy.parsing.latex import parse_latex

    first, second = minerva.normalise(answer), minerva.normalise(reference)
    if first and first == second:
        return True
    try:
        return bool(sympy.simplify(parse_latex(first) - parse_latex(second)) == 0)
    except Exception:  # noqa: BLE001 - as upstream
        return False


@pytest.mark.parametrize(
    ("answer", "reference", "equal"),
    [(*pair, True) for pair in BOTH_EQUAL + MATH_VERIFY_ONLY] + [(*pair, False) for pair in NEITHER_EQUAL],
)
def test_math_verifys_verdict(answer: str, reference: str, equal: bool) -> None:
    """Ours is the package's, also where the number is beyond floating point, or too large to be written."""
    assert math_verify(answer, reference) == equal
    assert bool(verify_output(boxed(answer), boxed(reference)).value) == equal


@pytest.mark.parametrize(
    ("answer", "reference", "equal"),
    [(*pair, True) for pair in BOTH_EQUAL] + [(*pair, False) for pair in NEITHER_EQUAL + MATH_VERIFY_ONLY],
)
def test_the_minerva_verdict(answer: str, reference: str, equal: bool) -> None:
    """Ours is lm-eval's; where Math-Verify rounds what is nearly nothing to nothing, this rule is exact."""
    assert minerva_rule(answer, reference) == equal
    assert bool(minerva.verify_closing(closing(answer), reference).value) == equal


# -- shortcuts


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("10^{20}+1-10^{20}", "1"),
        ("2^{100}-(2^{100}-1)", "1"),
        (r"\frac{10^{200}\cdot 10^{200}}{10^{399}}", "10"),
        (r"\frac{10^{-200}\cdot 10^{-200}}{10^{-400}}", "1"),
        (rf"(1+\frac{{1}}{{1{'0' * 150}}})^{{1{'0' * 30}}}", "1"),
        (r"0.1+0.2-0.3+\frac{1}{10^{17}}\cdot 10^{17}", "1"),
    ],
)
def test_what_floating_point_loses_is_not_called_apart(answer: str, reference: str) -> None:
    """Equal values whose parts cancel, overflow or vanish."""
    assert not plainly_apart(answer, reference)


Number = tuple[str, Fraction]
INTEGERS = st.one_of(st.integers(0, 20), st.sampled_from([10**k for k in range(3, 40, 4)])).map(
    lambda number: (str(number), Fraction(number))
)


def combined(parts: st.SearchStrategy[Number]) -> st.SearchStrategy[Number]:
    """Sums, differences, products, fractions and powers, as LaTeX with their value."""
    pairs = st.tuples(parts, parts)
    every = st.one_of(
        pairs.map(lambda two: (f"({two[0][0]}+{two[1][0]})", two[0][1] + two[1][1])),
        pairs.map(lambda two: (f"({two[0][0]}-{two[1][0]})", two[0][1] - two[1][1])),
        pairs.map(lambda two: (rf"{two[0][0]}\cdot {two[1][0]}", two[0][1] * two[1][1])),
        pairs.filter(lambda two: two[1][1] != 0).map(
            lambda two: (rf"\frac{{{two[0][0]}}}{{{two[1][0]}}}", two[0][1] / two[1][1])
        ),
        st.tuples(parts, st.integers(1, 60)).map(lambda two: (f"({two[0][0]})^{{{two[1]}}}", two[0][1] ** two[1])),
    )
    return every.filter(lambda number: max(map(abs, number[1].as_integer_ratio())) < 10**1000)


NUMBERS = st.recursive(INTEGERS, combined, max_leaves=5)


def written(value: Fraction) -> str:
    """As one fraction."""
    return f"{'-' * (value < 0)}" + rf"\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


@settings(max_examples=EXAMPLES, deadline=None)
@given(NUMBERS)
def test_no_number_is_apart_from_itself(number: Number) -> None:
    """However it is written, and to whatever size it grows."""
    text, value = number
    assert not plainly_apart(text, written(value))
    assert not plainly_apart(written(value), text)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(NUMBERS)
def test_every_number_is_equal_to_itself(number: Number) -> None:
    """By Math-Verify's rule with all our shortcuts; integers stay exact."""
    text, value = number
    assert verify_output(boxed(text), boxed(written(value))).label in ("equal", "too_long")


def test_values_beyond_floating_point_are_told_apart() -> None:
    """By their values, which have exponents without end; what cancels to nothing known says nothing."""
    import sympy

    power = [sympy.Pow(*pair, evaluate=False) for pair in ((2, 1500), (8, 500), (2, 1501), (10, 200), (2, -1500))]
    assert certainly_differ(power[0], power[2])
    assert certainly_differ(power[0], -power[0])
    assert not certainly_differ(power[0], power[1])
    one = sympy.Add(power[3], 1, sympy.Mul(-1, power[3], evaluate=False), evaluate=False)
    assert not certainly_differ(one, sympy.Integer(1))
    assert not certainly_differ(power[4], sympy.Integer(0))


# -- limits


def too_large() -> dict[str, Callable[[], Any]]:
    """What sympy would begin to compute, and not end."""
    import sympy

    k = sympy.Symbol("k")
    ten, many = sympy.Integer(10), sympy.Integer(10) ** 12
    return {
        "power": lambda: ten**many,
        "fraction": lambda: sympy.Rational(2, 3) ** many,
        "root": lambda: ten ** sympy.Rational(10**30, 7),
        "factorial": lambda: sympy.factorial(many),
        "factorials": lambda: sympy.factorial(sympy.factorial(27_607, evaluate=False), evaluate=False).evalf(),
        "binomial": lambda: sympy.binomial(many, many / 2),
        "rising": lambda: sympy.RisingFactorial(3, many),
        "falling": lambda: sympy.FallingFactorial(many, many / 2),
        "harmonic": lambda: sympy.harmonic(many),
        "sum": lambda: sympy.Sum(1 / (k**2 + 1), (k, 1, many)).doit(),
        "product": lambda: sympy.Product(sympy.sin(k), (k, 1, many)).doit(),
        "expansion": lambda: sympy.prod(sum(sympy.symbols(f"a{n}_:5")) for n in range(12)).expand(),
        "multinomial": lambda: (sum(sympy.symbols("a:6")) ** 100).expand(),
        "tower": lambda: sympy.Pow(9, sympy.Pow(9, sympy.Pow(9, 9, evaluate=False), evaluate=False)).evalf(),
        "exponential": lambda: sympy.exp(sympy.Pow(9, sympy.Pow(9, 9), evaluate=False), evaluate=False).evalf(),
        "decimal": lambda: sympy.Float("1.5") ** (sympy.Float(10) ** 100_000),
    }


@pytest.mark.parametrize("name", too_large())
def test_sympy_stops_where_it_would_not_end(name: str) -> None:
    """At once, whatever it is asked in between; outside of verdicts it is as it was."""
    begin = too_large()[name]
    with pytest.raises(limits.OverLimit, match="too_large"), limits.bounded():
        begin()
    assert all(vars(owner)[attribute] is original for owner, attribute, original, _ in limits._guards())


def test_within_the_limits_sympy_computes_what_it_would() -> None:
    """Up to a million digits."""
    import sympy

    with limits.bounded():
        assert sympy.Integer(3) ** 2_000_000 > sympy.Integer(10) ** 900_000
        assert sympy.factorial(100_000) / sympy.factorial(99_999) == 100_000
        assert sympy.Integer(1) ** (sympy.Integer(10) ** 400) == 1
        assert sympy.binomial(sympy.Integer(10) ** 30, sympy.Integer(10) ** 30 - 1) == sympy.Integer(10) ** 30


def test_what_is_endless_ends_without_ending_its_worker() -> None:
    """It is not equal, against a reference of any kind; the label says whether that was computed."""
    answers = [TOWER, f"{TOWER}!", rf"\sqrt{{{TOWER}}}", f"({TOWER}, 2)", r"\binom{10^{12}}{5^{17}}"]
    references = ["17", r"\frac{1}{2}", r"\sqrt{2}", "x+1", "(1, 2)"]
    pairs = [(answer, reference) for answer in answers for reference in references]
    arguments = [
        ("math_verify", {"output": boxed(answer), "solution": boxed(reference)}) for answer, reference in pairs
    ] + [("minerva", {"output": closing(answer), "gold": reference}) for answer, reference in pairs]
    rules = {"math_verify": verify_output, "minerva": minerva.verify_closing}
    verifiers = {name: Verifier(function=rule, fingerprint="") for name, rule in rules.items()}
    checks = [
        Check(id=str(number), example_id="1", verifier=rule, arguments=given)
        for number, (rule, given) in enumerate(arguments)
    ]
    with GradingPool(1) as pool:
        found = pool.verify(verifiers, checks)
    assert [verdict.value for verdict in found] == [0.0] * len(checks)
    assert [verdict for verdict in found if verdict.label in (*KILLED, "error")] == []
