"""Human-anchored means of stratified samples: unbiased whatever the judge says, and with honest intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray
from judgebench.stats.prediction_powered import prediction_powered_mean
from judgebench.stats.stratified_labels import allocate, expected, stratified_mean
from tests.stats.judge_meta import lines

SHARE = {1: 0.0, 0: 0.5, 2: 1.0}
ROUNDS = 300


def pandalm(judge: str = "judge_pandalm") -> tuple[FloatArray, FloatArray]:
    """The human majority and a judge's verdict on each of PandaLM's items, as shares of the second response's win."""
    read = [line for line in lines("pandalm/cross_annotations") if line[judge] is not None]
    human = np.array([SHARE[line["majority"]] for line in read])
    return human, np.array([SHARE[line[judge]] for line in read])


def drawn(human: FloatArray, judged: FloatArray, counts: dict[float, int], seed: int) -> tuple[float, float, float]:
    """Value and interval from labels of so many items of each verdict."""
    rng, verdicts = np.random.default_rng(seed), sorted(counts)
    chosen = [rng.choice(np.flatnonzero(judged == verdict), counts[verdict], replace=False) for verdict in verdicts]
    strata = np.repeat(np.arange(len(verdicts)), [len(one) for one in chosen])
    places = np.concatenate(chosen)
    sizes = [int((judged == verdict).sum()) for verdict in verdicts]
    found = stratified_mean(human[places], judged[places], judged, strata, sizes)
    assert found.value is not None
    assert found.interval is not None
    return found.value, found.interval.low, found.interval.high


def test_people_s_share_is_found_although_verdicts_decided_who_is_asked() -> None:
    """Real labels and verdicts; ties are labelled ten times as often as the rest. The mean of 300 estimates is the
    human mean within three standard errors, and 95 % intervals, which are about a population and hence a little wide
    for these items, hold it in 93 % at least. The judge's own mean, and the labels without weights, are elsewhere.
    """
    human, judged = pandalm()
    ties = int((judged == 0.5).sum())
    counts = {0.0: 25, 0.5: min(ties, 60), 1.0: 25}
    found = np.array([drawn(human, judged, counts, seed) for seed in range(ROUNDS)])
    error = found[:, 0].std() / ROUNDS**0.5
    assert abs(found[:, 0].mean() - human.mean()) < 3 * error
    assert ((found[:, 1] <= human.mean()) & (human.mean() <= found[:, 2])).mean() >= 0.93


def test_one_stratum_is_a_simple_random_sample() -> None:
    """Value and interval are those of PPI++ with the weight for all items, to the ddof of its variances."""
    rng = np.random.default_rng(2)
    human = (rng.random(900) < 0.4).astype(float)
    judged = np.where(rng.random(900) < 0.8, human, 1 - human)
    found = stratified_mean(human[:200], judged[:200], judged, np.zeros(200), [900])
    plain = prediction_powered_mean(human[:200], judged[:200], judged[200:], bounds=(0, 1))
    assert found.interval is not None
    assert plain.interval is not None
    assert found.value == pytest.approx(plain.value, abs=0.001)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (plain.interval.low, plain.interval.high), abs=0.003
    )
    assert found.effective_labels == pytest.approx(plain.effective_labels, rel=0.05)


def test_by_hand() -> None:
    """Two strata of 300 and 100 items: (3 * 4/5 + 1/10) / 4, with the variance of each within its stratum."""
    human = [1, 1, 1, 1, 0] + [0] * 9 + [1]
    judged, strata = [1.0] * 5 + [0.0] * 10, [0] * 5 + [1] * 10
    found = stratified_mean(human, judged, [1.0] * 300 + [0.0] * 100, strata, [300, 100])
    within = (0.8 * 0.2 * 5 / 4, 0.1 * 0.9 * 10 / 9)
    spread = 0.75 * within[0] + 0.25 * within[1] + 0.75 * (0.8 - 0.625) ** 2 + 0.25 * (0.1 - 0.625) ** 2
    sampling = 0.75**2 * within[0] / 5 + 0.25**2 * within[1] / 10
    first = (spread - 0.75 * within[0] - 0.25 * within[1]) / 400
    assert found.value == pytest.approx(0.625, rel=1e-12)
    assert found.stderr == pytest.approx((first + sampling) ** 0.5, rel=1e-12)
    assert found.weight == 0, "the strata are the verdicts"


def test_a_stratum_without_two_labels_joins_its_neighbour() -> None:
    """Its items still count; no label at all, and one alone, have reasons."""
    found = stratified_mean([1, 0, 1], [0.2, 0.3, 0.6], [0.2, 0.3, 0.6] * 100, [0, 0, 1], [200, 100])
    assert found.value == pytest.approx(2 / 3, abs=0.2)
    assert found.interval is not None
    assert found.interval.high - found.interval.low > 0.3
    assert stratified_mean([], [], [0.5], [], [1]).reason == "there are no labels"
    assert stratified_mean([1], [1], [0.5, 1], [0], [2]).reason == "uncertainty needs at least two labels"


def test_labels_that_all_agree_leave_a_width() -> None:
    """Ten labels, all wins as the judge has it, do not prove that people never differ."""
    found = stratified_mean([1] * 10, [1] * 10, [1] * 500, [0] * 10, [500])
    assert found.interval is not None
    assert found.interval.low < 0.8
    assert found.interval.high == 1


@given(
    st.lists(st.tuples(st.integers(1, 300), st.floats(0, 0.5)), min_size=1, max_size=6),
    st.integers(0, 400),
)
def test_labels_are_shared_out_to_the_last(strata: list[tuple[int, float]], extra: int) -> None:
    """Two of each stratum or all it has, never more than it has, and as many as were asked for."""
    sizes, spreads = [size for size, _ in strata], [spread for _, spread in strata]
    least = sum(min(size, 2) for size in sizes)
    n = min(least + extra, sum(sizes))
    counts = allocate(sizes, spreads, n)
    assert sum(counts) == n
    assert all(min(size, 2) <= count <= size for size, count in zip(sizes, counts, strict=True))


def test_fewer_labels_than_two_each_are_refused() -> None:
    """The caller joins strata first."""
    with pytest.raises(ValueError, match="3 strata need 6 labels at least, got 5"):
        allocate([10, 10, 10], [0.1, 0.1, 0.1], 5)


def test_what_was_promised_comes_true() -> None:
    """Standard errors of PandaLM's labels, drawn 300 times, are within 10 % of those expected from all labels."""
    human, judged = pandalm()
    sizes = [int((judged == verdict).sum()) for verdict in (0.0, 0.5, 1.0)]
    within = [float(human[judged == verdict].var(ddof=1)) for verdict in (0.0, 0.5, 1.0)]
    counts = allocate(sizes, [variance**0.5 for variance in within], 120)
    slope = float(np.cov(human, judged)[0, 1] / judged.var(ddof=1))
    promised = expected(sizes, within, float((human - slope * judged).var(ddof=1)), float(human.var(ddof=1)), counts)
    found = np.array(
        [drawn(human, judged, dict(zip((0.0, 0.5, 1.0), counts, strict=True)), seed)[0] for seed in range(ROUNDS)]
    )
    share, noise = np.array(sizes) / len(human), np.array(within)
    # All estimates are about the same items: of the variance promised, that of the items themselves does not show.
    labels = float(np.square(share) @ (noise / counts))
    assert found.std() == pytest.approx((labels - float(share @ noise) / len(human)) ** 0.5, rel=0.1)
    assert labels**0.5 < promised.stratified < promised.humans_alone
    assert promised.worth > 1.2
