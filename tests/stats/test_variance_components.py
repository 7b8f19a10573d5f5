"""Variance components: analysis of variance by hand, statsmodels' REML, dense matrices, simulation, shared votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.variance_components import (
    Component,
    VarianceComponents,
    mean_stderr,
    variance_components,
)
from tests.stats.judge_meta import SUBSETS, expected, llmbar_labels, llmbar_votes


def crossed(items: int, judges: int, repeats: int, seed: int = 0) -> tuple[FloatArray, dict[str, IntArray]]:
    """Scores with variances 1 (item), 0.25 (judge), 0.49 (item x judge), 0.36 (repeat), and their factors."""
    rng = np.random.default_rng(seed)
    item, judge, _ = (part.ravel() for part in np.indices((items, judges, repeats)))
    scores = rng.normal(size=items)[item] + 0.5 * rng.normal(size=judges)[judge]
    scores += 0.7 * rng.normal(size=(items, judges))[item, judge] + 0.6 * rng.normal(size=len(item))
    return scores, {"item": item, "judge": judge}


EFFECTS = [("item",), ("judge",), ("item", "judge")]


def estimates(found: VarianceComponents) -> list[float]:
    """The components as they are, negative ones too."""
    return [component.variance for component in found.components]


def test_balanced_data_are_the_analysis_of_variance() -> None:
    """Mean squares by hand for 12 items x 4 judges x 3 repeats, to 1e-10."""
    scores, factors = crossed(12, 4, 3)
    table = scores.reshape(12, 4, 3)
    cells, items, judges, mean = table.mean(2), table.mean((1, 2)), table.mean((0, 2)), table.mean()
    ms_item = 12 * np.square(items - mean).sum() / 11
    ms_judge = 36 * np.square(judges - mean).sum() / 3
    ms_both = 3 * np.square(cells - items[:, None] - judges + mean).sum() / 33
    ms_error = np.square(table - cells[:, :, None]).sum() / 96
    wanted = [(ms_item - ms_both) / 12, (ms_judge - ms_both) / 36, (ms_both - ms_error) / 3, ms_error]
    assert estimates(variance_components(scores, factors, EFFECTS)) == pytest.approx(wanted, rel=1e-10)


def test_balanced_nested_data_equal_reml() -> None:
    """Repeats within items: statsmodels' mixed model, which stops at about 1e-4 of the optimum."""
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(1)
    item = np.repeat(np.arange(60), 4)
    scores = rng.normal(size=60)[item] + 0.8 * rng.normal(size=240)
    found = variance_components(scores, {"item": item}, [("item",)])
    fit = statsmodels.MixedLM(scores, np.ones(240), groups=item).fit(reml=True)
    assert estimates(found) == pytest.approx([float(np.asarray(fit.cov_re)[0, 0]), fit.scale], rel=1e-3)


def dense(scores: FloatArray, groups: list[IntArray]) -> FloatArray:
    """Equation (1) with matrices: T = y' P y, E[T] = N mu^2 + sum s2 tr(P Z Z'), P the projection on the groups."""
    n = len(scores)
    designs = [np.eye(group.max() + 1)[group] for group in [*groups, np.arange(n), np.zeros(n, dtype=int)]]
    projections = [design @ np.linalg.pinv(design) for design in designs]
    sums = np.array([scores @ projection @ scores for projection in projections])
    traces = np.array([[np.trace(one @ other @ other.T) for other in designs[:-1]] for one in projections])
    return np.linalg.solve(traces[:-1] - traces[-1], sums[:-1] - sums[-1])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), kept=st.integers(25, 60))
def test_unbalanced_data_equal_the_dense_matrices(seed: int, kept: int) -> None:
    """A random part of 10 items x 3 judges x 2 repeats, to 1e-6 (the dense way squares the condition number)."""
    rng = np.random.default_rng(seed)
    scores, factors = crossed(10, 3, 2, seed)
    chosen = np.sort(rng.permutation(60)[:kept])
    part = {name: np.unique(levels[chosen], return_inverse=True)[1] for name, levels in factors.items()}
    both = np.unique(part["item"] * 3 + part["judge"], return_inverse=True)[1]
    found = variance_components(scores[chosen], part, EFFECTS)
    assert estimates(found) == pytest.approx(dense(scores[chosen], [part["item"], part["judge"], both]), abs=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), shift=st.floats(-1e6, 1e6), scale=st.floats(1e-3, 1e3))
def test_shift_scale_and_names(seed: int, shift: float, scale: float) -> None:
    """A shift changes nothing, a scale its square; levels may have any names, rows any order, factors any order."""
    scores, factors = crossed(12, 3, 2, seed)
    found = np.array(estimates(variance_components(scores, factors, EFFECTS)))
    order = np.random.default_rng(seed).permutation(len(scores))
    named = {"judge": np.array(list("xyz"))[factors["judge"][order]], "item": 1000 - factors["item"][order]}
    turned = [("item",), ("judge",), ("judge", "item")]
    other = np.array(estimates(variance_components(shift + scale * scores[order], named, turned)))
    # What is left of the digits behind a shift of a million times the spread.
    assert other == pytest.approx(scale**2 * found, rel=1e-6, abs=scale**2 * 1e-9 + 1e-9 * abs(shift) * scale)


def test_unbalanced_estimates_are_unbiased() -> None:
    """120 draws of 1 to 4 repeats for 60 items: mean components are within four standard errors of the truth."""
    rng = np.random.default_rng(2)
    item = np.repeat(np.arange(60), 1 + np.arange(60) % 4)
    made = []
    for _ in range(120):
        scores = rng.normal(size=60)[item] + 0.5 * rng.normal(size=len(item))
        made.append(estimates(variance_components(scores, {"item": item}, [("item",)])))
    error = np.std(made, axis=0) / 120**0.5
    assert (np.abs(np.mean(made, axis=0) - [1.0, 0.25]) < 4 * error).all()


def test_intervals_hold_the_truth() -> None:
    """95 % jackknife intervals of wins with a chance per item (variances 1/12 and 1/6), 120 draws: at least 88 % do.

    That is three standard errors; ``benchmarks/coverage_sequential.py`` has 500 draws.
    """
    rng = np.random.default_rng(3)
    item = np.repeat(np.arange(80), 3)
    hits = np.zeros(2)
    for _ in range(120):
        wins = (rng.random(240) < rng.random(80)[item]) * 1.0
        parts = variance_components(wins, {"item": item}, [("item",)]).components
        for place, truth in enumerate((1 / 12, 1 / 6)):
            interval = parts[place].interval
            assert interval is not None
            hits[place] += interval.low <= truth <= interval.high
    assert (hits / 120 >= 0.88).all()


def test_the_error_of_a_mean_is_what_simulated_means_have() -> None:
    """Over 2,000 runs of 20 items x 2 judges x 2 repeats, and over re-runs on the same items and judges: within 5 %."""
    parts = zip([("item",), ("judge",), ("item", "judge"), ("residual",)], [1, 0.25, 0.49, 0.36], strict=True)
    known = VarianceComponents(0.0, tuple(Component(name, value, None, None, 9) for name, value in parts), 9, None)
    sizes = {"item": 20, "judge": 2, "repeat": 2}
    means = [crossed(20, 2, 2, seed)[0].mean() for seed in range(2000)]
    assert mean_stderr(known, sizes) == pytest.approx(np.std(means), rel=0.05)
    assert mean_stderr(known, sizes, fixed=["item", "judge"]) == pytest.approx((0.36 / 80) ** 0.5)
    assert mean_stderr(known, sizes, fixed=["item"]) == pytest.approx((0.25 / 2 + 0.49 / 40 + 0.36 / 80) ** 0.5)


def test_the_two_orders_of_shared_judgements_are_not_independent() -> None:
    """GPT-4 on LLMBar: the components of item and order give the clustered standard error of the fixture.

    Its CR1 error is that of 419 clusters of two: sqrt((s2_item + s2_residual / 2) / 419), to 1e-9. Taking the 838 as
    independent understates it by 24 %.
    """
    numbers = expected("paired_comparison")["clustered_both_orders"]["GPT-4/Vanilla"]
    right = [
        np.concatenate([llmbar_votes("GPT-4/Vanilla", subset, order) == llmbar_labels(subset) for subset in SUBSETS])
        for order in ("order12", "order21")
    ]
    scores = np.concatenate(right).astype(float)
    item = np.tile(np.arange(419), 2)
    found = variance_components(scores, {"item": item}, [("item",)])
    assert found.mean == pytest.approx(numbers["mean"])
    error = mean_stderr(found, {"item": 419, "order": 2})
    assert error == pytest.approx(numbers["se_clustered_CR1_statsmodels"], rel=1e-9)
    assert numbers["se_iid_ddof1"] / error == pytest.approx(1 - 0.24, abs=0.005)
    interval = found.components[0].interval
    assert interval is not None
    assert interval.low > 0


def test_constant_scores_have_no_variance() -> None:
    """All components 0, and no shares."""
    found = variance_components(np.ones(40), {"item": np.arange(40) // 2}, [("item",)])
    assert [(component.variance, component.share) for component in found.components] == [(0.0, None)] * 2
    assert mean_stderr(found, {"item": 20}) == 0


def test_a_negative_component_is_said_and_taken_as_zero() -> None:
    """Items that are more alike than their repeats: the estimate is below 0, its share and contribution are 0."""
    found = variance_components([0.0, 1, 0, 1, 0, 1, 0, 1], {"item": [1, 1, 2, 2, 3, 3, 4, 4]}, [("item",)])
    assert found.components[0].variance < 0
    assert found.components[0].share == 0
    assert found.variance("item") == 0
    assert found.components[0].interval is None


def test_too_little_is_said() -> None:
    """No score, or one."""
    for scores in ([], [1.0]):
        found = variance_components(scores, {"item": np.zeros(len(scores))}, [("item",)])
        assert (found.components, found.reason) == ((), "components need at least two scores")
        with pytest.raises(ValueError, match="at least two"):
            mean_stderr(found, {"item": 3})


@pytest.mark.parametrize(
    ("factors", "effects", "words"),
    [
        ({"item": [1, 2, 3, 4]}, [("item",)], "no repeats"),
        ({"item": [1, 1, 1, 1]}, [("item",)], "one level"),
        ({"item": [1, 1, 2, 2], "twin": [5, 5, 6, 6]}, [("item",), ("twin",)], "sort the scores alike"),
        ({"item": [1, 1, 2, 2]}, [("judge",)], "no factor judge"),
        ({"item": [1, 1, 2]}, [("item",)], "one level per score"),
        ({"item": [1, 1, 2, 2]}, [("item",), ("item",)], "named twice"),
        ({"item": [1, 1, 2, 2]}, [], "at least one effect"),
    ],
)
def test_malformed_models_are_named(factors: dict[str, list[int]], effects: list[tuple[str, ...]], words: str) -> None:
    """Each message says what is wrong with the effects."""
    with pytest.raises(ValueError, match=words):
        variance_components([0.0, 1.0, 0.5, 0.2], factors, effects)


def test_missing_scores_and_sizes_are_named() -> None:
    """NaN scores, an unknown effect, a factor without a size."""
    with pytest.raises(ValueError, match="finite"):
        variance_components([0.0, np.nan], {"item": [1, 2]}, [("item",)])
    found = variance_components(*crossed(12, 3, 2), EFFECTS)
    with pytest.raises(KeyError, match="model"):
        found.variance("model")
    with pytest.raises(ValueError, match="judge"):
        mean_stderr(found, {"item": 3})
