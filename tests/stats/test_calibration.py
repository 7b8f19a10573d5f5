"""Calibration: the fixture's reward margins, scikit-learn's functions, identities, and where there is too little."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray
from judgebench.stats.calibration import (
    calibration,
    isotonic_curve,
    logistic_curve,
    recalibrated,
    selective_accuracy,
)
from tests.stats.judge_meta import expected, lines

MODELS = (
    "Ray2333_GRM-Gemma-2B-rewardmodel-ft",
    "Skywork_Skywork-Reward-Gemma-2-27B",
    "internlm_internlm2-20b-reward",
)


def margins(model: str) -> tuple[FloatArray, FloatArray]:
    """A reward model's score of A less that of B, and whether A is right, over JudgeBench's 350 pairs."""
    gold = {line["pair_id"]: line["label"] for line in lines("judgebench/pairs_gpt-4o-2024-05-13")}
    found = lines(f"judgebench/judgments_reward_model__{model}__on__gpt-4o-2024-05-13")
    scores = np.array([line["scores"][0][0] - line["scores"][0][1] for line in found])
    return scores, np.array([gold[line["pair_id"]] == "A>B" for line in found]) * 1.0


def sigmoid(logits: FloatArray) -> FloatArray:
    """Probability of log odds."""
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("model", MODELS)
def test_reward_margins(model: str) -> None:
    """All measures to 1e-9; Platt's curve, found by a solver there, to 1e-4; accuracy at four coverages exactly."""
    wanted: dict[str, Any] = expected("calibration_of_reward_margins")[model]
    scores, right = margins(model)
    p = sigmoid(scores)
    found = calibration(p, right)
    assert found.n == wanted["n"] == 350
    assert found.auc == pytest.approx(wanted["auc"], rel=1e-9)
    assert found.brier == pytest.approx(wanted["brier"], rel=1e-9)
    assert found.log_loss == pytest.approx(wanted["log_loss_clipped_1e-15"], rel=1e-9)
    assert found.expected_error == pytest.approx(wanted["ece_10_equal_width_on_p"], rel=1e-9)
    assert found.confidence_error == pytest.approx(wanted["ece_10_equal_width_on_confidence"], rel=1e-9)
    curve = logistic_curve(scores, right)
    assert curve is not None
    assert (curve.slope, curve.intercept) == (
        pytest.approx(wanted["platt"]["slope"], abs=1e-4),
        pytest.approx(wanted["platt"]["intercept"], abs=1e-4),
    )
    platt = calibration(sigmoid(curve.slope * scores + curve.intercept), right).brier
    assert platt == pytest.approx(wanted["platt"]["brier_in_sample"], abs=1e-6)
    points, values = isotonic_curve(scores, right)
    assert calibration(np.interp(scores, points, values), right).brier == pytest.approx(
        wanted["isotonic_brier_in_sample"], rel=1e-9
    )
    coverages = [row["coverage"] for row in wanted["selective"]]
    accuracies = selective_accuracy(np.maximum(p, 1 - p), (p >= 0.5) == (right == 1), coverages)
    assert list(accuracies) == pytest.approx([row["accuracy"] for row in wanted["selective"]], rel=1e-12)


def test_recalibration_repairs_an_overconfident_judge() -> None:
    """Out of fold, the expected error of the surest model falls from .30 to below .1 by any curve with an intercept."""
    scores, right = margins(MODELS[1])
    raw = calibration(sigmoid(scores), right).expected_error
    assert raw == pytest.approx(0.299, abs=1e-3)
    for curve in ("platt", "isotonic"):
        learnt = recalibrated(scores, right, curve, rng=np.random.default_rng(0))  # type: ignore[arg-type]
        assert learnt is not None
        error = calibration(learnt, right).expected_error
        assert error is not None
        assert error < 0.1


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 80))
def test_scikit_learn(seed: int, n: int) -> None:
    """Area with ties, Brier, log loss and isotonic curve, to 1e-9."""
    metrics = pytest.importorskip("sklearn.metrics")
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(seed)
    p, y = rng.integers(0, 11, n) / 10, np.arange(n) % 2 * 1.0
    found = calibration(p, y)
    assert found.auc == pytest.approx(metrics.roc_auc_score(y, p))
    assert found.brier == pytest.approx(metrics.brier_score_loss(y, p))
    assert found.log_loss == pytest.approx(metrics.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)), rel=1e-9)
    points, values = isotonic_curve(p, y)
    assert np.interp(p, points, values) == pytest.approx(isotonic.IsotonicRegression().fit_transform(p, y), abs=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_the_logistic_curve_is_the_optimum(seed: int, scale: float) -> None:
    """Its residuals sum to 0, by themselves and with the scores; units and mirroring change it as they should."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=40)
    y = (rng.random(40) < sigmoid(1.5 * x - 0.5)) * 1.0
    curve = logistic_curve(x, y)
    if curve is None:
        assert max(x[y == 0], default=-9) <= min(x[y == 1], default=9) or max(x[y == 1]) <= min(x[y == 0])
        return
    residual = y - sigmoid(curve.slope * x + curve.intercept)
    assert residual.sum() == pytest.approx(0, abs=1e-7)
    assert residual @ x == pytest.approx(0, abs=1e-7)
    scaled, turned = logistic_curve(scale * x, y), logistic_curve(x, 1 - y)
    assert scaled is not None
    assert turned is not None
    assert scaled.slope == pytest.approx(curve.slope / scale, rel=1e-6, abs=1e-9)
    assert (turned.slope, turned.intercept) == (
        pytest.approx(-curve.slope, abs=1e-6),
        pytest.approx(-curve.intercept, abs=1e-6),
    )


def test_a_temperature_has_no_intercept() -> None:
    """Log odds four times too large are given back their size: slope 1/4, within 20 % over 2,000 items."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    y = (rng.random(2000) < sigmoid(x)) * 1.0
    curve = logistic_curve(4 * x, y, intercept=False)
    assert curve is not None
    assert curve.intercept == 0
    assert curve.slope == pytest.approx(0.25, rel=0.2)


def test_too_little_is_said() -> None:
    """No items, equal outcomes, separated scores, no items at a coverage."""
    assert calibration([], []).reason == "there are no items"
    alike = calibration([0.2, 0.9], [1, 1])
    assert (alike.auc, alike.brier) == (None, pytest.approx((0.64 + 0.01) / 2))
    assert alike.reason is not None
    for scores, outcomes in (([1, 2, 3, 4], [0, 0, 1, 1]), ([1, 2], [1, 1]), ([1, 1, 1], [0, 1, 0]), ([], [])):
        curve = logistic_curve(scores, outcomes)
        assert curve is None or curve.slope == pytest.approx(0, abs=1e-9)
    assert logistic_curve([1, 2], [1, 1], intercept=False) is None
    assert recalibrated([1, 2, 3, 4], [0, 0, 1, 1], "platt", rng=np.random.default_rng(0), folds=2) is None
    assert selective_accuracy([], [], [1.0]) == (None,)
    assert calibration([0.0, 1.0], [1, 0]).log_loss == pytest.approx(-np.log(1e-15), rel=1e-3)


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    rng = np.random.default_rng(0)
    for call, words in (
        (lambda: calibration([1.2], [1]), "between 0 and 1"),
        (lambda: calibration([np.nan], [1]), "finite"),
        (lambda: calibration([0.5], [0.5]), "0 or 1"),
        (lambda: calibration([0.5], [1, 0]), "one outcome per item"),
        (lambda: isotonic_curve([], []), "at least one item"),
        (lambda: recalibrated([1, 2], [0, 1], "platt", rng=rng, folds=5), "folds"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
