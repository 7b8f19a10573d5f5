"""Resampling, percentile intervals and means. Own-made cases; AlpacaEval's published raw win rates where present."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from judgebench.stats.intervals import (
    bca_interval,
    bootstrap_mean,
    percentile_interval,
    resample_counts,
    studentised_interval,
)

ALPACAEVAL = Path(__file__).parents[2].parent / "shared" / "data" / "alpacaeval"


def generator(seed: int = 0) -> np.random.Generator:
    """A fixed random generator."""
    return np.random.default_rng(seed)


def test_counts_of_each_resample_sum_to_n() -> None:
    """A resample of n examples holds n draws, and each example is drawn once on average, with multinomial variance."""
    counts = resample_counts(50, 4000, generator())
    assert counts.shape == (4000, 50)
    assert (counts.sum(axis=1) == 50).all()
    # 4,000 draws: the mean count has standard deviation 0.016 and the variance, 1 - 1/50, about 0.03 per example.
    assert np.abs(counts.mean(axis=0) - 1).max() < 0.08
    assert np.var(counts) == pytest.approx(1 - 1 / 50, abs=0.02)


def test_counts_can_be_drawn_in_parts() -> None:
    """Drawing 7 rounds, then 5, from one generator gives the same resamples as drawing 12."""
    parts = generator(3)
    drawn = np.concatenate([resample_counts(9, 7, parts), resample_counts(9, 5, parts)])
    assert (drawn == resample_counts(9, 12, generator(3))).all()


@pytest.mark.parametrize(("n", "rounds"), [(0, 10), (5, 0)])
def test_nothing_to_resample_is_an_error(n: int, rounds: int) -> None:
    """Zero examples or zero rounds raise instead of returning an empty array."""
    with pytest.raises(ValueError, match="at least one example and one round"):
        resample_counts(n, rounds, generator())


def test_percentile_interval_interpolates_order_statistics() -> None:
    """Quantile q of 0, 1, ..., 40 is 40 q: 2.5 and 97.5 percent are 1 and 39."""
    interval = percentile_interval(np.arange(41.0)[::-1])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((1.0, 39.0), abs=1e-12)
    assert (interval.level, interval.method) == (0.95, "bootstrap percentile")


def test_percentile_interval_of_one_replicate_is_none() -> None:
    """One replicate or none gives no interval."""
    assert percentile_interval([1.0]) is None
    assert percentile_interval([]) is None


def test_percentile_interval_refuses_nan_and_odd_levels() -> None:
    """NaN never reaches an interval, and a level in percent is refused."""
    with pytest.raises(ValueError, match="must be finite"):
        percentile_interval([0.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval([0.0, 1.0], level=95)


def test_mean_has_the_textbook_standard_error() -> None:
    """Values 1, 2, 3, 4: mean 2.5, sd sqrt(5/3), standard error sqrt(5/12)."""
    result = bootstrap_mean([1.0, 2.0, 3.0, 4.0], rng=generator())
    assert result.estimate == 2.5
    assert result.stderr == pytest.approx(np.sqrt(5 / 12), rel=1e-14)
    assert result.n == 4


def test_bootstrap_interval_of_many_values_is_nearly_normal() -> None:
    """For 2,000 uniform values the percentile interval is close to mean plus or minus 1.96 standard errors."""
    result = bootstrap_mean(generator(1).random(2000), rng=generator(2), rounds=4000)
    assert result.estimate is not None
    assert result.stderr is not None
    assert result.interval is not None
    # The 2.5 % quantile of 4,000 replicates has itself a standard deviation of 0.04 standard errors.
    assert result.interval.low == pytest.approx(result.estimate - 1.96 * result.stderr, abs=0.2 * result.stderr)
    assert result.interval.high == pytest.approx(result.estimate + 1.96 * result.stderr, abs=0.2 * result.stderr)


def test_same_generator_gives_the_same_interval() -> None:
    """The interval is a function of the data and the seed."""
    values = generator(4).random(30)
    assert bootstrap_mean(values, rng=generator(5)) == bootstrap_mean(values, rng=generator(5))


def test_mirrored_values_mirror_the_interval() -> None:
    """The mean of 1 - x has the interval of the mean of x, turned around."""
    values = generator(6).random(40)
    there, back = (
        bootstrap_mean(values, rng=generator(7)).interval,
        bootstrap_mean(1 - values, rng=generator(7)).interval,
    )
    assert there is not None
    assert back is not None
    assert (back.low, back.high) == pytest.approx((1 - there.high, 1 - there.low), abs=1e-12)


def test_equal_weights_change_nothing() -> None:
    """Weights of 3 everywhere give the unweighted result."""
    values = generator(8).random(25)
    plain, weighted = bootstrap_mean(values, rng=generator(9)), bootstrap_mean(values, [3.0] * 25, rng=generator(9))
    assert weighted.estimate == pytest.approx(plain.estimate, rel=1e-14)
    assert weighted.stderr == pytest.approx(plain.stderr, rel=1e-14)
    assert plain.interval is not None
    assert weighted.interval is not None
    assert (weighted.interval.low, weighted.interval.high) == pytest.approx((plain.interval.low, plain.interval.high))


def test_weights_weigh() -> None:
    """A weight of 3 on the value 1 against 1 on the value 0 gives 0.75."""
    assert bootstrap_mean([1.0, 0.0], [3.0, 1.0], rng=generator()).estimate == 0.75


@pytest.mark.parametrize(("values", "estimate"), [([], None), ([0.3], 0.3)])
def test_too_few_values_give_none(values: list[float], estimate: float | None) -> None:
    """With fewer than two values there is no standard error and no interval, and no NaN or warning."""
    result = bootstrap_mean(values, rng=generator())
    assert (result.estimate, result.stderr, result.interval, result.n) == (estimate, None, None, len(values))


def test_equal_values_give_an_interval_of_no_width() -> None:
    """Ten times 0.1 has mean 0.1, standard error 0 and an interval from 0.1 to 0.1, up to rounding of 0.1."""
    result = bootstrap_mean([0.1] * 10, rng=generator())
    assert result.interval is not None
    assert (result.estimate, result.interval.low, result.interval.high) == pytest.approx((0.1, 0.1, 0.1), rel=1e-15)
    assert result.stderr == pytest.approx(0, abs=1e-16)


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [
        ([0.0, np.nan], None, "values must be finite"),
        ([0.0, 1.0], [1.0, 0.0], "weights must be positive"),
        ([0.0, 1.0], [1.0], "one number per example"),
    ],
)
def test_unusable_values_are_named(values: list[float], weights: list[float] | None, message: str) -> None:
    """NaN, weights that are not positive, and differing lengths each raise with the reason."""
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, weights, rng=generator())


def test_alpacaeval_win_rates_and_standard_errors() -> None:
    """Raw win rate and standard error of 39 models equal AlpacaEval 2's published table (1.4e-10: their rounding)."""
    if not ALPACAEVAL.exists():
        pytest.skip("shared/data/alpacaeval is not beside the repository")
    expected = pd.read_csv(ALPACAEVAL / "expected.csv").set_index("model").dropna(subset="pub_win_rate")
    annotations = pd.read_parquet(ALPACAEVAL / "ae2_annotations.parquet").dropna(subset="preference")
    compared = 0
    for model, rows in annotations.groupby("model"):
        if model not in expected.index:
            continue
        result = bootstrap_mean(100 * (rows["preference"].to_numpy() - 1), rng=generator(), rounds=2)
        assert result.estimate == pytest.approx(expected.loc[model, "pub_win_rate"], abs=1e-9)
        assert result.stderr == pytest.approx(expected.loc[model, "pub_standard_error"], abs=1e-9)
        compared += 1
    assert compared == len(expected)


def test_bca_without_skewness_is_the_percentile_interval() -> None:
    """Replicates centred on the estimate and symmetric influences shift nothing."""
    replicates = np.arange(-500.0, 501)
    interval, reason = bca_interval(replicates, 0.0, [-1.0, 1.0])
    plain = percentile_interval(replicates)
    assert reason is None
    assert interval is not None
    assert plain is not None
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=1e-9)


@pytest.mark.parametrize(
    ("replicates", "jackknife", "reason"),
    [
        ([1.0, 2.0, 3.0], [0.0, 1.0], "all resamples lie on one side"),
        ([-1.0, 1.0], [0.0, 0.0], "no resampled unit changes"),
        ([1.0], [0.0, 1.0], "fewer than two resamples"),
    ],
)
def test_bca_that_cannot_be_says_why(replicates: list[float], jackknife: list[float], reason: str) -> None:
    """One side only, nothing that matters, too few rounds."""
    interval, why = bca_interval(replicates, 0.0, jackknife)
    assert interval is None
    assert why is not None
    assert why.startswith(reason)


def test_studentised_leaves_out_few_resamples_without_spread() -> None:
    """One of a hundred without spread is left out; ten of a hundred leave no interval."""
    replicates, spreads = np.linspace(-1, 1, 100), np.ones(100)
    spreads[:1] = 0
    assert studentised_interval(replicates, spreads, 0.0, 1.0)[0] is not None
    spreads[:10] = 0
    assert studentised_interval(replicates, spreads, 0.0, 1.0) == (None, "10 of 100 resamples have no spread")
