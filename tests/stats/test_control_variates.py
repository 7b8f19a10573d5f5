"""Control variates: fair whatever they are, exactly; worth something on real verdicts."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.control_variates import deviations, start_control
from judgebench.stats.sequential import betting_sequence, continue_betting, decide, start_betting
from tests.shared_data import SharedData

SCORES = np.array([0.0, 1.0, 1.0, 0.5, 0.2])
KNOWN = np.array([[0.1, 3.0], [0.9, 1.0], [0.7, -2.0], [0.4, 0.0], [0.3, 0.0]])


@pytest.mark.parametrize("bets", ["horizon", "early"])
def test_capitals_at_the_mean_are_one_on_average_over_all_orders(bets: str) -> None:
    """The martingale, exactly: over the 120 orders of five items, K+ and K- at the mean are 1 after every item."""
    mean = float(SCORES.mean())
    higher, lower = np.zeros(5), np.zeros(5)
    for order in permutations(range(5)):
        places = list(order)
        state = start_betting(5, bets=bets, control=KNOWN[places], steps=2)  # type: ignore[arg-type]
        # One candidate in the grid's middle: the mean.
        grid = np.array([0.0, mean, 1.0])
        object.__setattr__(state, "grid", grid)
        for time, score in enumerate(SCORES[places]):
            state, _ = continue_betting(state, [score])
            higher[time] += np.exp(state.log_higher[:, 1]).mean() / 120
            lower[time] += np.exp(state.log_lower[:, 1]).mean() / 120
    assert higher == pytest.approx(np.ones(5), abs=1e-12)
    assert lower == pytest.approx(np.ones(5), abs=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_deviations_are_foreseeable(seed: int, items: int, columns: int) -> None:
    """The last score changes no deviation; each lies within its bounds; those of the items left have mean 0."""
    rng = np.random.default_rng(seed)
    known, scores = rng.normal(size=(items, columns)), rng.random(items)
    _, found = deviations(start_control(known, items), scores)
    other = scores.copy()
    other[-1] = 1 - other[-1]
    _, same = deviations(start_control(known, items), other)
    assert (found[:3] == same[:3]).all()
    assert (found[1] <= found[0] + 1e-12).all()
    assert (found[0] <= found[2] + 1e-12).all()
    assert abs(found[0, -1]) < 1e-9  # of one item that is left, everything is known


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_part_at_a_time_gives_the_same_bounds(seed: int) -> None:
    """And after the last item the mean itself, whatever the control is; another unit of the control changes nothing."""
    rng = np.random.default_rng(seed)
    known, scores = rng.normal(size=(40, 2)), rng.integers(0, 3, 40) / 2
    whole = betting_sequence(scores, 40, control=known)
    state = start_betting(40, control=5 - 3 * known)
    low, mean = [], []
    for begin in range(0, 40, 7):
        state, part = continue_betting(state, scores[begin : begin + 7])
        low += list(part.low)
        mean += list(part.mean)
    assert low == pytest.approx(list(whole.low), abs=1e-9)
    assert mean == pytest.approx(list(whole.mean), abs=1e-9)
    assert whole.mean[-1] == pytest.approx(scores.mean())


def test_a_control_that_says_nothing_changes_nothing() -> None:
    """A constant one, for the sequence; the bets of a decision are early ones then."""
    scores = np.random.default_rng(3).random(60)
    plain, constant = betting_sequence(scores, 60), betting_sequence(scores, 60, control=np.full(60, 7.0))
    assert (plain.low == constant.low).all()
    assert (plain.high == constant.high).all()


def test_a_control_that_foresees_narrows_the_interval() -> None:
    """By a quarter and more, after a third of the items."""
    rng = np.random.default_rng(5)
    quality = rng.normal(size=600)
    scores = 1 / (1 + np.exp(-quality - 0.3 * rng.normal(size=600)))
    plain, helped = betting_sequence(scores[:200], 600), betting_sequence(scores[:200], 600, control=quality)
    assert plain.interval is not None
    assert helped.interval is not None
    widths = [found.high - found.low for found in (helped.interval, plain.interval)]
    assert widths[0] < 0.75 * widths[1]
    assert helped.interval.low <= scores.mean() <= helped.interval.high


@pytest.mark.parametrize("kind", ["nothing", "foresees", "opposed", "the score"])
def test_the_level_holds_for_every_control(kind: str) -> None:
    """The truth just below the threshold: in 200 rounds at most 10 % say above (5 % and three standard errors)."""
    rng, wrong = np.random.default_rng(11), 0
    for _ in range(200):
        quality = rng.normal(size=60)
        scores = (quality + rng.normal(size=60) > 0) * 1.0
        opposed = np.where(np.arange(60) < 12, -quality, quality)
        known = {"nothing": rng.normal(size=60), "foresees": quality, "opposed": opposed, "the score": scores}[kind]
        order = rng.permutation(60)
        threshold = min(float(scores.mean()) + 1e-7, 1.0)
        wrong += decide(scores[order], 60, threshold, control=known[order]).verdict == "above"
    assert wrong <= 20


@pytest.mark.parametrize(
    ("known", "words"),
    [(np.zeros(4), "each of the 5 items"), (np.full(5, np.nan), "finite"), (np.zeros((5, 2, 2)), "shape")],
)
def test_a_control_is_known_of_every_item(known: np.ndarray, words: str) -> None:
    """One that is not is refused, as is one without a population."""
    with pytest.raises(ValueError, match=words):
        decide(SCORES, 5, 0.5, control=known)
    with pytest.raises(ValueError, match="needs a population"):
        start_betting(None, control=KNOWN)


def test_real_pairs_are_decided_earlier(shared_data: SharedData) -> None:
    """60 pairs of AlpacaEval models: with the baseline's verdicts and the other models' mean, a third fewer items."""
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet(shared_data / "alpacaeval" / "ae2_annotations.parquet")
    verdicts = (table.pivot_table(index="row", columns="model", values="preference") - 1).dropna().to_numpy()
    rng, today, helped, wrong = np.random.default_rng(0), [], [], 0
    for _ in range(60):
        one, two = rng.choice(verdicts.shape[1], 2, replace=False)
        own = verdicts[rng.permutation(len(verdicts))]
        others = np.delete(own, [one, two], axis=1).mean(axis=1)
        today.append(decide(own[:, one] - own[:, two], len(own), 0.0, lower=-1, upper=1).n)
        known = np.column_stack([own[:, two], others])
        found = decide(own[:, one], len(own), float(own[:, two].mean()), control=known)
        helped.append(found.n)
        wrong += (found.verdict == "above") != bool((own[:, one] - own[:, two]).sum() >= 0)
    assert np.median(helped) < 0.67 * np.median(today)
    assert wrong <= 3
