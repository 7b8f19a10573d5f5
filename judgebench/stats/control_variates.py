"""Control variates for judging in turn: what is known of every item beforehand makes a score easier to foresee.

Known are, for all N items, some numbers c_i in R^k: verdicts of other models on the item, the baseline's verdict, a
cheap judge's. Items come in an order drawn at random, without replacement. Before item t is seen, whatever was seen
before it,

    E[c_t | the past] = cbar_t,    the mean of c over the items that are left,                                  (1)

and cbar_t is known, as all c are. For weights w_t that are fixed before item t is seen, the *deviation*

    q_t = w_t (c_t - cbar_t)                                                                                    (2)

has mean 0 given the past, and lies between the least and the greatest w_t (c_i - cbar_t) of the items left, which are
known, too. So a bet on x_t - q_t is as fair as one on x_t, and it varies less if c foresees x.

The weights are those of a ridge regression of the scores on c, fitted to the items before t alone; c is scaled to
variance 1 over all N items, and the penalty counts as :data:`PENALTY` items on which c says nothing. The weights need
not be right, nor need c have to do with the scores: only the width depends on that, never the level.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray

PENALTY = 20.0
# A column that varies less over the items is constant.
_NO_SPREAD = 1e-12


@dataclass(frozen=True, eq=False)
class Control:
    """What is known of every item, and what the scores so far say about its weights."""

    known: FloatArray
    """c of all items in the order of judging, with mean 0 and variance 1; shape (N, k)."""
    n: int
    """Items whose score was seen."""
    products: FloatArray
    """Sum of c c' over these; shape (k, k)."""
    cross: FloatArray
    """Sum of c x; shape (k,)."""
    sums: FloatArray
    """Sum of c; shape (k,)."""
    total: float
    """Sum of x."""

    @property
    def weights(self) -> FloatArray:
        """The w of equation (2) for the next item; shape (k,)."""
        if self.n < 2:
            return np.zeros(len(self.sums))
        centre = self.sums / self.n
        spread = self.products - self.n * np.outer(centre, centre) + PENALTY * np.eye(len(centre))
        return np.asarray(np.linalg.solve(spread, self.cross - centre * self.total))

    @property
    def shift(self) -> float:
        """What to add to the mean of the scores so far, because c of their items is not that of all."""
        return 0.0 if not self.n else -float(self.weights @ self.sums) / self.n


def start_control(known: ArrayLike, population: int) -> Control:
    """The state before the first item; ``known`` has the shape (N,) or (N, k), in the order of judging.

    >>> start_control([3.0, 1.0, 2.0, 2.0], 4).weights
    array([0.])
    """
    columns = np.asarray(known, dtype=float)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or not len(columns) == population > 0 or not np.isfinite(columns).all():
        raise ValueError(
            f"a control has a finite number, or several, for each of the {population} items; got shape {columns.shape}"
        )
    away = columns - columns.mean(axis=0)
    spread = away.std(axis=0)
    scaled = np.where(spread > _NO_SPREAD, away / np.where(spread > _NO_SPREAD, spread, 1.0), 0.0)
    k = columns.shape[1]
    return Control(scaled, 0, np.zeros((k, k)), np.zeros(k), np.zeros(k), 0.0)


def deviations(control: Control, scores: FloatArray) -> tuple[Control, FloatArray]:
    """The state after more scores, and for each of them q of equation (2), its least and its greatest possible value
    and what the state after it would add to the mean (``shift``); shape (4, n).
    """
    found = np.zeros((4, len(scores)))
    for place, score in enumerate(scores):
        left, weights = control.known[control.n :], control.weights
        possible = left @ weights
        possible = possible - possible.mean()
        # They add up to 0, so that only rounding can put both bounds on one side of it.
        found[:3, place] = possible[0], min(possible.min(), 0.0), max(possible.max(), 0.0)
        own = left[0]
        control = replace(
            control,
            n=control.n + 1,
            products=control.products + np.outer(own, own),
            cross=control.cross + own * score,
            sums=control.sums + own,
            total=control.total + float(score),
        )
        found[3, place] = control.shift
    return control, found
