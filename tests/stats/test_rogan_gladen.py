"""Corrected win rates: published estimates, a brute-force likelihood, identities, and coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from judgebench.stats.rogan_gladen import (
    JudgeErrors,
    corrected_win_rate,
    judge_errors,
)
from tests.stats.judge_meta import expected, lines


def test_the_published_estimates() -> None:
    """The five estimates of LLM-judge-reporting, to 1e-12."""
    cases = expected("rogan_gladen")["estimates"]
    assert len(cases) == 5
    for case in cases:
        errors = JudgeErrors(case["q1"], case["m1"], case["q0"], case["m0"])
        assert corrected_win_rate(case["p"], case["n"], errors).value == pytest.approx(case["theta"], abs=1e-12)


@pytest.mark.parametrize("place", [0, 1])
def test_shared_judges(place: int) -> None:
    """Error rates from PandaLM's labels, win rate and published interval to 1e-9; ties of either side are dropped.

    The likelihood interval is close to it, within 0.03 at each end, and both hold what humans say of the other items.
    """
    case = expected("ppi_on_pandalm")[place]
    numbers, judge, chosen = case["rogan_gladen_ties_dropped"], case["judge"], set(case["labelled_idx"])
    read = lines("pandalm/cross_annotations")
    items = [line for line in read if line[judge] in (1, 2) and line["majority"] in (1, 2)]
    labelled = [line for line in items if line["idx"] in chosen]
    errors = judge_errors([line["majority"] == 2 for line in labelled], [line[judge] == 2 for line in labelled])
    assert errors == JudgeErrors(
        pytest.approx(numbers["q1_sensitivity"]), numbers["m1"], pytest.approx(numbers["q0_specificity"]), numbers["m0"]
    )
    rest = [line[judge] == 2 for line in items if line["idx"] not in chosen]
    assert len(rest) == numbers["n"]
    found = corrected_win_rate(float(np.mean(rest)), len(rest), errors)
    assert found.judged == pytest.approx(numbers["p"])
    assert found.value == pytest.approx(numbers["theta"], rel=1e-9)
    assert [found.interval.low, found.interval.high] == pytest.approx(numbers["ci95"], abs=0.03)
    assert found.interval.low <= numbers["human_truth_on_unlabelled"] <= found.interval.high


def brute_force(theta: float, judged: float, n: int, errors: JudgeErrors) -> float:
    """The log likelihood of theta at its best error rates, by a general optimiser."""
    q1, m1, q0, m0 = errors.sensitivity, errors.wins, errors.specificity, errors.losses

    def loss(rates: np.ndarray) -> float:
        a, b = rates
        share = theta * a + (1 - theta) * (1 - b)
        return -float(
            n * judged * np.log(share)
            + n * (1 - judged) * np.log(1 - share)
            + (m1 * q1 + 0.5) * np.log(a)
            + (m1 * (1 - q1) + 0.5) * np.log(1 - a)
            + (m0 * q0 + 0.5) * np.log(b)
            + (m0 * (1 - q0) + 0.5) * np.log(1 - b)
        )

    limits = [(1e-6, 1 - 1e-6)] * 2
    return -min(optimize.minimize(loss, start, bounds=limits).fun for start in ([0.6, 0.6], [0.9, 0.9]))


@pytest.mark.parametrize(
    ("judged", "n", "errors"),
    [
        (0.4, 1000, JudgeErrors(0.9, 200, 0.7, 200)),
        (0.95, 500, JudgeErrors(0.9, 100, 0.9, 100)),
        (0.5, 300, JudgeErrors(1.0, 6, 1.0, 7)),
        (0.62, 805, JudgeErrors(0.6, 30, 0.55, 20)),
        (0.0, 100, JudgeErrors(1.0, 10, 0.8, 10)),
        (0.0001, 700, JudgeErrors(8 / 9, 9, 0.4, 20)),
    ],
)
def test_the_ends_are_where_the_likelihood_says(judged: float, n: int, errors: JudgeErrors) -> None:
    """At an end inside (0, 1) twice the log likelihood is 3.84 below that of the best theta; at 0 and 1 it is less.

    Tolerance 0.02 of 3.84: the general optimiser's, and the interpolation of the end.
    """
    thetas = np.linspace(0, 1, 101)
    best = max(brute_force(theta, judged, n, errors) for theta in thetas)
    found = corrected_win_rate(judged, n, errors).interval
    for end in (found.low, found.high):
        deficit = 2 * (best - brute_force(end, judged, n, errors))
        assert deficit == pytest.approx(3.841, abs=0.02) if 0 < end < 1 else deficit < 3.861


@settings(max_examples=40)
@given(
    judged=st.floats(0, 1),
    n=st.integers(1, 1000),
    right=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    wrong=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_mirror_and_range(judged: float, n: int, right: tuple[int, int], wrong: tuple[int, int]) -> None:
    """Calling wins losses mirrors the interval; it is never empty, has a width, and lies in [0, 1]."""
    sizes = right[0] + wrong[0], right[1] + wrong[1]
    errors = JudgeErrors(right[0] / sizes[0], sizes[0], right[1] / sizes[1], sizes[1])
    turned = JudgeErrors(errors.specificity, errors.losses, errors.sensitivity, errors.wins)
    found, mirrored = corrected_win_rate(judged, n, errors), corrected_win_rate(1 - judged, n, turned)
    assert 0 <= found.interval.low < found.interval.high <= 1
    assert found.interval.low == pytest.approx(1 - mirrored.interval.high, abs=1e-4)
    assert found.interval.high == pytest.approx(1 - mirrored.interval.low, abs=1e-4)
    if found.value is not None:
        assert mirrored.value == pytest.approx(1 - found.value, abs=1e-9)


def test_a_perfect_judge_with_endless_labels_changes_nothing() -> None:
    """The interval is then that of a plain share: within 0.002 of Wilson's, the likelihood's own difference."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found = corrected_win_rate(0.3, 805, JudgeErrors(1.0, 10**7, 1.0, 10**7))
    wanted = proportion.proportion_confint(0.3 * 805, 805, method="wilson")
    assert found.value == pytest.approx(0.3)
    assert (found.interval.low, found.interval.high) == pytest.approx(wanted, abs=0.002)


def test_a_judge_that_says_nothing_leaves_everything_open() -> None:
    """J = 0: no value but a reason, the interval all of [0, 1]."""
    errors = JudgeErrors(0.5, 50, 0.5, 50)
    found = corrected_win_rate(0.5, 500, errors)
    assert found.value is None
    assert found.reason is not None
    assert (found.interval.low, found.interval.high) == (0.0, 1.0)


def test_the_likelihood_interval_covers_near_no_information() -> None:
    """J = 0.05, 30 labels a side, 200 rounds: always given, and at least 90 % hold the truth (3 standard errors)."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        errors = JudgeErrors(rng.binomial(30, 0.55) / 30, 30, rng.binomial(30, 0.5) / 30, 30)
        judged = rng.binomial(500, 0.2 * 0.55 + 0.8 * 0.5) / 500
        interval = corrected_win_rate(judged, 500, errors).interval
        hits += interval.low <= 0.2 <= interval.high
    assert hits / 200 > 0.9


def test_one_sided_label_sets_have_no_error_rates() -> None:
    """All human wins: the specificity was never seen."""
    assert judge_errors([1, 1], [1, 0]) is None
    assert judge_errors([], []) is None


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    errors = JudgeErrors(0.9, 10, 0.9, 10)
    for call, words in (
        (lambda: corrected_win_rate(1.2, 10, errors), "between 0 and 1"),
        (lambda: corrected_win_rate(0.5, 0, errors), "at least one item"),
        (lambda: corrected_win_rate(float("nan"), 5, errors), "between 0 and 1"),
        (lambda: corrected_win_rate(0.5, 5, JudgeErrors(0.9, 0, 0.9, 10)), "human wins"),
        (lambda: corrected_win_rate(0.5, 5, JudgeErrors(1.9, 1, 0.9, 10)), "lie between"),
        (lambda: corrected_win_rate(0.5, 5, errors, level=2), "level"),
        (lambda: judge_errors([1, 0.5], [1, 0]), "leave out ties"),
        (lambda: judge_errors([1], [1, 0]), "one number per item"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
