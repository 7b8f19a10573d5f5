"""Adjusted p-values against the fixture's (statsmodels') and statsmodels itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgebench.stats.multiplicity import Adjustment, adjusted_p_values

from .judge_meta import expected

NAMES: dict[Adjustment, str] = {
    "holm": "holm",
    "bh": "fdr_bh",
    "by": "fdr_by",
}


@pytest.mark.parametrize("method", NAMES)
def test_published_families(method: Adjustment) -> None:
    """Both families of the fixture, to 1e-12."""
    for case in expected("multiple_comparisons"):
        assert adjusted_p_values(case["p"], method) == pytest.approx(case[NAMES[method]]["adjusted"], abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from(sorted(NAMES)))
def test_statsmodels(p_values: list[float], method: Adjustment) -> None:
    """Any family, ties and zeros included, in any order."""
    witness = pytest.importorskip("statsmodels.stats.multitest").multipletests
    assert adjusted_p_values(p_values, method) == pytest.approx(witness(p_values, method=NAMES[method])[1], abs=1e-12)


def test_no_and_wrong_p_values() -> None:
    """An empty family stays empty; NaN is refused."""
    assert adjusted_p_values([]).tolist() == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted_p_values([0.1, np.nan])
