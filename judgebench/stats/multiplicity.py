"""p-values of several tests at once, adjusted so that they can be read like one.

An adjusted p-value at most 0.05 is a rejection at 5 % of the family (Bonferroni, Holm, Hochberg, Hommel) or, among the
rejections, of an expected share of false ones (Benjamini-Hochberg, Benjamini-Yekutieli). Gates use Holm, which needs no
assumption; tables for exploration Benjamini-Hochberg. If the p-values belong to runs compared on the same prompts, the
max-t adjustment of ``many_runs`` is sharper, because it knows how they hang together.

References
----------
Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 1979.
Hochberg: A sharper Bonferroni procedure for multiple tests of significance. Biometrika 75, 1988.
Hommel: A stagewise rejective multiple test procedure based on a modified Bonferroni test. Biometrika 75, 1988.
Benjamini, Hochberg: Controlling the false discovery rate. Journal of the Royal Statistical Society B 57, 1995.
Benjamini, Yekutieli: The control of the false discovery rate under dependency. Annals of Statistics 29, 2001.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray

Adjustment = Literal["bonferroni", "holm", "hochberg", "hommel", "bh", "by"]


def adjusted_p_values(p_values: ArrayLike, method: Adjustment = "holm") -> FloatArray:
    """Adjusted p-values, in the order given, shape (tests,).

    Holm is valid under any dependence, and never less sharp than Bonferroni; Hochberg and Hommel, a little sharper, and
    Benjamini-Hochberg under independence or positive dependence; Benjamini-Yekutieli under any again.

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
    count = len(given)
    order = np.argsort(given, kind="stable")
    ascending, rank = given[order], np.arange(1, count + 1)
    if method == "bonferroni":
        raised = count * ascending
    elif method == "holm":
        raised = np.maximum.accumulate((count - rank + 1) * ascending)
    elif method == "hochberg":
        raised = _smallest_above((count - rank + 1) * ascending)
    elif method == "hommel":
        raised = _hommel(ascending)
    else:
        factor = float((1 / rank).sum()) if method == "by" else 1.0
        raised = _smallest_above(factor * count / rank * ascending)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted


def _smallest_above(values: FloatArray) -> FloatArray:
    """The least of each value and those after it."""
    smallest: FloatArray = np.minimum.accumulate(values[::-1])[::-1]
    return smallest


def _hommel(ascending: FloatArray) -> FloatArray:
    """For each m, Simes' bound of the m largest, carried over to the smaller ones."""
    count = len(ascending)
    adjusted = ascending.copy()
    for m in range(count, 1, -1):
        largest = m * ascending[count - m :] / np.arange(1, m + 1)
        bound = largest.min()
        adjusted[count - m :] = np.maximum(adjusted[count - m :], bound)
        adjusted[: count - m] = np.maximum(adjusted[: count - m], np.minimum(bound, m * ascending[: count - m]))
    return adjusted
