"""Differences of two cascades of one protocol: both dear judges judged the same part, so verdicts pair one by one.

The difference of the dear judge's numbers is estimated as each number is: by its differences on the part, and the
cheap judge's on all examples (``stats.cascade``). A part that ended by a rule has no size that was fixed beforehand,
and so no such interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from judgebench.errors import UsageError
from judgebench.run.cascades import BothJudges, both_judges, cascade_part, estimated
from judgebench.run.reading import TaskRun
from judgebench.stats.cascade import CascadeMean, cascade_mean
from judgebench.task.metric import Metric

LEVEL = 0.95


@dataclass(frozen=True)
class CascadeDifference:
    """``second - first`` of one metric."""

    metric: Metric
    result: CascadeMean
    """In the unit of the metric's ``value_of``."""
    p: float | None
    """Two-sided, of Student's t; ``None`` where the interval is another one."""


def numbers_of(run: TaskRun) -> dict[str, BothJudges]:
    """What both judges of a cascade say, by metric."""
    cascade = run.task_manifest.cascade
    if cascade is None or cascade.rule is not None:
        raise UsageError(
            f"{run.run} has a cascade that ended by a rule ({cascade.rule if cascade else 'none'}): its part has no "
            "size that was fixed beforehand, so there is no interval of a difference. Judge both runs with --dear N"
        )
    examples = [example.id for example in run.examples()]
    answered = {name for name, generation in run.generations().items() if not generation.error}
    part = cascade_part(examples, cascade.n, cascade.seed)
    cheap, dear = run.example_scores(of_cascade=True), run.folder.dear_scores()
    return {metric.name: both_judges(metric, cheap, dear, answered, examples, part) for metric in estimated(run.task)}


def cascade_differences(first: TaskRun, second: TaskRun) -> list[CascadeDifference]:
    """The differences of all metrics that both cascades estimate."""
    one, other = numbers_of(first), numbers_of(second)
    found = []
    for metric in estimated(first.task):
        if metric.name in other:
            result = _difference(metric, one[metric.name], other[metric.name])
            found.append(CascadeDifference(metric, result, _p_value(result)))
    return found


def _difference(metric: Metric, first: BothJudges, second: BothJudges) -> CascadeMean:
    cheap, dear = _less(second.cheap, first.cheap), _less(second.dear, first.dear)
    judged = [name for name in cheap if name in dear]
    width = metric.upper - metric.lower
    return cascade_mean(
        [dear[name] for name in judged],
        [cheap[name] for name in judged],
        [value for name, value in cheap.items() if name not in dear],
        low=-width,
        high=width,
        level=LEVEL,
    )


def _less(second: Mapping[str, float], first: Mapping[str, float]) -> dict[str, float]:
    return {name: value - first[name] for name, value in second.items() if name in first}


def _p_value(result: CascadeMean) -> float | None:
    from scipy.special import stdtr

    if result.interval is None or not result.interval.method.endswith(", t") or not result.stderr or not result.value:
        return None
    return float(2 * stdtr(result.n - 2, -abs(result.value) / result.stderr))
