"""The metrics, and what both win rates share: upstream's estimate from resampled battles, and bounds.

The plain win rate is computed in ``metrics.py``, the style-controlled one in ``controlled.py``.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from judgebench.records import Score, Upstream
from judgebench.stats.arrays import FloatArray
from judgebench.stats.intervals import Interval, interval_fields, percentile_interval
from judgebench.stats.proportions import share_interval
from judgebench.task.metric import Metric

TASK = "arenahard"
LEVEL = 0.95
SEED = 0

WINS = Metric(
    name="win_rate",
    how="each game is a battle, one with a clear verdict (>>) as many as the option weight says (3); a sample's value "
    "is the share of its battles that are won, ties as halves, and its weight is their number; 100 times their mean",
)
CONTROLLED_WINS = Metric(
    name="win_rate_style_controlled",
    needs_table="upstream fits it to all models of a table together, and a run is alone in its own",
)
METRICS = (WINS, CONTROLLED_WINS)

UPSTREAM_LEVEL = {"current": 0.90, "legacy": 0.95}
"""Upstream prints the 5th and 95th percentile, or the 2.5th and 97.5th."""


@dataclass(frozen=True)
class Resampled:
    """What upstream's script would print, up to its random numbers."""

    estimate: float
    rates: FloatArray
    """Of resampled battles, in percent."""
    pipeline: str
    taken: str = ""
    """What of the rates is the estimate, ``mean`` or ``median``; nothing if it is made without them."""

    @property
    def interval(self) -> Interval | None:
        """The interval at upstream's level; ``None`` without resamples."""
        return percentile_interval(
            self.rates, UPSTREAM_LEVEL[self.pipeline], "upstream's bootstrap percentile over single battles"
        )

    def details(self) -> dict[str, Any] | None:
        """Return upstream's number for the details of a score."""
        interval = self.interval
        if interval is None:
            return None
        taken = f", of which it prints the {self.taken}" if self.taken else ""
        printed = Upstream(
            value=self.estimate,
            **interval_fields(interval),
            method=interval.method,
            reason=f"upstream resamples single battles{taken}",
        )
        found: dict[str, Any] = msgspec.to_builtins(printed)
        return found


def rate_score(
    metric: Metric,
    value: float,
    stderr: float | None,
    interval: Interval | None,
    what: str,
    how: str,
    *,
    instead: Resampled | None,
    **about: Any,
) -> Score:
    """Make a score with our interval or, if there are resamples to use ``instead``, upstream's estimate and interval.

    ``what`` and ``how`` say how the value and our interval were computed.
    """
    if instead is not None and instead.interval is not None:
        value, stderr, interval, how = instead.estimate, None, instead.interval, instead.interval.method
    return metric.number(TASK, value, stderr=stderr, **interval_fields(interval), method=f"{what}; {how}", **about)


def one_sided(value: float, n: int) -> Interval:
    """Return Wilson's interval for none, or all, of n questions: resampling equal shares would give no width."""
    share = share_interval(n if value else 0, n, level=LEVEL)
    assert share is not None
    return Interval(100 * share.low, 100 * share.high, LEVEL, "wilson over questions, all of which ended alike")
