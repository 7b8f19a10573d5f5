"""Several answers to one item: the chance that one of k is right, the answer that most of k give, the worst of k.

Notes
-----
pass@k asks for the probability that at least one of k answers drawn without replacement from the n at hand is right.
With c right ones it is ``1 - C(n - c, k) / C(n, k)``, which is an unbiased estimate of the chance that one of k fresh
answers is right; ``1 - (1 - c/n)**k`` is biased low. The ratio is a product of c factors below one, so nothing
overflows however many answers there are.

References
----------
Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1 and figure 3.
Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", arXiv 2203.11171 (the majority vote).
"""

from collections import Counter
from collections.abc import Sequence
from math import comb, fsum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import columns


def pass_at_k(answers: ArrayLike, correct: ArrayLike, k: int) -> NDArray[np.float64]:
    """Estimated probability that one of ``k`` answers to an item is right, shape (n_items,).

    ``answers`` and ``correct``, shapes (n_items,), count an item's answers and how many of them are right. Raises
    ``ValueError`` for an item with fewer than ``k`` answers, which allow no unbiased estimate.

    >>> pass_at_k([4, 4, 4], [0, 1, 4], 2).tolist()
    [0.0, 0.5, 1.0]
    """
    n = np.asarray(answers, dtype=np.int64)
    c = np.asarray(correct, dtype=np.int64)
    if n.ndim != 1 or c.shape != n.shape:
        raise ValueError(f"answers and correct are one count per item, got shapes {n.shape}, {c.shape}")
    if k < 1:
        raise ValueError(f"k is at least 1, got {k}")
    if ((c < 0) | (c > n)).any():
        raise ValueError("of an item's answers between none and all are correct")
    if (n < k).any():
        raise ValueError(f"pass@{k} needs {k} answers to each item; one has {int(n.min())}")
    # C(n-c, k) / C(n, k) is the product of 1 - k/i over n-c < i <= n; with fewer than k wrong answers a factor is 0.
    i = np.arange(1, n.max(initial=1) + 1)
    counted = (i > (n - c)[:, None]) & (i <= n[:, None])
    missed: NDArray[np.float64] = np.where(counted, np.maximum(1 - k / i, 0.0), 1.0).prod(axis=1)
    return 1 - missed


def worst_of(values: Sequence[float], k: int) -> float:
    """The least of ``k`` of the values, expected over all ways to draw them without replacement.

    >>> worst_of([0.2, 0.4, 0.9], 1), worst_of([0.2, 0.4, 0.9], 2), worst_of([0.2, 0.4, 0.9], 3)
    (0.5, 0.26666666666666666, 0.2)
    """
    if not 1 <= k <= len(values):
        raise ValueError(f"k is from 1 to the number of values, {len(values)}; got {k}")
    (known,) = columns(values)
    # A value is the least where the other k - 1 are among the greater ones.
    ways = [comb(greater, k - 1) for greater in reversed(range(len(values)))]
    return fsum(value * way for value, way in zip(sorted(known.tolist()), ways, strict=True)) / comb(len(values), k)


def majority(answers: Sequence[str]) -> str:
    """The most frequent answer; of equally frequent ones the one seen first.

    The rule of EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/filters/selection.py`` ``MajorityVoteFilter``.

    >>> majority(["7", "8", "8", "7", "9"])
    '7'
    """
    if not answers:
        raise ValueError("a majority needs at least one answer")
    return Counter(answers).most_common(1)[0][0]


def powers_up_to(n: int) -> tuple[int, ...]:
    """The k for which pass@k and a majority are shown: powers of two from 2 up, and ``n`` itself.

    >>> powers_up_to(10)
    (2, 4, 8, 10)
    """
    return tuple(sorted({*(2**exponent for exponent in range(1, n.bit_length()) if 2**exponent <= n), n} - {0, 1}))
