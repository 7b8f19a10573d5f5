"""Non-inferiority against published p-values and bounds, by simulation, and where data decide nothing."""

from statistics import NormalDist

import numpy as np
import pytest

from judgebench.stats.clustered import cluster_totals, difference
from judgebench.stats.margins import non_inferiority, unpaired_non_inferiority

from .judge_meta import expected
from .test_clustered import generator, llmbar_correct


@pytest.mark.parametrize("margin", ["0.02", "0.05", "0.1"])
def test_llmbar_margins(margin: str) -> None:
    """Is the second evaluator non-inferior to the first on 419 items? p-value, bound and verdict."""
    want = expected("paired_comparison")["non_inferiority_of_second_vs_first"][margin]
    first, second = (llmbar_correct(name)[:, 0] for name in ("GPT-4/Vanilla", "GPT-4/Swap"))
    both = difference(cluster_totals(second), cluster_totals(first))
    decision = non_inferiority(both, float(margin))
    assert decision.p_value == pytest.approx(want["p_t"], rel=1e-9)
    assert both.value is not None
    assert both.stderr is not None
    z = (both.value + float(margin)) / both.stderr
    assert (z, NormalDist().cdf(-z)) == pytest.approx((want["z"], want["p_normal"]), rel=1e-9)
    assert (decision.verdict == "PASS") == want["noninferior_at_0.05"]
    assert decision.interval is not None
    assert decision.interval.low == pytest.approx(want["lower_bound_95_one_sided_t"], rel=1e-9)


def test_a_margin_of_fewer_than_three_whole_losses_never_passes() -> None:
    """80 prompts cannot exclude that two of a hundred are lost; the number that could is named. FAIL stays FAIL."""
    same = cluster_totals([0.0] * 70 + [0.01, -0.01] * 5)
    assert non_inferiority(same, 0.02).verdict == "PASS"
    decision = non_inferiority(same, 0.02, most=1.0)
    assert (decision.verdict, decision.n_if_equal) == ("INCONCLUSIVE", 150)
    assert decision.reason is not None
    assert decision.reason.endswith("a PASS takes 150")
    assert non_inferiority(cluster_totals([-0.5, -0.4] * 40), 0.02, most=1.0).verdict == "FAIL"
    assert non_inferiority(same, 0.05, most=1.0).verdict == "PASS"


def test_a_loss_needs_no_more_clusters_than_its_own_test() -> None:
    """11 of 16 lost: stderr^2 = 11/16 * 5/16 / 15, and 16 * (2.4865 * stderr / (11/16))^2 = 2.998, but t of so few
    clusters takes 8 to FAIL, which the simulation below confirms.

    Only PASS takes the 150 that three whole losses of a margin of 2 % ask for, and equal models take 3,543.
    """
    decision = non_inferiority(cluster_totals([-1.0] * 11 + [0.0] * 5), 0.02, most=1.0)
    assert decision.interval is not None
    assert (decision.interval.low, decision.interval.high) == pytest.approx((-0.8973, -0.4777), abs=1e-4)
    assert (decision.verdict, decision.n_to_decide, decision.n_if_equal) == ("FAIL", 8, 3543)


def test_a_small_loss_is_not_decided_where_a_pass_is_withheld() -> None:
    """Half a margin lost is as far from PASS as from FAIL, and PASS takes 150 clusters for the three whole losses.

    Fewer do not FAIL either, because a certain loss that is certainly within the margin passes.
    """
    noise = generator(5).normal(0, 1.0, 100)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * 0.04
    decision = non_inferiority(cluster_totals(noise - 0.01), 0.02, most=1.0)
    assert decision.n_to_decide == decision.n_if_equal == 150
    without = non_inferiority(cluster_totals(noise - 0.01), 0.02)
    assert without.n_to_decide == 99  # ceil(100 * (2.4865 * 0.004 / 0.01)^2)
    verdicts = [non_inferiority(cluster_totals(generator(seed).choice(noise - 0.01, 99)), 0.02, most=1.0).verdict
                for seed in range(100)]  # fmt: skip
    assert verdicts.count("INCONCLUSIVE") > 50


def test_three_verdicts() -> None:
    """Clearly worse fails, clearly within the margin passes, a loss between them passes only a wide margin."""
    noise = generator(2).normal(0, 0.1, 400)
    noise -= noise.mean()
    assert non_inferiority(cluster_totals(noise - 0.05), 0.02).verdict == "FAIL"
    assert non_inferiority(cluster_totals(noise - 0.05), 0.1).verdict == "PASS"
    assert non_inferiority(cluster_totals(noise - 0.02), 0.02).verdict == "FAIL"
    assert non_inferiority(cluster_totals(noise + 0.02), 0.0).verdict == "PASS"


def test_the_promised_number_of_clusters_decides() -> None:
    """At n_to_decide clusters with the observed difference and spread, 80 percent of repetitions pass."""
    pilot = generator(3).normal(0.0, 1.0, 100)
    pilot = (pilot - pilot.mean()) / pilot.std(ddof=1) * 0.5
    decision = non_inferiority(cluster_totals(pilot), 0.06)
    assert decision.verdict == "INCONCLUSIVE"
    assert decision.n_to_decide == decision.n_if_equal == 430  # ceil((2.4865 * 0.5 / 0.06)^2)
    rng = generator(4)
    verdicts = [non_inferiority(cluster_totals(rng.normal(0, 0.5, 430)), 0.06).verdict for _ in range(500)]
    # 500 repetitions: standard error 0.018.
    assert np.mean([verdict == "PASS" for verdict in verdicts]) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("lost", "won", "of", "margin", "plain"),
    [
        (2, 0, 200, 0.03, 154),
        (2, 0, 100, 0.04, 307),
        (4, 1, 200, 0.04, 247),
        (3, 1, 30, 0.2, 52),
        (11, 0, 16, 0.02, 3),
    ],
)
def test_the_promised_number_decides_where_losses_are_rare_and_whole(
    lost: int, won: int, of: int, margin: float, plain: int
) -> None:
    """It is what both tests need: the plain formula, which knows no skewness, names fewer clusters than decide.

    Of repetitions of as many clusters from the same distribution, 80 percent and more decide.
    """
    values = np.r_[-np.ones(lost), np.ones(won), np.zeros(of - lost - won)]
    decision = non_inferiority(cluster_totals(values), margin, most=1.0)
    promised = decision.n_to_decide
    assert promised is not None
    assert promised >= plain
    rng = generator(6)

    def decided(clusters: int) -> float:
        samples = (rng.choice(values, clusters) for _ in range(300))
        found = [non_inferiority(cluster_totals(sample), margin, most=1.0).verdict for sample in samples]
        return 1 - found.count("INCONCLUSIVE") / len(found)

    # 300 repetitions: standard error 0.023.
    assert decided(promised) > 0.8 - 0.06
    if (lost, of) in ((2, 200), (11, 16)):
        assert decided(plain) < 0.5


def test_skewed_losses_need_more_than_t() -> None:
    """Three whole losses in 80 prompts, at a margin of 8 points: Student's t passes, the corrected test does not."""
    values = np.r_[-np.ones(3), np.zeros(77)]
    decision = non_inferiority(cluster_totals(values), 0.08)
    assert decision.p_value is not None
    assert decision.p_corrected is not None
    assert decision.p_value < 0.05 < decision.p_corrected
    assert decision.verdict == "FAIL"


def test_symmetric_differences_need_no_correction() -> None:
    """Where no third moment is, both p-values are the same."""
    decision = non_inferiority(cluster_totals([-0.5, 0.5] * 20), 0.2)
    assert decision.p_value == pytest.approx(decision.p_corrected, rel=1e-12)


@pytest.mark.parametrize("values", [[], [0.1], [0.0] * 20])
def test_nothing_to_decide_from(values: list[float]) -> None:
    """No prompts, one, or no difference at all: INCONCLUSIVE with the reason."""
    decision = non_inferiority(cluster_totals(values), 0.1)
    assert (decision.verdict, decision.p_value) == ("INCONCLUSIVE", None)
    assert decision.reason is not None


def test_on_the_boundary_no_number_decides() -> None:
    """A margin of 0 and no difference at all: no set is large enough, and the numbers are missing."""
    decision = non_inferiority(cluster_totals(np.array([0.1, -0.1]).repeat(20)), 0.0)
    assert (decision.verdict, decision.n_to_decide, decision.n_if_equal) == ("INCONCLUSIVE", None, None)


def test_wrong_margins() -> None:
    """Negative or infinite margins, alpha as a percentage."""
    statistic = cluster_totals([0.0, 1.0])
    for margin, alpha in ((-0.1, 0.05), (np.inf, 0.05), (0.1, 5)):
        with pytest.raises(ValueError, match=r"margin|alpha"):
            non_inferiority(statistic, margin, alpha=alpha)


def test_two_numbers_with_their_error() -> None:
    """At a difference of -1 with error 0.5 the 5 % bounds are -1.822 and -0.178, so 1.8 and 1.85 part the verdicts."""
    for margin, wanted in ((1.85, "PASS"), (1.8, "FAIL")):
        assert unpaired_non_inferiority(-1.0, 0.5, 805, margin).verdict == wanted
    decision = unpaired_non_inferiority(-1.0, 0.5, 805, 1.8)
    assert decision.interval is not None
    assert (decision.interval.low, decision.interval.high) == pytest.approx((-1.8224, -0.1776), abs=1e-4)
    assert unpaired_non_inferiority(-0.5, 0.5, 805, 1.0).verdict == "INCONCLUSIVE"


def test_two_numbers_agree_with_the_paired_test_of_symmetric_differences() -> None:
    """With many clusters and no skewness, Student's quantile is the normal one and the correction nothing."""
    values = np.tile([1.0, -1.0], 5000) - 0.01
    paired = non_inferiority(cluster_totals(values), 0.02)
    assert paired.difference is not None
    stderr = cluster_totals(values).stderr
    assert stderr is not None
    unpaired = unpaired_non_inferiority(paired.difference, stderr, 10_000, 0.02)
    assert unpaired.p_value == pytest.approx(paired.p_value, rel=1e-3)
    assert unpaired.n_to_decide == pytest.approx(paired.n_to_decide, rel=1e-3)


def test_a_number_without_an_error_decides_nothing() -> None:
    """Two bare numbers may differ by chance or not."""
    decision = unpaired_non_inferiority(-1.0, 0.0, 805, 5.0)
    assert (decision.verdict, decision.interval) == ("INCONCLUSIVE", None)
    assert decision.reason is not None
