"""Juries: LLMBar's numbers, a plain Dawid-Skene, what the best weights are, and where there is too little."""

import numpy as np
import pytest
from numpy.typing import NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.jury import accuracy, dawid_skene, jury_report, log_odds_weights, majority
from tests.stats.judge_meta import SUBSETS, expected, llmbar_labels, llmbar_votes


def signed(votes: NDArray[np.int64]) -> FloatArray:
    """1 for the first answer, -1 for the second, NaN for none."""
    return np.array([np.nan, 1.0, -1.0])[votes]


@pytest.mark.parametrize("subset", [*SUBSETS, "all"])
def test_llmbar_jury(subset: str) -> None:
    """Majority of three members and of their six votes, and each member's two, in percent, to 1e-9."""
    numbers = expected("jury_llmbar")
    chosen = SUBSETS if subset == "all" else (subset,)
    gold = np.concatenate([signed(llmbar_labels(part)) for part in chosen])
    orders = [
        np.array([np.concatenate([signed(llmbar_votes(name, part, order)) for part in chosen]) for name in members])
        for members in [numbers["members"]]
        for order in ("order12", "order21")
    ]
    wanted = numbers[subset]
    assert 100 * accuracy(majority(orders[0]), gold) == pytest.approx(  # type: ignore[operator]
        wanted["majority_3_members_order12_only"], abs=1e-9
    )
    report = jury_report(np.concatenate(orders), gold)
    assert report.accuracy is not None
    assert 100 * report.accuracy == pytest.approx(wanted["majority_6_votes_tie_half"], abs=1e-9)
    for place, name in enumerate(numbers["members"]):
        both = accuracy(majority([orders[0][place], orders[1][place]]), gold)
        assert both is not None
        assert 100 * both == pytest.approx(wanted["single_members_two_order_vote_tie_half"][name], abs=1e-9)


def test_a_jury_may_be_worse_than_its_best_member() -> None:
    """One strong and two weak judges: without GPT-4 the jury loses, and its members are worth fewer than three."""
    gold = np.concatenate([signed(llmbar_labels(part)) for part in SUBSETS])
    members = expected("jury_llmbar")["members"]
    votes = [np.concatenate([signed(llmbar_votes(name, part, "order12")) for part in SUBSETS]) for name in members]
    report = jury_report(votes, gold)
    assert report.accuracy is not None
    assert report.members[0] is not None
    assert report.members[0] > report.accuracy
    assert report.without[0] is not None
    assert report.without[0] < report.accuracy
    assert report.error_correlation is not None
    assert report.effective_members == pytest.approx(3 / (1 + 2 * max(report.error_correlation, 0)))
    # Weights of log odds give the strong member its say again.
    weighted = accuracy(majority(votes, log_odds_weights([value or 0 for value in report.members])), gold)
    assert weighted is not None
    assert weighted >= report.accuracy


def test_phi_is_the_correlation_of_errors() -> None:
    """The mean of numpy's coefficients over pairs, to 1e-12."""
    rng = np.random.default_rng(0)
    gold = np.where(rng.random(200) < 0.5, 1, -1)
    wrong = rng.random((4, 200)) < [[0.1], [0.2], [0.3], [0.4]]
    report = jury_report(np.where(wrong, -gold, gold), gold)
    matrix = np.corrcoef(wrong)
    assert report.error_correlation == pytest.approx(matrix[np.triu_indices(4, 1)].mean(), abs=1e-12)


def test_independent_members_gain_as_condorcet_says() -> None:
    """Three of accuracy .8: p^3 + 3 p^2 (1 - p) = .896, within .02 over 5,000 items."""
    rng = np.random.default_rng(1)
    gold = np.ones(5000)
    votes = np.where(rng.random((3, 5000)) < 0.8, 1, -1)
    assert jury_report(votes, gold).accuracy == pytest.approx(0.896, abs=0.02)


def plain_dawid_skene(labels: NDArray[np.int64], classes: int, rounds: int) -> list[list[float]]:
    """The specification's loop: E and M steps with sums written out."""
    judges, items = labels.shape
    posterior = [
        [np.mean([labels[j, i] == k for j in range(judges) if labels[j, i] >= 0]) for k in range(classes)]
        for i in range(items)
    ]
    for _ in range(rounds):
        prior = [np.mean([posterior[i][k] for i in range(items)]) for k in range(classes)]
        confusion = np.zeros((judges, classes, classes))
        for j in range(judges):
            for k in range(classes):
                for label in range(classes):
                    confusion[j, k, label] = 1 + sum(posterior[i][k] for i in range(items) if labels[j, i] == label)
                confusion[j, k] /= confusion[j, k].sum()
        for i in range(items):
            weights = [
                prior[k] * np.prod([confusion[j, k, labels[j, i]] for j in range(judges) if labels[j, i] >= 0])
                for k in range(classes)
            ]
            posterior[i] = [weight / sum(weights) for weight in weights]
    return posterior


def simulated(items: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Five judges, right on 95, 85, 75, 65 and 60 % of three classes; a tenth of the labels missing."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=items, p=[0.5, 0.3, 0.2])
    right = rng.random((5, items)) < np.array([[0.95], [0.85], [0.75], [0.65], [0.6]])
    labels = np.where(right, truth, (truth + rng.integers(1, 3, (5, items))) % 3)
    labels[rng.random((5, items)) < 0.1] = -1
    labels[0] = np.maximum(labels[0], 0)
    return labels, truth


def test_dawid_skene_equals_a_plain_loop() -> None:
    """After the same number of rounds, every probability to 1e-9."""
    labels, _ = simulated(40)
    found = dawid_skene(labels, 3)
    assert found.posterior == pytest.approx(np.array(plain_dawid_skene(labels, 3, found.rounds)), abs=1e-9)


def test_dawid_skene_finds_out_who_is_right() -> None:
    """Over 2,000 items: error rates within .08 of the truth (three standard errors); labels better than majorities."""
    labels, truth = simulated(2000)
    found = dawid_skene(labels, 3)
    assert found.converged
    for judge, right in enumerate((0.85, 0.75, 0.65, 0.6), start=1):
        assert np.diag(found.confusion[judge]) == pytest.approx(right, abs=0.08)
    counts = (labels[:, :, None] == np.arange(3)).sum(axis=0)
    assert (found.posterior.argmax(axis=1) == truth).mean() > (counts.argmax(axis=1) == truth).mean()
    # Names of the classes mean nothing.
    turned = dawid_skene(np.where(labels < 0, -1, (labels + 1) % 3), 3)
    assert turned.posterior == pytest.approx(found.posterior[:, [2, 0, 1]], abs=1e-6)


def test_too_little_is_said() -> None:
    """No items, one member, members without errors: no number instead of a made-up one."""
    empty = jury_report(np.zeros((2, 0)), [])
    assert (empty.accuracy, empty.error_correlation, empty.n) == (None, None, 0)
    alone = jury_report([[1, -1]], [1, 1])
    assert (alone.accuracy, alone.without, alone.effective_members) == (0.5, (None,), None)
    perfect = jury_report([[1, 1], [1, 1]], [1, 1])
    assert (perfect.accuracy, perfect.error_correlation) == (1.0, None)
    assert majority([[np.nan]]).tolist() == [0.0]
    assert dawid_skene([[-1, -1]], 2).posterior == pytest.approx(0.5)
    assert log_odds_weights([0.0, 1.0]).tolist() == pytest.approx([-4.595, 4.595], abs=1e-3)


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    for call, words in (
        (lambda: majority([[2.0]]), "a vote is 1"),
        (lambda: majority([1.0]), "shape"),
        (lambda: majority([[1.0]], [1.0, 2.0]), "per voter"),
        (lambda: accuracy([1], [0]), "gold label"),
        (lambda: accuracy([1], [1, 1]), "one verdict"),
        (lambda: jury_report([[1.0]], [1, 1]), "one gold label per item"),
        (lambda: dawid_skene([[2]], 2), "0 to 1"),
        (lambda: dawid_skene(np.zeros((0, 3), dtype=int), 2), "neither is 0"),
        (lambda: log_odds_weights([1.5]), "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
