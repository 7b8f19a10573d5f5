"""Macro scores: PandaLM's published ones, and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgebench.stats.classification import class_scores
from tests.stats.judge_meta import expected, lines


@pytest.mark.parametrize("judge", ["judge_gpt35", "judge_pandalm"])
def test_pandalm(judge: str) -> None:
    """Accuracy and macro scores of two judges, with unread replies as wrong and as ties, to 1e-12."""
    rows = lines("pandalm/cross_annotations")
    gold = [row["majority"] for row in rows]
    wanted = expected("stats", "pandalm")[judge]
    for null, numbers in (
        (-9, [wanted[key] for key in ("accuracy_with_ties", "macro_precision", "macro_recall", "macro_f1")]),
        (0, list(wanted["unparsed_counted_as_tie"].values())),
    ):
        said = [null if row[judge] is None else row[judge] for row in rows]
        found = class_scores(gold, said, [0, 1, 2], rng=np.random.default_rng(0))
        assert [found.accuracy, found.precision, found.recall, found.f1] == pytest.approx(numbers, abs=1e-12)
        for value, interval in zip(numbers, found.intervals, strict=True):
            assert interval is not None
            assert interval.low < value < interval.high


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30))
def test_scikit_learn(seed: int, n: int) -> None:
    """Also where a class is never said or never occurs, or a label is of no class."""
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    gold, said = rng.integers(3, size=n), rng.integers(-1, 3, size=n)
    found = class_scores(gold, said, [0, 1, 2])
    wanted = metrics.precision_recall_fscore_support(gold, said, labels=[0, 1, 2], average="macro", zero_division=0)[:3]
    assert [found.precision, found.recall, found.f1] == pytest.approx(list(wanted))


def test_malformed_input_is_named() -> None:
    """Missing classes and columns of different lengths are refused."""
    with pytest.raises(ValueError, match="one or more"):
        class_scores([1], [1], [])
    with pytest.raises(ValueError, match="one number per item"):
        class_scores([1, 2], [1], [1])
