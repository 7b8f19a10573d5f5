"""``Metric``: name, unit, direction, bounds and the value of an example; a metric makes its score with the interval.

Each benchmark's own metrics are in ``tasks/<name>/``, the formulas of intervals in ``stats.clustered``.

A task lists its metrics. Scores, comparisons, the gate, plans, early stops, labels and tables read this list, and
nothing outside the task repeats it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from judgebench.records import Example, ExampleScore, Judgement, Score

if TYPE_CHECKING:
    # Needs numpy, which listing the tasks does not.
    from judgebench.stats.clustered import ClusterTotals

T = TypeVar("T")
K = TypeVar("K")

UNITS = ("percent", "points", "rating", "characters", "usd")
NEVER_NEGATIVE = ("characters", "usd")
"""Units of which nobody has less than nothing, so that no interval says so."""
ABOUT_A_METRIC = ("_stderr", "_low", "_high", "_level")
"""Suffixes of table columns that describe a metric, and are not metrics themselves."""

Row = TypeVar("Row", ExampleScore, Judgement)
Rows = Sequence[ExampleScore] | Mapping[str, Sequence[ExampleScore]]
"""Example scores, or those of each example by its id (:func:`by_example`), which serve several metrics."""

ValueOf = Callable[[Sequence[ExampleScore]], float | None]
"""An example's number from its example scores; ``None`` if a part of it is missing."""

MetricSums = Mapping[tuple[str, str | None], "ClusterTotals"]
"""By metric and group, each score as sums over the items that vary independently, in the metric's unit."""


def no_value(rows: Sequence[ExampleScore]) -> None:
    """The ``value_of`` of a metric that is not a plain mean over the examples."""


def single_row(name: str) -> ValueOf:
    """The value of the example score called ``name``."""

    def value(rows: Sequence[ExampleScore]) -> float | None:
        return next((row.value for row in rows if row.metric == name), None)

    return value


def grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Values by their key, in the order in which the keys first occur."""
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def by_example(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group example scores, or judgements, by example."""
    return grouped(rows, lambda row: row.example_id)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The definition of one metric."""

    name: str
    """Or a pattern (as of file names) for metrics that differ only in a number, such as ``pass@*``."""
    unit: str = "percent"
    """One of :data:`UNITS`."""
    direction: Literal["higher", "none"] = "higher"
    """Whether more is better. A metric without a direction can be compared, but has no ranks and passes no gate."""
    bounds: tuple[float, float] | None = None
    """The least and the greatest value of one example, in the unit. Percentages lie between 0 and 100."""
    value_of: ValueOf = no_value
    """For a plain mean over the examples: an example's number, which lies between 0 and 1 for a metric in percent.

    Only such metrics, if they have bounds, can be stopped early, planned for in the worst case, or anchored in human
    labels. A fit over all examples has no such number, and neither has a ratio whose denominator depends on verdicts.
    """
    how: str = ""
    """How an example comes to its value, and the values to the metric, in words for people who look at one example."""
    win_share: bool = False
    """``value_of`` is the candidate's share of the win, which a human's verdict on the pair can replace."""
    without_control: str | None = None
    """For a metric that is controlled for length: the name of the same metric without the control."""
    shown: bool = True
    """Tables have a column for it."""
    needs_table: str | None = None
    """Why a run alone cannot give the published numbers, if it cannot."""

    @property
    def is_mean(self) -> bool:
        """Whether it is a plain mean over the examples."""
        return self.value_of is not no_value

    @property
    def limits(self) -> tuple[float, float] | None:
        """The metric's bounds, or those of its unit."""
        return self.bounds or ((0.0, 100.0) if self.unit == "percent" else None)

    @property
    def span(self) -> float:
        """The greatest possible difference of two runs; infinite without bounds, for example for a length."""
        low, high = self.limits or (0.0, float("inf"))
        return high - low

    @property
    def scale(self) -> float:
        """The metric is this times the mean of ``value_of``."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def lower(self) -> float:
        """The least value of ``value_of``."""
        return self._bounded[0] / self.scale

    @property
    def upper(self) -> float:
        """The greatest value of ``value_of``."""
        return self._bounded[1] / self.scale

    @property
    def _bounded(self) -> tuple[float, float]:
        assert self.limits is not None, f"{self.name} has no bounds"
        return self.limits

    def values(self, rows: Rows) -> dict[str, float | None]:
        """The examples' numbers by id."""
        grouped_rows = rows if isinstance(rows, Mapping) else by_example(rows)
        return {example_id: self.value_of(own) for example_id, own in grouped_rows.items()}

    # -- scores

    def score(
        self,
        task: str,
        sums: "ClusterTotals",
        what: str,
        over: str,
        *,
        n: int,
        n_missing: int,
        value: float | None = None,
        group: str | None = None,
        details: Mapping[str, Any] | None = None,
        bounded: bool = True,
    ) -> Score:
        """Make a score of sums, with its interval.

        ``what`` and ``over`` say in words what the value is and which clusters vary independently. Give ``value`` if
        upstream adds up in another order, or rounds. Set ``bounded`` to false for rows that leave the bounds.
        """
        from judgebench.stats.clustered import bounded_estimate, clustered_estimate
        from judgebench.stats.intervals import interval_fields

        if bounded and self.limits is not None:
            estimate = bounded_estimate(sums, *(float(sums.weights.sum()) * end for end in self.limits))
        else:
            estimate = clustered_estimate(sums)
        ends = interval_fields(estimate.interval)
        if self.unit in NEVER_NEGATIVE and ends["low"] is not None:
            ends["low"] = max(0.0, ends["low"])
        return self.number(
            task,
            estimate.value if value is None else value,
            stderr=estimate.stderr,
            **ends,
            method=f"{what}; {estimate.how(over)}",
            n=n,
            n_missing=n_missing,
            group=group,
            details=dict(details or {}),
        )

    def absent(self, task: str, reason: str, **about: Any) -> Score:
        """A score without a value, and the reason; ``about`` are its ``n_missing`` and further fields."""
        return self.number(task, None, n=0, reason=reason, **about)

    def number(self, task: str, value: float | None, **about: Any) -> Score:
        """A score whose value was computed elsewhere; ``about`` are its ``n`` and further fields."""
        return Score(task=task, metric=self.name, value=value, unit=self.unit, **about)

    def mean_score(self, task: str, examples: Sequence[Example], rows: Rows) -> Score:
        """The score of a plain mean over examples."""
        sums = self.mean_sums(examples, rows)
        missing = len(examples) - sums.n
        if not sums.n:
            return self.absent(task, "no example has a value", n_missing=missing)
        return self.score(task, sums, "mean over examples", "items", n=sums.n, n_missing=missing)

    def mean_sums(self, examples: Sequence[Example], rows: Rows) -> "ClusterTotals":
        """The sums of a plain mean over examples; the answers to one item belong together."""
        from judgebench.stats.clustered import cluster_totals

        items = {example.id: example.item for example in examples if example.item}
        known = {name: value for name, value in self.values(rows).items() if value is not None}
        return cluster_totals(
            [self.scale * value for value in known.values()], clusters=[items.get(name, name) for name in known]
        )


def metric_called(name: str, metrics: Iterable[Metric], unit: str = "percent") -> Metric:
    """Find a metric's definition among several. One that is not listed, as in some files, has only a unit."""
    listed = (replace(metric, name=name) for metric in metrics if fnmatchcase(name, metric.name))
    return next(listed, Metric(name=name, unit=unit))
