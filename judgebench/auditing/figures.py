"""A figure of an audit: a number with its n, its interval and what was done with ties and nulls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.agreement import Agreement, Coefficient
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.correlation import Correlation
from judgebench.stats.intervals import Interval

Unit = Literal["share", "coefficient", "number"]
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number."""

    name: str
    value: float | None
    n: int
    """What it is a mean or a coefficient of: items, or comparisons where the policy says so."""
    policy: str
    """What one of n is, and how ties and nulls count, in words."""
    group: str = ALL
    unit: Unit = "share"
    interval: Interval | None = None
    reason: str | None = None
    """Why the value or the interval is missing."""
    successes: int | None = None
    """For a plain share: how many of n."""
    clusters: int | None = None
    """What the interval is over: questions, whose comparisons are not independent. ``None`` if nobody counted."""


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """A judge on a suite."""

    suite: str
    figures: tuple[Figure, ...]
    items: int
    """Items of the suite."""
    judged: int
    """Items with a decision."""
    decisions: int
    nulls: int
    """Decisions without a verdict."""
    ties: int
    options: dict[str, str] = field(default_factory=dict)
    headline_name: tuple[str, str] = ("", ALL)
    if_nulls_were: tuple[float | None, float | None] | None = None
    """The headline if every missing verdict were wrong, and if every one were right, by the labels' majority."""
    usd: float | None = None
    """Of all decisions that say what they cost."""
    seconds_per_verdict: float | None = None
    """Mean over the decisions that say how long they took."""

    def figure(self, name: str, group: str = ALL) -> Figure | None:
        """The figure of this name and group; ``None`` if the suite has none."""
        return next((figure for figure in self.figures if (figure.name, figure.group) == (name, group)), None)

    @property
    def headline(self) -> Figure:
        """The figure that decides."""
        found = self.figure(*self.headline_name)
        assert found is not None, f"{self.suite} has no figure {self.headline_name}"
        return found

    @property
    def ceiling(self) -> Figure | None:
        """How well people do against the other people, where several judged an item."""
        return self.figure("human_ceiling")

    @property
    def over_ceiling(self) -> Figure | None:
        """The judge's agreement with people in units of the people's own."""
        return self.figure("judge_over_ceiling")


def share(
    name: str,
    values: ArrayLike,
    clusters: Sequence[str] | ArrayLike,
    policy: str,
    *,
    group: str = ALL,
    bounds: tuple[float, float] = (0.0, 1.0),
    unit: Unit = "share",
) -> Figure:
    """A mean of values, shape (n,), between bounds, with an interval over clusters."""
    rows = np.asarray(values, dtype=float)
    if not len(rows):
        return Figure(
            name=name, group=group, value=None, n=0, policy=policy, unit=unit, reason="there is nothing to count"
        )
    found = bounded_estimate(cluster_totals(rows, clusters=np.asarray(clusters)), *bounds)
    counted = int(rows.sum()) if np.isin(rows, (0, 1)).all() else None
    return Figure(
        name=name,
        group=group,
        value=found.value,
        n=len(rows),
        policy=policy,
        unit=unit,
        interval=found.interval,
        reason=found.reason,
        successes=counted,
        clusters=found.n_clusters,
    )


def mixed(
    name: str,
    values: ArrayLike,
    terms: Sequence[int] | ArrayLike,
    weights: ArrayLike,
    clusters: Sequence[str] | ArrayLike,
    policy: str,
    *,
    group: str = ALL,
) -> Figure:
    """A weighted mean of the terms' means; values and terms have shape (n,), weights (terms,) and sum to 1."""
    rows = np.asarray(values, dtype=float)
    if not len(rows):
        return Figure(name=name, group=group, value=None, n=0, policy=policy, reason="there is nothing to count")
    totals = cluster_totals(rows, clusters=np.asarray(clusters), terms=np.asarray(terms), term_weights=weights)
    found = bounded_estimate(totals)
    return Figure(
        name=name,
        group=group,
        value=found.value,
        n=len(rows),
        policy=policy,
        interval=found.interval,
        reason=found.reason,
    )


def coefficient(name: str, found: Coefficient, policy: str, *, group: str = ALL) -> Figure:
    """A coefficient of agreement as a figure."""
    return Figure(
        name=name,
        group=group,
        value=found.value,
        n=found.units,
        policy=policy,
        unit="coefficient",
        interval=found.interval,
        reason=found.reason,
    )


def compared(name: str, found: Agreement, policy: str, *, group: str = ALL) -> Figure:
    """A share of comparisons as a figure."""
    few = None if found.interval is not None else "fewer than two clusters hold a comparison"
    return Figure(
        name=name,
        group=group,
        value=found.ratio,
        n=found.total,
        policy=policy,
        interval=found.interval,
        reason=few if found.total else "there is nothing to compare",
        successes=found.agree,
    )


def correlated(name: str, found: Correlation, policy: str, *, group: str = ALL) -> Figure:
    """A correlation as a figure."""
    return Figure(
        name=name,
        group=group,
        value=found.value,
        n=found.n,
        policy=policy,
        unit="coefficient",
        interval=found.interval,
        reason=found.reason,
    )
