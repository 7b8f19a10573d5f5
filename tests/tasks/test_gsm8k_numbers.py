"""GSM8K's three rules on numbers of hundreds of digits."""

from fractions import Fraction

import pytest
from judgebench.tasks.gsm8k.extraction import MAX_CHARACTERS, numeric_answer, verify

from judgebench.grading.pool import GradingPool, Verifier
from judgebench.records import Check

LONG = "7" * 400
NEXT = LONG[:-1] + "8"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"#### {LONG}", Fraction(int(LONG))),
        (f"The answer is {LONG}.", Fraction(int(LONG))),
        (f"so $\\boxed{{{LONG}}}$.", Fraction(int(LONG))),
        (f"it is {LONG}", Fraction(int(LONG))),
        (f"\\boxed{{\\frac{{{LONG}}}{{{NEXT}}}}}", Fraction(int(LONG), int(NEXT))),
        (f"#### {LONG}/{NEXT}", Fraction(int(LONG), int(NEXT))),
        ("#### 1" + ",000" * 200, Fraction(10**600)),
        ("#### " + "0" * 300 + "18", Fraction(18)),
        ("#### 18." + "0" * 300, Fraction(18)),
        ("#### 0." + "0" * 300 + "1", Fraction(1, 10**301)),
        ("#### " + " " * 198 + "1234 dollars", Fraction(1234)),
        ("#### " + "7" * 5000, None),
    ],
)
def test_a_number_is_read_to_its_end(text: str, value: Fraction | None) -> None:
    """However far it goes beyond what is looked at after a mark; Python converts at most 4,300 digits."""
    assert numeric_answer(text) == value


@pytest.mark.parametrize("version", ["5shot", "cot8", "cot-llama"])
def test_long_numbers_are_compared_to_the_last_digit(version: str) -> None:
    """By each rule."""
    mark = {"5shot": "#### ", "cot8": "The answer is ", "cot-llama": "The final answer is "}[version]
    for answer, right in ((LONG, True), (NEXT, False), (LONG[:-1], False)):
        verdict = verify(f"{mark}{answer}.", f"#### {LONG}", version)
        assert {rule: found[1] for rule, found in verdict.details.items()} == dict.fromkeys(verdict.details, right)


def test_half_numbers_end_within_a_checks_time() -> None:
    """A million characters of what may still become a number: no worker is ended over it."""
    units = ["1/", "\\frac{1", "1/2", "/1.,", "#### " + "1" * 1500, "9,"]
    checks = [
        Check(
            id=unit,
            example_id=unit,
            verifier="gsm8k",
            arguments={"output": unit * (MAX_CHARACTERS // len(unit)), "answer": "#### 5", "version": "cot8"},
        )
        for unit in units
    ]
    with GradingPool(1) as pool:
        verdicts = pool.verify({"gsm8k": Verifier(function=verify, fingerprint="")}, checks)
    assert {verdict.label for verdict in verdicts} == {"no_answer"}
