"""Planning against the fixture's published formula, statsmodels' power and simulated data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.stats.power import (
    DifferenceVariance,
    RunVariance,
    detectable_difference,
    paired_variance,
    planned_variance,
    required_answers,
    required_prompts,
    run_variance,
    worth_of_repeats,
)

from .judge_meta import expected
from .test_clustered import generator


def test_published_plans() -> None:
    """Prompts needed, and the difference that 805 prompts see, in the fixture's three cases."""
    for case in expected("power_miller"):
        # Equal K on both sides in all cases.
        variance = DifferenceVariance(case["omega2"], case["sigma2_A"] + case["sigma2_B"])
        given_alpha = {"answers": case["K_A"], "alpha": case["alpha"], "power": case["power"]}
        assert required_prompts(variance, case["delta"], **given_alpha) == case["n_ceil"]
        assert detectable_difference(variance, 805, **given_alpha) == pytest.approx(case["mde_at_n_805"], rel=1e-9)


def test_statsmodels_power() -> None:
    """At the detectable difference, statsmodels' t-test has the power asked for; its t costs 0.1 points at n = 805."""
    witness = pytest.importorskip("statsmodels.stats.power").TTestPower()
    found = detectable_difference(DifferenceVariance(0.25), 805, power=0.9)
    assert witness.power(found / 0.5, 805, 0.05) == pytest.approx(0.9, abs=0.002)


@given(st.floats(0.01, 2), st.floats(0, 2), st.floats(0.005, 0.5), st.integers(1, 8))
def test_prompts_and_differences_invert(prompts: float, answers: float, delta: float, repeats: int) -> None:
    """The prompts that a difference needs see it, and one prompt fewer does not."""
    variance = DifferenceVariance(prompts, answers)
    n = required_prompts(variance, delta, answers=repeats)
    assert detectable_difference(variance, n, answers=repeats) <= delta * (1 + 1e-9)
    if n > 1:
        assert detectable_difference(variance, n - 1, answers=repeats) >= delta * (1 - 1e-9)


@given(st.floats(0.01, 0.1), st.floats(0.01, 2), st.floats(0.02, 0.2))
def test_answers_and_differences_invert(prompts: float, answers: float, delta: float) -> None:
    """The answers that a difference needs see it, one fewer does not; if there is no number, infinitely many do not."""
    variance = DifferenceVariance(prompts, answers)
    k = required_answers(variance, 805, delta)
    if k is None:
        assert detectable_difference(DifferenceVariance(prompts), 805) >= delta * (1 - 1e-9)
        return
    assert detectable_difference(variance, 805, answers=k) <= delta * (1 + 1e-9)
    if k > 1:
        assert detectable_difference(variance, 805, answers=k - 1) >= delta * (1 - 1e-9)


def test_variance_components_are_those_of_statsmodels() -> None:
    """Balanced repeats: the components are those of a mixed model fitted by restricted maximum likelihood."""
    api = pytest.importorskip("statsmodels.api")
    rng = generator(1)
    scores = rng.normal(0, 1, (60, 1)) + rng.normal(0, 0.7, (60, 3))
    fit = api.MixedLM(scores.ravel(), np.ones(180), groups=np.repeat(np.arange(60), 3)).fit(reml=True)
    found = run_variance(scores)
    assert found.prompts == pytest.approx(float(fit.cov_re[0, 0]), rel=1e-3)
    assert found.answers == pytest.approx(fit.scale, rel=1e-3)


def test_three_levels_are_told_apart() -> None:
    """Prompts 1, answers 0.25, judging 0.09: found again in 4,000 prompts within five percent or so."""
    rng = generator(2)
    scores = rng.normal(0, 1, (4000, 1, 1)) + rng.normal(0, 0.5, (4000, 3, 1)) + rng.normal(0, 0.3, (4000, 3, 2))
    found = run_variance(scores)
    # Standard errors: 0.025, 0.0045 and 0.0012.
    assert found.prompts == pytest.approx(1.0, abs=0.1)
    assert found.answers == pytest.approx(0.25, abs=0.02)
    assert found.judging == pytest.approx(0.09, abs=0.005)
    assert found.reason is None


def test_the_parts_sum_to_the_observed_variance() -> None:
    """(1) at the repeats that were made is the variance of the prompts' mean differences."""
    rng = generator(3)
    skill = rng.normal(0, 1, (50, 1))
    first, second = skill + rng.normal(0.5, 1, (50, 2)), rng.normal(0, 1, (50, 2))
    parts = paired_variance(first, second)
    want = np.var(first.mean(axis=1) - second.mean(axis=1), ddof=1)
    assert parts.per_prompt(answers=2) == pytest.approx(want, rel=1e-12)


def test_without_repeats_all_is_variance_of_prompts() -> None:
    """One answer per prompt: the components say that noise is counted with the prompts."""
    values = generator(4).random((30, 1))
    found = run_variance(values)
    assert found.prompts == pytest.approx(values.var(ddof=1), rel=1e-12)
    assert found.answers == found.judging == 0
    assert found.reason is not None
    assert "one answer per prompt" in found.reason


def test_less_spread_than_noise_is_zero_with_a_note() -> None:
    """Answers that differ more within prompts than between them: 0, and said so."""
    found = run_variance([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert found.prompts == 0
    assert found.reason is not None
    assert "below 0" in found.reason


def test_repeats_are_never_worth_more_than_their_calls() -> None:
    """Their worth lies between the prompts themselves and prompts times answers, reached if all is noise."""
    bought = worth_of_repeats(DifferenceVariance(0.1, 0.3), 500)
    assert all(500 <= purchase.equivalent_prompts <= purchase.calls for purchase in bought)
    assert [purchase.difference for purchase in bought] == sorted((p.difference for p in bought), reverse=True)
    assert worth_of_repeats(DifferenceVariance(0.0, 0.3), 500, [4])[0].equivalent_prompts == 2000
    assert worth_of_repeats(DifferenceVariance(0.3, 0.0), 500, [4])[0].equivalent_prompts == 500


def test_wrong_plans() -> None:
    """Variances below 0, no prompts, no difference, tables without two prompts, NaN."""
    with pytest.raises(ValueError, match="not negative"):
        DifferenceVariance(-1.0)
    with pytest.raises(ValueError, match="at least one prompt"):
        detectable_difference(DifferenceVariance(1.0), 0)
    with pytest.raises(ValueError, match="positive and finite"):
        required_prompts(DifferenceVariance(1.0), 0)
    with pytest.raises(ValueError, match="at least two"):
        run_variance([[1.0, 2.0]])
    with pytest.raises(ValueError, match="finite"):
        run_variance([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="same prompts"):
        paired_variance([[1.0], [2.0]], [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match="between -1 and 1"):
        planned_variance(RunVariance(1.0, 0.0, 0.0, None), 2.0)
