"""Agreement of votes: by hand, by identities, and where there is too little."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.agreement import (
    Metric,
    agreement_between,
    agreement_within,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    orient,
)
from tests.stats.judge_meta import expected, lines


def random_votes(seed: int, n: int = 400, games: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Votes of many on few games."""
    rng = np.random.default_rng(seed)
    return rng.integers(games, size=n), rng.integers(-1, 2, size=n)


@pytest.mark.parametrize("ties", [True, False])
def test_counts_equal_a_plain_loop(ties: bool) -> None:
    """Every comparison counted one by one gives the same totals."""
    games, votes = random_votes(0)
    single, verdicts = np.arange(10, 70), random_votes(1, 60)[1]
    wanted = [
        (vote, verdict)
        for game, vote in zip(games, votes, strict=True)
        for other, verdict in zip(single, verdicts, strict=True)
        if game == other and (ties or (vote and verdict))
    ]
    found = agreement_between(games, votes, single, verdicts, ties=ties)
    assert (found.total, found.agree) == (len(wanted), sum(a == b for a, b in wanted))
    pairs = [
        (votes[i], votes[j])
        for i, j in combinations(range(len(games)), 2)
        if games[i] == games[j] and (ties or (votes[i] and votes[j]))
    ]
    within = agreement_within(games, votes, ties=ties)
    assert (within.total, within.agree) == (len(pairs), sum(a == b for a, b in pairs))


def test_turning_all_votes_changes_nothing() -> None:
    """Which answer is called the first does not matter, as long as it is the same for all."""
    games, votes = random_votes(2)
    assert agreement_within(games, -votes) == agreement_within(games, votes)


def test_names_are_ordered_and_votes_turned_with_them() -> None:
    """A vote for the second of two names in reverse order is one for the first in order; a tie stays."""
    pairs, votes = orient(["b", "a", "b"], ["a", "b", "a"], [1, 1, 0])
    assert pairs.tolist() == [["a", "b"]] * 3
    assert votes.tolist() == [-1, 1, 0]


def test_the_interval_is_over_clusters() -> None:
    """Copying every vote within its cluster leaves the interval as it is; one cluster has none."""
    games, votes = random_votes(3)
    once = agreement_between(
        games, votes, np.arange(60), np.ones(60), clusters=games // 6, rng=np.random.default_rng(0)
    )
    twice = agreement_between(
        np.tile(games, 2),
        np.tile(votes, 2),
        np.arange(60),
        np.ones(60),
        clusters=np.tile(games // 6, 2),
        rng=np.random.default_rng(0),
    )
    assert once.interval is not None
    assert twice.interval is not None
    assert (once.interval.low, once.interval.high) == (twice.interval.low, twice.interval.high)
    assert once.ratio is not None
    assert once.interval.low < once.ratio < once.interval.high
    alone = agreement_between([1, 1], [1, 1], [1], [1], clusters=[5, 5], rng=np.random.default_rng(0))
    assert (alone.ratio, alone.interval) == (1.0, None)


def test_nothing_in_common_is_no_ratio() -> None:
    """No comparison gives ``None``, not zero."""
    assert agreement_between([1], [1], [2], [1]).ratio is None
    assert agreement_within([], []).ratio is None
    assert agreement_within([1, 2], [1, 1]).total == 0


def test_what_cannot_be_votes_is_refused() -> None:
    """Two verdicts on one game, other numbers, unlike lengths, an interval without a generator."""
    with pytest.raises(ValueError, match="one vote on each game"):
        agreement_between([1], [1], [1, 1], [1, -1])
    with pytest.raises(ValueError, match="1, -1 or 0"):
        agreement_within([1], [2])
    with pytest.raises(ValueError, match="shapes"):
        agreement_within([1, 2], [1])
    with pytest.raises(ValueError, match="rng"):
        agreement_within([1, 1], [1, 1], clusters=[1, 1])


# Coefficients

METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval", "ratio")


def test_textbook_coefficients() -> None:
    """Krippendorff's three raters by four metrics, to 1e-9."""
    case = expected("agreement_textbook")["krippendorff_three_raters"]
    rows = [[np.nan if label is None else label for label in row] for row in case["reliability_data_rows_are_raters"]]
    for metric in METRICS:
        assert krippendorff_alpha(rows, metric).value == pytest.approx(case[metric], rel=1e-9)


def test_pandalms_annotators() -> None:
    """Alpha by three metrics and Cohen's kappas of three humans over 666 items, to 1e-9."""
    numbers = expected("stats", "pandalm")
    votes = np.array(
        [[line[f"annotator{rater}"] for line in lines("pandalm/cross_annotations")] for rater in (1, 2, 3)]
    )
    ordered = np.array([1, 0, 2])[votes]  # 1 < tie < 2
    for labels, metric, key in (
        (votes, "nominal", "krippendorff_alpha_nominal_3_annotators"),
        (ordered, "ordinal", "krippendorff_alpha_ordinal_1<tie<2"),
        (ordered - 1, "interval", "krippendorff_alpha_interval_-1_0_1"),
    ):
        found = krippendorff_alpha(labels, metric, rng=np.random.default_rng(0))  # type: ignore[arg-type]
        assert found.value == pytest.approx(numbers[key], rel=1e-9)
        assert found.units == 666
        assert found.interval is not None
        assert found.interval.low < numbers[key] < found.interval.high
    for pair, kappa in numbers["pairwise_cohen_kappa"].items():
        one, other = (int(rater) - 1 for rater in pair.split("-"))
        assert cohen_kappa(votes[one], votes[other]).value == pytest.approx(kappa, rel=1e-9)


def test_pandalms_annotators_at_once() -> None:
    """Fleiss' and Randolph's kappa of the three humans, to 1e-9, inside their intervals."""
    numbers = expected("stats", "pandalm")
    votes = [[line[f"annotator{rater}"] for line in lines("pandalm/cross_annotations")] for rater in (1, 2, 3)]
    for chance, key in (("fleiss", "fleiss_kappa_3_annotators"), ("randolph", "randolph_kappa_3_annotators")):
        found = fleiss_kappa(votes, chance, rng=np.random.default_rng(0))  # type: ignore[arg-type]
        assert found.value == pytest.approx(numbers[key], rel=1e-9)
        assert found.interval is not None
        assert found.interval.low < numbers[key] < found.interval.high
    with pytest.raises(ValueError, match="every unit"):
        fleiss_kappa([[1, np.nan], [1, 2]])


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), raters=st.integers(2, 5), units=st.integers(3, 30))
def test_alpha_equals_the_library(seed: int, raters: int, units: int) -> None:
    """The krippendorff package on random labels with gaps, all metrics, to 1e-9."""
    library = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 6, (raters, units)).astype(float)
    table[rng.random(table.shape) < 0.2] = np.nan
    for metric in METRICS:
        found = krippendorff_alpha(table, metric).value
        if found is not None:
            assert found == pytest.approx(library.alpha(reliability_data=table, level_of_measurement=metric), abs=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), units=st.integers(4, 60))
def test_kappa_equals_scikit_learn(seed: int, units: int) -> None:
    """Unweighted and weighted, to 1e-9; exchanging the raters changes nothing, in AC1 neither."""
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    one = np.concatenate([[1, 2, 3], rng.integers(1, 4, units)])
    two = np.where(rng.random(len(one)) < 0.6, one, rng.integers(1, 4, len(one)))
    for weights, name in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        found = cohen_kappa(one, two, weights)  # type: ignore[arg-type]
        assert found.value == pytest.approx(metrics.cohen_kappa_score(one, two, weights=name), abs=1e-9)
        assert found.value == pytest.approx(cohen_kappa(two, one, weights).value, abs=1e-12)  # type: ignore[arg-type]
    assert gwet_ac1(one, two).value == pytest.approx(gwet_ac1(two, one).value, abs=1e-12)


def test_ac1_by_hand() -> None:
    """Two raters who call 0.9 and 0.8 of ten units 1 and agree on nine: p_e = 2 x .85 x .15 (Gwet's equation 5)."""
    found = gwet_ac1([1] * 9 + [2], [1] * 8 + [2, 2])
    assert found.value == pytest.approx((0.9 - 0.255) / (1 - 0.255))


def test_resampling_units_covers() -> None:
    """Kappa of two raters who each err on a fifth of 200 even units: .36; 90 to 99 % of 200 intervals hold it."""
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(200):
        truth = rng.integers(0, 2, 200)
        one, two = (np.where(rng.random(200) < 0.2, 1 - truth, truth) for _ in range(2))
        interval = cohen_kappa(one, two, rng=rng).interval
        assert interval is not None
        hits += interval.low <= 0.36 <= interval.high
    assert 0.9 <= hits / 200 <= 0.99


def test_agreement_on_everything_has_no_interval() -> None:
    """Perfect agreement is 1, and resamples of it cannot show a disagreement: said, not drawn as [1, 1]."""
    found = cohen_kappa([1, 2, 1, 2], [1, 2, 1, 2], rng=np.random.default_rng(0))
    assert (found.value, found.interval) == (1.0, None)
    assert found.reason is not None


def test_one_label_only_is_undefined() -> None:
    """Every coefficient beyond chance but AC1 with a second label needs two labels: None and a reason, not 0."""
    for found in (
        krippendorff_alpha([[1, 1], [1, 1]]),
        cohen_kappa([1, 1], [1, 1]),
        gwet_ac1([1, 1], [1, 1]),
    ):
        assert found.value is None
        assert found.reason is not None
    assert krippendorff_alpha([[1, np.nan], [np.nan, 2]]).reason == "no unit has two labels"
    assert cohen_kappa([], []).reason == "no unit has two labels"


def test_malformed_labels_are_named() -> None:
    """Each message says what is wanted."""
    for call, words in (
        (lambda: krippendorff_alpha([1, 2]), "one row per rater"),
        (lambda: krippendorff_alpha([[1, 2], [1, 2]], "cosine"), "metrics are"),  # type: ignore[arg-type]
        (lambda: krippendorff_alpha([np.arange(101), np.arange(101)]), "at most 100"),
        (lambda: krippendorff_alpha([[-1, 2], [1, 2]], "ratio"), "not negative"),
        (lambda: cohen_kappa([1], [1, 2]), "one number per item"),
        (lambda: cohen_kappa([np.nan], [1]), "leave out"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
