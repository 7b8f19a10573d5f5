"""Human-anchored means: ppi_py's numbers, a plain computation, identities, and what the small-sample form holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import cluster_totals, clustered_estimate
from judgebench.stats.prediction_powered import prediction_powered_mean
from tests.stats.judge_meta import expected, lines

SHARE = {1: 0.0, 0: 0.5, 2: 1.0}


def made_up(n: int = 40, others: int = 300, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Labels, judge's scores of the same, judge's scores of others."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n + others)
    judged = np.clip(labels + rng.normal(0, 0.3, n + others), 0, 1)
    return labels[:n], judged[:n], judged[n:]


def pandalm(place: int) -> tuple[FloatArray, FloatArray, FloatArray, dict[str, object]]:
    """Human majorities, a judge's scores of the same items and of the others, and ppi_py's numbers."""
    numbers = expected("ppi_on_pandalm")[place]
    chosen = set(numbers["labelled_idx"])
    items = [line for line in lines("pandalm/cross_annotations") if line[numbers["judge"]] is not None]
    labelled = sorted((line for line in items if line["idx"] in chosen), key=lambda line: line["idx"])
    human = [SHARE[line["majority"]] for line in labelled]
    judged = [SHARE[line[numbers["judge"]]] for line in labelled]
    rest = [SHARE[line[numbers["judge"]]] for line in items if line["idx"] not in chosen]
    return np.array(human), np.array(judged), np.array(rest), numbers


@pytest.mark.parametrize("place", [0, 1])
def test_ppi_py_on_shared_labels(place: int) -> None:
    """Point, 95 % interval and weight of ppi_py 0.2.3 for two judges, to 1e-9; and the labels the judge is worth."""
    human, judged, rest, numbers = pandalm(place)
    assert (len(human), len(rest)) == (numbers["n"], numbers["N"])
    for weight, key in ((1.0, "ppi_lambda_1"), (0.0, "classical_lambda_0"), (None, "ppi_plus_plus")):
        found = prediction_powered_mean(human, judged, rest, weight=weight)
        wanted = numbers[key]
        assert found.interval is not None
        assert found.value == pytest.approx(wanted["point"], rel=1e-9)  # type: ignore[index]
        assert [found.interval.low, found.interval.high] == pytest.approx(wanted["ci95"], rel=1e-9)  # type: ignore[index]
    assert found.weight == pytest.approx(numbers["lambda_hat_formula"], rel=1e-9)
    assert found.weight == pytest.approx(numbers["lambda_hat_implied_by_ppi_py"], rel=1e-9)
    everyone = [line for line in lines("pandalm/cross_annotations") if line[numbers["judge"]] is not None]
    for column, key in (("majority", "human_mean_all"), (numbers["judge"], "judge_mean_all")):
        shares = [SHARE[line[column]] for line in everyone]
        assert clustered_estimate(cluster_totals(shares)).value == pytest.approx(numbers[key], rel=1e-12)
    assert found.effective_labels is not None
    assert found.effective_labels > 100


def test_a_weak_judge_is_worth_48_labels() -> None:
    """The specification's example: 100 labels become 148, and the interval is 18 % narrower."""
    human, judged, rest, _ = pandalm(0)
    found, alone = prediction_powered_mean(human, judged, rest), prediction_powered_mean(human, judged, rest, weight=0)
    assert found.effective_labels == pytest.approx(148, abs=0.5)
    assert found.stderr is not None
    assert alone.stderr is not None
    assert 1 - found.stderr / alone.stderr == pytest.approx(0.18, abs=0.005)
    assert alone.effective_labels == pytest.approx(100)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 60), weight=st.sampled_from([None, 0.0, 0.4, 1.0]))
def test_identities(seed: int, n: int, weight: float | None) -> None:
    """Mirrored scores mirror the result, and a linear change of unit changes it likewise; also with bounds."""
    human, judged, rest = made_up(n, 50, seed)
    for bounds in (None, (0.0, 1.0)):
        found = prediction_powered_mean(human, judged, rest, weight=weight, bounds=bounds)
        mirrored = prediction_powered_mean(1 - human, 1 - judged, 1 - rest, weight=weight, bounds=bounds)
        grades = prediction_powered_mean(
            *(1 + 9 * column for column in (human, judged, rest)), weight=weight, bounds=bounds and (1.0, 10.0)
        )
        assert found.interval is not None
        assert mirrored.interval is not None
        assert grades.interval is not None
        assert mirrored.interval.low == pytest.approx(1 - found.interval.high, abs=1e-9)
        assert grades.interval.low == pytest.approx(1 + 9 * found.interval.low, abs=1e-9)
        if weight is None or bounds is None:
            assert mirrored.weight == pytest.approx(found.weight, abs=1e-9)


def test_no_weight_and_bounds_is_agresti_and_coull() -> None:
    """Labels alone: statsmodels' interval, for every number of wins of 12. (Here labels are 0 or 1.)"""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for wins in range(13):
        labels = np.arange(12) < wins
        found = prediction_powered_mean(labels, labels, [0.0, 1.0], weight=0, bounds=(0, 1)).interval
        assert found is not None
        wanted = proportion.proportion_confint(wins, 12, method="agresti_coull")
        assert (found.low, found.high) == pytest.approx((max(wanted[0], 0), min(wanted[1], 1)), abs=1e-9)


def test_the_small_sample_form_covers_where_the_published_one_does_not() -> None:
    """Ten labels, a judge right on 98 %, a share of 0.1: 400 rounds (standard errors below 2.5 points).

    ``benchmarks/coverage_sequential.py`` has the full table.
    """
    rng = np.random.default_rng(0)
    hits = {None: 0, (0.0, 1.0): 0}
    for _ in range(400):
        labels = (rng.random(210) < 0.1) * 1.0
        judged = np.where(rng.random(210) < 0.98, labels, 1 - labels)
        for bounds in hits:
            found = prediction_powered_mean(labels[:10], judged[:10], judged[10:], bounds=bounds).interval
            hits[bounds] += found is not None and found.low <= 0.1 <= found.high
    assert hits[None] < 0.7 * 400
    assert hits[(0.0, 1.0)] > 0.93 * 400


def test_too_little_is_said() -> None:
    """No labels, one label, agreement on all labels: a reason each, and no interval."""
    assert prediction_powered_mean([], [], [1.0]).reason == "there are no labels"
    assert prediction_powered_mean([1.0], [1.0], []).reason == "no others"
    one = prediction_powered_mean([1.0], [0.5], [0.5, 0.7], weight=1)
    assert (one.value, one.interval) == (pytest.approx(1.1), None)
    assert one.reason == "uncertainty needs at least two labels"
    agreed = prediction_powered_mean([1.0, 0.0], [1.0, 0.0], [0.5, 0.6], weight=1)
    assert agreed.interval is None
    assert agreed.reason is not None
    bounded = prediction_powered_mean([1.0, 1.0], [1.0, 1.0], [1.0, 1.0], bounds=(0, 1))
    assert bounded.interval is not None
    assert bounded.interval.low < 0.6
    assert bounded.effective_labels is None


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([1.0, np.nan], [1.0, 1.0], [1.0]), {}, "finite"),
        (([1.0], [1.0, 1.0], [1.0]), {}, "one number per item"),
        (([[1.0]], [1.0], [1.0]), {}, "one number per item"),
        (([1.0, 2.0], [1.0, 1.0], [1.0]), {"bounds": (0, 1)}, "outside the bounds"),
        (([1.0, 0.0], [1.0, 1.0], [1.0]), {"bounds": (1, 0)}, "least and the greatest"),
        (([1.0, 0.0], [1.0, 1.0], [1.0]), {"level": 0}, "level"),
    ],
)
def test_malformed_input_is_named(arguments: tuple[object, ...], options: dict[str, object], words: str) -> None:
    """Each message says what is wanted."""
    with pytest.raises(ValueError, match=words):
        prediction_powered_mean(*arguments, **options)  # type: ignore[arg-type]
