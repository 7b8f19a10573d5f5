"""Cycles: Kendall's formula, brute force, chance, and PandaLM's numbers."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.transitivity import WinMatrix, cycles, fit_test, item_cycles, win_matrix
from tests.stats.judge_meta import expected, lines

OUTCOME = {1: 1.0, 0: 0.5, 2: 0.0}


@pytest.mark.parametrize("judge", ["majority", "judge_gpt35", "judge_pandalm"])
def test_pandalms_models(judge: str) -> None:
    """Win rates to 1e-12, games, cyclic triads, zeta and violations of strong transitivity exactly."""
    numbers = expected("transitivity_pandalm")[judge]
    models = numbers["models"]
    games = [(line["cmp_key"].split("_"), line[judge]) for line in lines("pandalm/cross_annotations")]
    games = [(names, winner) for names, winner in games if winner is not None]
    first = [models.index(names[0]) for names, _ in games]
    second = [models.index(names[1]) for names, _ in games]
    matrix = win_matrix(first, second, [OUTCOME[winner] for _, winner in games], len(models))
    for (i, one), (j, two) in combinations(enumerate(models), 2):
        assert matrix.share[i, j] == pytest.approx(numbers["win_rate"][f"{one}>{two}"], abs=1e-12)
        assert matrix.share[j, i] == pytest.approx(1 - matrix.share[i, j], abs=1e-12)
        assert matrix.games[i, j] == numbers["games"][f"{one}|{two}"]
    means = np.nanmean(np.where(np.eye(len(models), dtype=bool), np.nan, matrix.share), axis=1)
    assert dict(zip(models, means, strict=True)) == pytest.approx(numbers["mean_win_rate"], abs=1e-12)
    found = cycles(matrix)
    assert found.triads == numbers["cyclic_triads"]
    assert found.possible == numbers["max_triads"]
    assert found.consistency == numbers["kendall_consistence_zeta"]
    assert found.strong_violations == numbers["strong_stochastic_transitivity_violations_ordered_triples"]
    assert found.strongest is None
    # One rating per model explains these win rates.
    fit = fit_test(first, second, [OUTCOME[winner] for _, winner in games], len(models))
    assert fit.degrees == 10 - 4
    assert fit.p is not None
    assert fit.p > 0.05


def random_matrix(models: int, seed: int, decided: bool = False) -> WinMatrix:
    """A round robin of four games per pair; if decided, of one."""
    rng = np.random.default_rng(seed)
    pairs = np.array([pair for pair in combinations(range(models), 2) for _ in range(1 if decided else 4)])
    outcome = rng.integers(0, 2, len(pairs)) if decided else rng.integers(0, 3, len(pairs)) / 2
    return win_matrix(pairs[:, 0], pairs[:, 1], outcome, models)


@settings(max_examples=30)
@given(models=st.integers(3, 8), seed=st.integers(0, 10_000))
def test_counts_equal_brute_force(models: int, seed: int) -> None:
    """Cycles and violations counted one by one; a permutation of the models changes nothing."""
    matrix = random_matrix(models, seed)
    share, z = matrix.share, np.abs(matrix.share - 0.5) * 4
    circles = [
        trio
        for trio in permutations(range(models), 3)
        if all(share[trio[k], trio[(k + 1) % 3]] > 0.5 for k in range(3))
    ]
    wrong = sum(
        share[i, j] >= 0.5 and share[j, k] >= 0.5 and share[i, k] < max(share[i, j], share[j, k])
        for i, j, k in permutations(range(models), 3)
    )
    found = cycles(matrix)
    assert (found.triads, found.strong_violations) == (len(circles) // 3, wrong)
    weakest = [min(z[trio[k], trio[(k + 1) % 3]] for k in range(3)) for trio in circles]
    assert found.strongest == (pytest.approx(max(weakest)) if circles else None)
    order = np.random.default_rng(seed).permutation(models)
    assert cycles(WinMatrix(share[np.ix_(order, order)], matrix.games[np.ix_(order, order)])) == found


@settings(max_examples=30)
@given(models=st.integers(3, 15), seed=st.integers(0, 10_000))
def test_kendalls_formula(models: int, seed: int) -> None:
    """Without ties the cyclic triads are C(m, 3) - sum of C(wins, 2); zeta lies in [0, 1]."""
    matrix = random_matrix(models, seed, decided=True)
    wins = (matrix.share > 0.5).sum(axis=1)
    found = cycles(matrix)
    assert found.triads == models * (models - 1) * (models - 2) // 6 - int((wins * (wins - 1) // 2).sum())
    assert found.consistency is not None
    assert 0 <= found.consistency <= 1


def test_a_quarter_is_chance() -> None:
    """Coin flips of 12 models, 200 round robins: the mean count is within four standard errors of C(12, 3) / 4."""
    counts = [cycles(random_matrix(12, seed, decided=True)).triads for seed in range(200)]
    assert abs(np.mean(counts) - 55) < 4 * np.std(counts) / 200**0.5
    assert cycles(random_matrix(12, 0)).by_chance == 55


def flips(items: int, rates: tuple[float, float, float], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Verdicts on three models, independent within items: A against B, B against C, C against A."""
    rng = np.random.default_rng(seed)
    votes = np.where(rng.random((items, 3)) < rates, 1, -1)
    item, game = (part.ravel() for part in np.indices((items, 3)))
    return item, np.array([0, 1, 2])[game], np.array([1, 2, 0])[game], votes.ravel()


def test_independent_verdicts_make_cycles_as_expected() -> None:
    """2,000 items: coin flips in a quarter, rates .8, .7, .2 in .8 .7 .2 + .2 .3 .8, within four standard errors."""
    for rates, wanted in (((0.5, 0.5, 0.5), 0.25), ((0.8, 0.7, 0.2), 0.8 * 0.7 * 0.2 + 0.2 * 0.3 * 0.8)):
        found = item_cycles(*flips(2000, rates), 3, rng=np.random.default_rng(0))
        assert found.coin_flips == 0.25
        assert found.independent == pytest.approx(wanted, abs=0.02)
        error = (wanted * (1 - wanted) / 2000) ** 0.5
        assert found.share == pytest.approx(wanted, abs=4 * error)
        assert found.interval is not None
        assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * error, rel=0.15)
        assert (found.triads, found.items) == (2000, 2000)


def test_a_judge_with_circles_has_more_than_independent_verdicts() -> None:
    """Every item one of the two circles: all cycles, where verdicts as even, but independent, would give a quarter."""
    item, first, second, _ = flips(100, (0.5, 0.5, 0.5))
    votes = np.repeat(np.where(np.arange(100) % 2, 1, -1), 3)
    found = item_cycles(item, first, second, votes, 3, rng=np.random.default_rng(0))
    assert (found.share, found.independent) == (1.0, pytest.approx(0.25))
    # Whichever model is named first.
    turned = item_cycles(item, second, first, -votes, 3, rng=np.random.default_rng(0))
    assert turned == found
    ordered = item_cycles(item, first, second, np.tile([1, 1, -1], 100), 3, rng=np.random.default_rng(0))
    assert (ordered.share, ordered.independent) == (0.0, 0.0)


def test_a_tie_is_no_cycle() -> None:
    """One tie of three: nothing goes round, and chance falls to (2/3)^3 / 4."""
    found = item_cycles([1] * 3, [0, 1, 2], [1, 2, 0], [1, 1, 0], 3, rng=np.random.default_rng(0))
    assert (found.share, found.interval) == (0.0, None)
    assert found.coin_flips == pytest.approx((2 / 3) ** 3 / 4)


def test_g_squared_of_a_circle_by_hand() -> None:
    """Equal ratings forecast 1/2: 3 x 40 games at 3/4 give 2 x 120 x (.75 ln 1.5 + .25 ln .5)."""
    found = fit_test([0, 1, 2] * 40, [1, 2, 0] * 40, [1, 1, 1] * 30 + [0, 0, 0] * 10, 3)
    assert found.statistic == pytest.approx(240 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rel=1e-6)
    assert found.degrees == 1


def test_the_fit_test_keeps_its_level() -> None:
    """300 round robins of 5 models with ratings: 5 % rejections, give or take 4 (three standard errors)."""
    rng = np.random.default_rng(0)
    strength = np.linspace(-0.8, 0.8, 5)
    pairs = np.array(list(combinations(range(5), 2)) * 40)
    chance = 1 / (1 + np.exp(strength[pairs[:, 1]] - strength[pairs[:, 0]]))
    p = [fit_test(pairs[:, 0], pairs[:, 1], (rng.random(400) < chance) * 1.0, 5).p for _ in range(300)]
    assert np.mean([value is not None and value <= 0.05 for value in p]) == pytest.approx(0.05, abs=0.04)


def test_too_little_is_said() -> None:
    """Two models, pairs that never met, no items, models that cannot be rated."""
    pair = cycles(win_matrix([0], [1], [1.0], 2))
    assert (pair.triads, pair.possible, pair.consistency) == (0, 0, None)
    chain = cycles(win_matrix([0, 1], [1, 2], [1.0, 1.0], 3))
    assert (chain.possible, chain.consistency) == (0, None)
    none = item_cycles([], [], [], [], 3, rng=np.random.default_rng(0))
    assert (none.share, none.triads, none.independent) == (None, 0, None)
    assert fit_test([0, 0], [1, 1], [1.0, 1.0], 2).reason == "fewer than two models can be rated"
    assert fit_test([0, 0], [1, 1], [1.0, 0.0], 2).p is None


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    rng = np.random.default_rng(0)
    for call, words in (
        (lambda: win_matrix([0], [0], [1.0], 2), "different models"),
        (lambda: win_matrix([0], [2], [1.0], 2), "numbered 0 to 1"),
        (lambda: win_matrix([0], [1], [1.5], 2), "share of the win"),
        (lambda: win_matrix([0], [1], [np.nan], 2), "share of the win"),
        (lambda: win_matrix([0], [1, 0], [1.0], 2), "outcome each"),
        (lambda: item_cycles([1, 1], [0, 1], [1, 0], [1, 1], 2, rng=rng), "one verdict per item"),
        (lambda: item_cycles([1], [0], [1], [0.5], 2, rng=rng), "1, -1 or 0"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
