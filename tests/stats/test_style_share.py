"""What style explains, against statsmodels' and scikit-learn's logistic regressions and made-up judges."""

import numpy as np
import pytest

from judgebench.stats.arrays import FloatArray
from judgebench.stats.length_control import length_controlled_win_rate
from judgebench.stats.style_control import style_differences
from judgebench.stats.style_share import style_only_judge, style_report

from .test_clustered import generator


def answers(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Style counts of two answers each: length, headers, lists."""
    rng = generator(seed)
    return tuple(  # type: ignore[return-value]
        np.stack([rng.integers(100, 3000, n), rng.poisson(2, n), rng.poisson(4, n)], axis=1).astype(float)
        for _ in range(2)
    )


def verdicts(first: FloatArray, second: FloatArray, bias: float, beta: list[float], seed: int = 1) -> FloatArray:
    """Wins drawn from equation (1) with unscaled differences."""
    logit = bias + style_differences(first, second, "ratio") @ np.array(beta)
    return np.asarray(generator(seed).random(len(first)) < 1 / (1 + np.exp(-logit)), dtype=float)


def test_fit_equals_penalised_regression_of_scikit_learn() -> None:
    """Bias and coefficients are scikit-learn's with C = 2, whose penalty |beta|^2 / (2 C) is ours."""
    linear = pytest.importorskip("sklearn.linear_model")
    first, second = answers(300)
    won = verdicts(first, second, 0.4, [1.5, 0.5, 0.0])
    report = style_report(won, first, second, rng=generator(), rounds=20)
    features = style_differences(first, second, "ratio")
    features /= np.sqrt(np.square(features).mean(axis=0))
    fit = linear.LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(features, won)
    assert report.coefficients == pytest.approx(fit.coef_[0].tolist(), abs=1e-5)
    assert report.rates[2].win_rate == pytest.approx(100 / (1 + np.exp(-fit.intercept_[0])), abs=1e-4)


def test_explained_share_is_mcfaddens() -> None:
    """For wins and losses the share of the deviance is 1 - loglikelihood / that of a constant, as in statsmodels."""
    api = pytest.importorskip("statsmodels.api")
    first, second = answers(2000)
    won = verdicts(first, second, 0.0, [2.0, 1.0, 0.0])
    report = style_report(won, first, second, rng=generator(), rounds=5)
    design = np.column_stack([np.ones(2000), style_differences(first, second, "ratio")])
    # The ridge of ours lowers it by less than a thousandth in 2,000 rows.
    assert report.explained_by_style == pytest.approx(api.Logit(won, design).fit(disp=0).prsquared, abs=1e-3)
    assert report.explained_by_length == pytest.approx(api.Logit(won, design[:, :2]).fit(disp=0).prsquared, abs=1e-3)
    markdown = api.Logit(won, design[:, [0, 2, 3]]).fit(disp=0).prsquared
    assert report.explained_by_markdown == pytest.approx(markdown, abs=1e-3)


def test_style_that_wins_is_controlled_away() -> None:
    """Equal answers but for length, judged by length and headers: about 50 percent at equal style, more as it is."""
    first, second = answers(1500)
    first[:, 0] += 1500
    won = verdicts(first, second, 0.0, [2.0, 1.0, 0.0])
    raw, length, style = style_report(won, first, second, rng=generator(), rounds=100).rates
    assert raw.win_rate is not None
    assert raw.win_rate > 60
    assert style.interval is not None
    assert style.interval.low < 50 < style.interval.high
    assert style.explained_interval is not None
    assert style.explained_interval.low > 5
    assert style.explained_points == pytest.approx(raw.win_rate - (style.win_rate or 0.0))
    assert length.win_rate is not None
    assert abs(length.win_rate - 50) < 8


def test_length_row_is_alpacaevals() -> None:
    """The win rate at equal length is that of ``length_control`` with differences baseline - candidate."""
    first, second = answers(200)
    shares = generator(5).random(200)
    report = style_report(shares, first, second, rng=generator(), rounds=5)
    fit = length_controlled_win_rate(shares, (second - first)[:, 0])
    assert report.rates[1].win_rate == pytest.approx(fit.win_rate, rel=1e-12)


def test_swapping_the_answers_mirrors_the_report() -> None:
    """Loser and winner swapped: win rates p become 100 - p, coefficients and explained shares stay."""
    first, second = answers(400)
    won = verdicts(first, second, 0.5, [1.0, 0.0, 1.0])
    one = style_report(won, first, second, rng=generator(3), rounds=20)
    other = style_report(1 - won, second, first, rng=generator(3), rounds=20)
    assert other.coefficients == pytest.approx(one.coefficients, abs=1e-8)
    assert other.explained_by_style == pytest.approx(one.explained_by_style, abs=1e-9)
    for rate, mirrored in zip(one.rates[::2], other.rates[::2], strict=True):
        assert mirrored.win_rate == pytest.approx(100 - (rate.win_rate or 0.0), abs=1e-7)
        assert rate.interval is not None
        assert mirrored.interval is not None
        assert mirrored.interval.low == pytest.approx(100 - rate.interval.high, abs=1e-6)


def test_copies_of_a_prompt_change_no_width() -> None:
    """Every row given twice under one cluster has the same resampled win rates."""
    first, second = answers(80)
    won = verdicts(first, second, 0.2, [1.0, 0.0, 0.0])
    once = style_report(won, first, second, rng=generator(7), rounds=50)
    twice = style_report(
        won.repeat(2),
        first.repeat(2, 0),
        second.repeat(2, 0),
        clusters=np.arange(80).repeat(2),
        rng=generator(7),
        rounds=50,
    )
    assert twice.n_clusters == 80
    assert twice.rates[0].interval == once.rates[0].interval


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_sided_verdicts_have_no_controlled_rate(share: float) -> None:
    """All wins or all losses: the raw rate stays, everything else says why it is missing."""
    first, second = answers(30)
    report = style_report(np.full(30, share), first, second, rng=generator(), rounds=5)
    assert report.rates[0].win_rate == 100 * share
    assert report.rates[2].win_rate is None
    assert report.reason is not None
    assert "one side won every time" in report.reason
    assert report.explained_by_style is None


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_rows_have_a_reason(n: int) -> None:
    """No fit from fewer than five rows."""
    first, second = answers(n)
    report = style_report(np.full(n, 0.5), first, second, rng=generator(), rounds=5)
    assert report.reason is not None
    assert style_only_judge(np.ones(n), first, second).accuracy.reason is not None


def test_separated_and_constant_styles_stay_finite() -> None:
    """The longer always wins, and no answer has headers: a finite fit, and no coefficient for the headers."""
    first = np.array([[400.0, 0.0], [100.0, 0.0]] * 20)
    second = first[::-1].copy()
    won = (first[:, 0] > second[:, 0]).astype(float)
    report = style_report(won, first, second, rng=generator(), rounds=20)
    assert report.coefficients[1] is None
    assert report.coefficients[0] is not None
    assert np.isfinite(report.coefficients[0])
    assert report.explained_by_length is not None
    assert report.explained_by_length > 0.8
    assert report.explained_by_markdown == 0
    assert style_only_judge(won, first, second).accuracy.value == 1.0


def test_only_ties_explain_nothing() -> None:
    """All verdicts one half: 50 percent throughout and nothing to explain."""
    first, second = answers(40)
    report = style_report(np.full(40, 0.5), first, second, rng=generator(), rounds=5)
    assert report.rates[2].win_rate == pytest.approx(50.0)
    assert report.explained_by_style is None
    judge = style_only_judge(np.full(40, 0.5), first, second)
    assert (judge.accuracy.value, judge.accuracy.n) == (None, 0)


def test_floor_of_verdicts_without_style_is_chance() -> None:
    """Random verdicts on 2,000 games: the style-only judge agrees half of the time, though one side wins 80 percent."""
    first, second = answers(2000)
    won = (generator(9).random(2000) < 0.8).astype(float)
    accuracy = style_only_judge(won, first, second).accuracy
    assert accuracy.interval is not None
    assert accuracy.value == pytest.approx(0.5, abs=0.05)


def test_floor_equals_a_cross_validation_written_out() -> None:
    """Five folds by position, scikit-learn without intercept, hits counted by hand."""
    linear = pytest.importorskip("sklearn.linear_model")
    first, second = answers(200)
    won = verdicts(first, second, 0.0, [3.0, 0.0, 1.0])
    features = style_differences(first, second, "ratio")
    features /= np.sqrt(np.square(features).mean(axis=0))
    hits = 0
    for fold in range(5):
        out = np.arange(200) % 5 == fold
        fit = linear.LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10).fit(features[~out], won[~out])
        hits += int((fit.predict(features[out]) == won[out]).sum())
    assert style_only_judge(won, first, second).accuracy.value == pytest.approx(hits / 200, abs=1e-12)


def test_wrong_rows() -> None:
    """Preferences outside 0 to 1, tables of other shapes, no feature at all."""
    first, second = answers(10)
    with pytest.raises(ValueError, match="from 0 to 1"):
        style_report(np.full(10, 2.0), first, second, rng=generator())
    with pytest.raises(ValueError, match="equal shape"):
        style_only_judge(np.ones(10), first, second[:, :2])
    with pytest.raises(ValueError, match="first column"):
        style_only_judge(np.ones(10), first[:, :0], second[:, :0])
    with pytest.raises(ValueError, match="one entry for each"):
        style_report(np.ones(10) / 2, first, second, clusters=[1, 2], rng=generator())
