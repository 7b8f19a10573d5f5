"""p-values of several tests at once, adjusted so that each can be read like the p-value of a single test.

If tests with an adjusted p-value of at most 0.05 are rejected, the chance of any false rejection is at most 5 % (Holm),
or an expected 5 % of the rejections are false (Benjamini-Hochberg). Gates use Holm, which needs no assumption; tables
for exploration use Benjamini-Hochberg. For runs compared on the same prompts the max-t adjustment of ``many_runs`` is
sharper, because it knows how the comparisons are correlated.

References
----------
Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 1979.
Benjamini, Hochberg: Controlling the false discovery rate. Journal of the Royal Statistical Society B 57, 1995.
Benjamini, Yekutieli: The control of the false discovery rate in multiple testing under dependency. Annals of
Statistics 29, 2001.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray

Adjustment = Literal["holm", "bh", "by"]


def adjusted_p_values(p_values: ArrayLike, method: Adjustment = "holm") -> FloatArray:
    """Adjusted p-values, in the order given, shape (tests,).

    Holm is valid under any dependence, and never less sharp than Bonferroni; Benjamini-Hochberg under independence or
    positive dependence, Benjamini-Yekutieli (``"by"``) under any.

    Examples
    --------
    >>> adjusted_p_values([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    >>> adjusted_p_values([0.01, 0.04, 0.03], "bh").round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    given = np.asarray(p_values, dtype=float)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise ValueError("p-values are numbers between 0 and 1: leave out the tests that gave none")
    if method in ("bh", "by"):
        from scipy.stats import false_discovery_control

        return np.asarray(false_discovery_control(given, method=method))
    order = np.argsort(given, kind="stable")
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(given), 0, -1) * given[order]), 1)
    return adjusted
