"""Cascades: verdicts of two real judges, exact small cases, survey sampling's formulas, and coverage."""

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from judgebench.stats.cascade import CascadeMean, cascade_mean, required_dear
from tests.shared_data import SHARED


def expected(name: str) -> dict[str, Any]:
    """The models of a published cascade with their numbers."""
    rows: dict[str, Any] = json.loads((SHARED / "bridge" / "expected.json").read_text())["cases"][name]["rows"]
    return rows


def every_eighth(path: str, model: str, judges: tuple[str, str], score: str, item: str) -> list[np.ndarray]:
    """Y and F of every eighth item that both judges scored, and F of the others."""
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet(SHARED / "bridge" / path)
    pairs = table[table.model == model].pivot_table(index=item, columns="judge", values=score)
    dear, cheap = (pairs[[*judges]].dropna().sort_index()[judge].to_numpy() for judge in judges)
    chosen = np.arange(len(dear)) % 8 == 0
    return [dear[chosen], cheap[chosen], cheap[~chosen]]


def check(found: CascadeMean, want: dict[str, Any]) -> None:
    """The numbers of both fixtures, which have ten digits."""
    assert (found.population, found.n) == (want["N"], want["n"])
    assert (found.weight, found.value, found.stderr) == pytest.approx(
        (want["weight"], want["value"], want["stderr"]), rel=1e-8
    )
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((want["low"], want["high"]), rel=1e-8)


def test_published_grades() -> None:
    """WildBench: gpt-4-turbo on all items and gpt-4o on every eighth; a t interval, as there are 128 grades."""
    rows = expected("cascade_wb")
    assert len(rows) == 4
    for model, want in rows.items():
        judges = ("gpt-4o-2024-05-13", "gpt-4-turbo-2024-04-09")
        drawn = every_eighth("wildbench_two_judges.parquet", model, judges, "score", "session_id")
        found = cascade_mean(*drawn, low=1, high=10)
        check(found, want)
        assert found.gain == pytest.approx(want["gain"], rel=1e-8)


def test_published_wins() -> None:
    """AlpacaEval 2: the judge with reasoning on all items, the other on every eighth; four corners for wins."""
    rows = expected("cascade_ae2")
    assert len(rows) == 3
    for model, want in rows.items():
        judges = ("alpaca_eval_gpt4_turbo_fn", "alpaca_eval_cot_gpt4_turbo_fn")
        drawn = every_eighth("ae2_other_judges.parquet", model, judges, "preference", "idx")
        found = cascade_mean(*(side - 1 for side in drawn))
        check(found, want)


def split(n: int, population: int, seed: int = 0) -> list[np.ndarray]:
    """Grades from 0 to 1 by two judges that agree somewhat."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0.1, 0.9, population)
    dear, cheap = (np.clip(quality + rng.normal(0, 0.1, population), 0, 1) for _ in range(2))
    return [dear[:n], cheap[:n], cheap[n:]]


def test_all_items_judged() -> None:
    """The dear judge's mean itself, with width 0, in either form."""
    dear, cheap, _ = split(30, 30)
    for corners in (None, True, False):
        found = cascade_mean(dear, cheap, [], corners=corners)
        assert found.value == pytest.approx(dear.mean(), abs=1e-12)
        assert found.interval is not None
        assert (found.stderr, found.interval.low, found.interval.high) == (0, found.value, found.value)


def test_a_cheap_judge_that_says_nothing() -> None:
    """One verdict for all items, or verdicts that run against the dear judge's: the sample's mean and its error."""
    dear, _, rest = split(40, 200)
    for cheap, others in ((np.full(40, 0.5), np.full(160, 0.5)), (1 - dear, rest)):
        found = cascade_mean(dear, cheap, others, corners=False)
        assert (found.weight, found.value) == (0, pytest.approx(dear.mean()))
        stderr = np.sqrt((1 - 40 / 200) * np.square(dear - dear.mean()).sum() / (38 * 40))
        assert found.stderr == pytest.approx(stderr)
        assert found.gain == pytest.approx(38 / 39)
        half = stats.t.ppf(0.975, 38) * stderr
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx((dear.mean() - half, dear.mean() + half))


def test_the_weight_is_the_slope_of_least_squares() -> None:
    """Between 0 and 1 it is scipy's slope, and the estimate its line at the mean over all items."""
    dear, cheap, others = split(120, 400)
    found = cascade_mean(dear, cheap, others)
    line = stats.linregress(cheap, dear)
    assert found.weight == pytest.approx(line.slope)
    assert found.value == pytest.approx(line.intercept + line.slope * np.concatenate([cheap, others]).mean())
    assert found.gain == pytest.approx((1 - line.rvalue**2) ** -1 * 118 / 119)


def test_judges_that_agree_on_everything_seen() -> None:
    """(3) is certain, and may be wrong; the corners keep a width while an item is not seen."""
    wins = np.array([1.0, 0, 0, 1, 0] * 30)
    found = cascade_mean(wins, wins, [0.0, 1.0] * 40)
    assert found.interval is not None
    assert found.interval.method == "cascade, four corners"
    assert found.interval.high - found.interval.low > 0.01
    assert (found.stderr, found.gain) == (0, None)


@pytest.mark.parametrize(
    ("n", "values", "method"),
    [
        (99, [0.1, 0.3, 0.7], "cascade, four corners"),
        (120, [0.1, 0.3, 0.7], "cascade, t"),
        (120, [0.0, 0.5, 1.0], "cascade, four corners"),
    ],
)
def test_which_interval(n: int, values: list[float], method: str) -> None:
    """Four corners for wins, losses and ties, and below 100 verdicts; either can be asked for."""
    rng = np.random.default_rng(0)
    data = [rng.choice(values, size) for size in (n, n, 300)]
    names = [cascade_mean(*data, corners=corners).interval for corners in (None, True, False)]
    assert [name and name.method for name in names] == [method, "cascade, four corners", "cascade, t"]


def test_the_made_up_items_stand_at_the_corners() -> None:
    """Equation (4) on lists in which the four corners are real items, of z^2 / 4 = 1 item each."""
    level = 2 * stats.norm.cdf(2) - 1
    dear, cheap, others = split(20, 100)
    y, f = np.concatenate([dear, [0, 0, 1, 1]]), np.concatenate([cheap, [0, 1, 0, 1]])
    weight = stats.linregress(f, y).slope
    residual = y - weight * f
    centre = weight * np.concatenate([cheap, others]).mean() + residual.mean()
    half = 2 * np.sqrt(0.8 * residual.var() / 24)
    found = cascade_mean(dear, cheap, others, level=level).interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))


def test_an_interval_with_corners_ends_at_the_bounds() -> None:
    """Where all is won or lost, the made-up items reach beyond what can be."""
    for verdict in (0.0, 1.0):
        found = cascade_mean([verdict] * 20, [verdict] * 20, [verdict] * 400).interval
        assert found is not None
        assert (found.low == 0, found.high == 1) == (verdict == 0, verdict == 1)


def test_two_verdicts_have_corners_and_no_standard_error() -> None:
    """One and none, too; the reason says what is missing."""
    for n in (1, 2):
        found = cascade_mean([0.4, 0.6][:n], [0.3, 0.8][:n], [0.2, 0.7, 0.9])
        assert found.interval is not None
        assert 0 <= found.interval.low < found.interval.high <= 1
        assert (found.stderr, found.gain) == (None, None)
        assert found.reason == "a standard error needs at least three verdicts of the dear judge"
        assert cascade_mean([0.4, 0.6][:n], [0.3, 0.8][:n], [0.2], corners=False).interval is None
    found = cascade_mean([], [], [0.2])
    assert found == CascadeMean(None, None, None, None, 0, 1, None, "the dear judge judged no item")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"low": 1.0}, "least and the greatest"),
        ({"high": 0.5}, "outside the bounds, 0 to 0.5"),
        ({"level": 95}, "level is a share"),
        ({"others": [np.nan]}, "finite"),
        ({"cheap": [0.5]}, "one number per item"),
    ],
)
def test_wrong_input(changes: dict[str, Any], words: str) -> None:
    """Verdicts that cannot be are errors that say what is wrong."""
    arguments = {"dear": [0.2, 0.9, 0.4], "cheap": [0.3, 0.8, 0.4], "others": [0.1, 0.2]}
    with pytest.raises(ValueError, match=words):
        cascade_mean(**{**arguments, **changes})


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=20),
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.floats(-10, 10),
    st.floats(0.1, 10),
    st.booleans(),
)
def test_another_scale_gives_the_same(verdicts: Any, others: Any, low: float, scale: float, corners: bool) -> None:
    """Grades from 1 to 10 are shares of the win on another scale; value and interval lie within the bounds or about."""
    dear, cheap = np.round(np.array(verdicts), 6).T
    rest = np.round(others, 6)
    plain = cascade_mean(dear, cheap, rest, corners=corners)
    image = cascade_mean(
        *(low + scale * side for side in (dear, cheap, rest)), low=low - 1e-9, high=low + scale + 1e-9, corners=corners
    )
    assert plain.value is not None
    assert plain.interval is not None
    assert image.interval is not None
    assert 0 <= plain.value <= 1
    ends = low + scale * np.array([plain.value, plain.interval.low, plain.interval.high])
    assert [image.value, image.interval.low, image.interval.high] == pytest.approx(list(ends), abs=1e-5 * scale)


def test_every_sample_of_ten_items() -> None:
    """Of all 252 samples of five of ten items the sample mean's error is exact, and the cascade's mean is close."""
    dear = np.array([0.1, 0.3, 0.2, 0.6, 0.5, 0.8, 0.9, 0.4, 0.7, 0.6])
    cheap = dear + np.array([0.05, -0.05, 0.1, 0.0, -0.1, 0.05, 0.0, 0.05, -0.1, 0.0])
    values = []
    for sample in combinations(range(10), 5):
        drawn = np.isin(np.arange(10), sample)
        found = cascade_mean(dear[drawn], cheap[drawn], cheap[~drawn], corners=False)
        assert found.value is not None
        values.append(found.value)
    assert np.mean(values) == pytest.approx(dear.mean(), abs=0.005)
    # The cheap judge leaves a seventh of the sample mean's variance, (1 - n / N) var / n.
    assert np.var(values) < 0.5 * dear.var(ddof=1) / 5 / 3


@pytest.mark.parametrize(("n", "population"), [(30, 100), (60, 100), (90, 100), (95, 100), (100, 805), (724, 805)])
def test_coverage_of_rare_wins(n: int, population: int) -> None:
    """3 % wins: four corners hold the dear judge's mean in 90 % of 500 samples or more, also if few are unseen."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=population)
    least = np.quantile(quality, 0.97)
    dear = (quality > least) * 1.0
    cheap = (quality + 0.7 * rng.normal(size=population) > least) * 1.0
    held = 0
    for _ in range(500):
        order = rng.permutation(population)
        found = cascade_mean(dear[order[:n]], cheap[order[:n]], cheap[order[n:]]).interval
        assert found is not None
        held += found.low - 1e-9 <= dear.mean() <= found.high + 1e-9
    assert held >= 450


@pytest.mark.parametrize(("width", "span"), [(0.05, 1.0), (0.08, 1.0), (0.12, 1.0), (0.05, None)])
def test_so_many_verdicts_give_the_width_that_was_wanted(width: float, span: float | None) -> None:
    """Wins of two judges that agree somewhat, in four corners, and grades in t intervals: over 60 random parts, the
    half-widths are on average within 3 % of the one planned for.
    """
    rng = np.random.default_rng(0)
    quality = rng.normal(0, 1, 805)
    cheap, dear = (quality + rng.normal(0, 0.8, 805) for _ in range(2))
    if span is not None:
        cheap, dear = (cheap > 0) * 1.0, (dear > 0) * 1.0
    else:
        cheap, dear = (np.clip(0.5 + verdicts / 8, 0, 1) for verdicts in (cheap, dear))
    gain = 1 / (1 - np.corrcoef(cheap, dear)[0, 1] ** 2)
    n = required_dear(width, sd=float(dear.std()), gain=float(gain), population=805, span=span)
    halves = []
    for _ in range(60):
        order = rng.permutation(805)
        found = cascade_mean(dear[order[:n]], cheap[order[:n]], cheap[order[n:]], corners=span is not None)
        assert found.interval is not None
        halves.append((found.interval.high - found.interval.low) / 2)
    assert np.mean(halves) == pytest.approx(width, rel=0.03 if span is not None else 0.1)


def test_a_width_that_only_all_items_give_takes_all() -> None:
    """And impossible questions are refused."""
    assert required_dear(0.001, sd=45, gain=1, population=805) == 805
    with pytest.raises(ValueError, match="are above 0"):
        required_dear(0, sd=1, gain=1, population=10)
