"""Calibration: the fixture's reward margins, scikit-learn's functions, identities, and where there is too little."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.arrays import FloatArray
from judgebench.stats.calibration import (
    calibration,
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
    """All measures to 1e-9."""
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


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 80))
def test_scikit_learn(seed: int, n: int) -> None:
    """Area with ties, Brier and log loss, to 1e-9."""
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    p, y = rng.integers(0, 11, n) / 10, np.arange(n) % 2 * 1.0
    found = calibration(p, y)
    assert found.auc == pytest.approx(metrics.roc_auc_score(y, p))
    assert found.brier == pytest.approx(metrics.brier_score_loss(y, p))
    assert found.log_loss == pytest.approx(metrics.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)), rel=1e-9)


def test_too_little_is_said() -> None:
    """No items, equal outcomes, certain and wrong."""
    assert calibration([], []).reason == "there are no items"
    alike = calibration([0.2, 0.9], [1, 1])
    assert (alike.auc, alike.brier) == (None, pytest.approx((0.64 + 0.01) / 2))
    assert alike.reason is not None
    assert calibration([0.0, 1.0], [1, 0]).log_loss == pytest.approx(-np.log(1e-15), rel=1e-3)


def test_malformed_input_is_named() -> None:
    """Each message says what is wanted."""
    for call, words in (
        (lambda: calibration([1.2], [1]), "between 0 and 1"),
        (lambda: calibration([np.nan], [1]), "finite"),
        (lambda: calibration([0.5], [0.5]), "0 or 1"),
        (lambda: calibration([0.5], [1, 0]), "one number per item"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
