"""AlpacaEval's numbers, from example scores.

Source: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/{winrate.py,glm_winrate.py}; the intervals are ours,
as is the standard error of the length-controlled rate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore, Score, Upstream
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.intervals import interval_fields, percentile_interval, resample_counts
from judgebench.stats.length_control import (
    LengthControlled,
    bootstrap_length_controlled,
    length_controlled_influence,
    length_controlled_interval,
    length_controlled_win_rate,
)
from judgebench.task import Fetch, TaskData
from judgebench.task.metric import Metric, MetricSums, single_row

from .lengths import LengthTable, length_table

TASK = "alpacaeval"
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 0
LEVEL = 0.95
BOOTSTRAP = f"{BOOTSTRAP_ROUNDS} bootstrap rounds over examples, seed {BOOTSTRAP_SEED}, refitted at this C"


def _decided(rows: Sequence[ExampleScore]) -> float | None:
    """The likelier side has the whole win; a verdict of exactly one half stays half a win."""
    value = single_row("preference")(rows)
    return value if value is None or value == 0.5 else float(value > 0.5)


def _length(rows: Sequence[ExampleScore]) -> float | None:
    length = rows[0].covariates["length"] if rows else None
    return None if length is None else float(length)


CONTROLLED = Metric(name="lc_win_rate", without_control="win_rate")
WINS = Metric(name="win_rate", value_of=single_row("preference"), win_share=True)
DECIDED_WINS = Metric(name="discrete_win_rate", value_of=_decided, win_share=True)
LENGTH = Metric(name="avg_length", unit="characters", direction="none", value_of=_length)
SPREAD = Metric(name="lc_standard_error", direction="none", shown=False)
METRICS = (CONTROLLED, WINS, DECIDED_WINS, LENGTH, SPREAD)


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, c: float | None) -> list[Score]:
    """All metrics of a run, the headline first."""
    return [
        *_length_controlled(data, scores, c=c),
        *_win_rates(scores, len(data.examples), group=None),
        _average_length(scores, len(data.examples)),
        *(_win_rates(own, total, group=group)[0] for group, (own, total) in _subsets(data.examples, scores).items()),
    ]


def metric_sums(
    examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, c: float | None
) -> MetricSums:
    """The same numbers as sums over instructions, for comparing two runs; ``lc_win_rate`` linearised by refits without
    each instruction.
    """
    sums: dict[tuple[str, str | None], ClusterTotals] = {}
    if (controlled := _linearised(scores, fetch, c)) is not None:
        sums[CONTROLLED.name, None] = controlled
    for metric in (WINS, DECIDED_WINS, LENGTH):
        if (own := metric.mean_sums(examples, scores)).n:
            sums[metric.name, None] = own
    for group, (rows, _) in _subsets(examples, scores).items():
        if rows:
            sums[WINS.name, group] = WINS.mean_sums(examples, rows)
    return sums


def _column(values: Sequence[float | str | None]) -> FloatArray:
    """Numbers with NaN for ``None``: only inside this module, never in a record."""
    return np.array([np.nan if value is None else float(value) for value in values], dtype=float)


def _win_rates(rows: Sequence[ExampleScore], total: int, *, group: str | None) -> list[Score]:
    shares = np.array([value for value in WINS.values(rows).values() if value is not None])
    missing = total - len(shares)
    if len(shares) == 0:
        why = "no example has a verdict"
        return [metric.absent(TASK, why, n_missing=total, group=group) for metric in (WINS, DECIDED_WINS)]
    wins, draws = int((shares > 0.5).sum()), int((shares == 0.5).sum())
    counts = {"n_wins": wins, "n_wins_base": len(shares) - wins - draws, "n_draws": draws, "n_total": len(shares)}
    won = float(shares.sum())
    bounds = [100 * won / (len(shares) + missing), 100 * (won + missing) / (len(shares) + missing)]
    return [
        metric.score(
            TASK,
            metric.mean_sums((), rows),
            "mean",
            "examples",
            n=len(shares),
            n_missing=missing,
            group=group,
            details=details,
        )
        for metric, details in ((WINS, {**counts, "if_missing_all_lost_or_won": bounds}), (DECIDED_WINS, {}))
    ]


def _average_length(rows: Sequence[ExampleScore], total: int) -> Score:
    """Mean characters of the outputs, cut to an integer as upstream prints it."""
    lengths = [value for value in LENGTH.values(rows).values() if value is not None]
    if not lengths:
        return LENGTH.absent(TASK, "the run holds no outputs", n_missing=total)
    n, characters = len(lengths), sum(lengths)
    score = LENGTH.score(
        TASK,
        LENGTH.mean_sums((), rows),
        "mean, cut to an integer",
        "examples",
        value=float(int(characters / n)),
        n=n,
        n_missing=total - n,
    )
    published = float(int(characters / total))
    if published == score.value:
        return score
    why = f"the published tables divide the characters of {n} outputs by {total}, as if the others were empty"
    return score.beside(Upstream(value=published, reason=why))


def _subsets(examples: Sequence[Example], scores: Sequence[ExampleScore]) -> dict[str, tuple[list[ExampleScore], int]]:
    """The example scores of each of several subsets, and how many there should be."""
    sizes = Counter(str(example.meta.get("dataset") or "") for example in examples)
    return {
        f"subset={name}": ([score for score in scores if str(score.covariates["dataset"] or "") == name], sizes[name])
        for name in sorted(sizes if len(sizes) > 1 else ())
    }


def _length_controlled(
    data: TaskData,
    scores: Sequence[ExampleScore],
    *,
    c: float | None,
) -> list[Score]:
    total = len(data.examples)
    preference = _column([score.value for score in scores])
    length = _column([score.covariates["length"] for score in scores])
    baseline_length = _column([score.covariates["baseline_length"] for score in scores])
    difficulty = _column([score.covariates["difficulty"] for score in scores])
    rows = np.isfinite(length) & np.isfinite(baseline_length)
    if scores and all(score.covariates["against_itself"] for score in scores):
        return _against_itself(total, int(rows.sum()))
    if not rows.any():
        why = "the run holds judgements without the outputs, so their lengths are unknown"
        return [CONTROLLED.absent(TASK, why, n_missing=total)]
    table = data.extras if isinstance(data.extras, LengthTable) and np.isfinite(difficulty[rows]).all() else None
    model = {} if table is None else {"difficulty": difficulty[rows], "anchors": table.anchors}
    shares, difference = preference[rows], (baseline_length - length)[rows]
    try:
        ours = _fitted(shares, difference, model, total, c=c)
    except ValueError as error:
        return [CONTROLLED.absent(TASK, str(error), n_missing=total)]
    if table is None or len(scores) > len(table.difficulty):
        return ours
    by_row = table.difficulty[: len(scores)][rows]
    moved = int((by_row != difficulty[rows]).sum())
    if not moved:
        return ours
    theirs = _fitted(shares, difference, {**model, "difficulty": by_row}, total, c=c)
    why = (
        f"upstream looks an instruction's difficulty up by its row in the file, and so gives {moved} of {len(by_row)} "
        f"answers another instruction's"
    )
    return [own.beside(other.as_upstream(why)) for own, other in zip(ours, theirs, strict=True)]


def _fitted(
    shares: FloatArray, difference: FloatArray, model: Mapping[str, Any], total: int, *, c: float | None
) -> list[Score]:
    """The length-controlled rate, and upstream's spread of its predictions; a ``ValueError`` where no fit is possible.

    ``model`` has the difficulties and the gamed rows, if they are known.
    """
    formula = "length_controlled_v1" if model else "length_controlled_minimal (no published difficulties)"
    fit = length_controlled_win_rate(shares, difference, c=c, **model)
    if not any((fit.coefficients.length, fit.coefficients.difficulty, fit.coefficients.bias)):
        formula += "; at this C the penalty leaves no term, so the prediction is one half"
    counts = resample_counts(len(shares), BOOTSTRAP_ROUNDS, np.random.default_rng(BOOTSTRAP_SEED))
    replicates = bootstrap_length_controlled(shares, difference, fit, counts, **model)
    # Of refits at the C that was chosen, percentiles are off by as much as its penalty draws the rate towards 50.
    interval, unknown = length_controlled_interval(shares, difference, fit, level=LEVEL, **model)
    how = f"interval: {interval.method}, refitted without each example" if interval else f"no interval: {unknown}"
    drawn = percentile_interval(replicates, LEVEL)
    headline = Score(
        task=TASK,
        metric=CONTROLLED.name,
        value=fit.win_rate,
        unit=CONTROLLED.unit,
        stderr=float(replicates.std(ddof=1)) if len(replicates) > 1 else None,
        **interval_fields(interval),
        method=f"{formula}, C = {fit.c:.6g}{' (given)' if c else ''}; {how}; standard error: {BOOTSTRAP}",
        n=fit.n_judged,
        n_missing=total - fit.n_judged,
        details={**_fit_details(fit), "bootstrap_percentiles": [drawn.low, drawn.high] if drawn else None},
    )
    return [headline, _spread(fit, total)]


def _against_itself(total: int, n: int) -> list[Score]:
    """The baseline's own row: upstream fits nothing and predicts one half throughout."""
    method = "the baseline against itself: 50 by definition"
    missing = total - n
    return [
        Score(
            task=TASK,
            metric=CONTROLLED.name,
            value=50.0,
            unit=CONTROLLED.unit,
            stderr=0.0,
            method=method,
            n=n,
            n_missing=missing,
        ),
        Score(task=TASK, metric=SPREAD.name, value=0.0, unit=SPREAD.unit, method=method, n=n, n_missing=missing),
    ]


def _fit_details(fit: LengthControlled) -> dict[str, Any]:
    return {
        "C": fit.c,
        "near_tied_C": list(fit.near_tied),
        "lc_range_over_near_tied_C": list(fit.near_tied_range),
        "coefficients": {
            "np.tanh(std_delta_len)": fit.coefficients.length,
            "instruction_difficulty": fit.coefficients.difficulty,
            "not_gamed_baseline.astype(float)": fit.coefficients.bias,
        },
    }


def _spread(fit: LengthControlled, total: int) -> Score:
    return Score(
        task=TASK,
        metric=SPREAD.name,
        value=fit.lc_standard_error,
        unit=SPREAD.unit,
        method="upstream's column: spread of the predictions over instructions, not an uncertainty of lc_win_rate",
        n=len(fit.predictions),
        n_missing=total - len(fit.predictions),
    )


def _linearised(scores: Sequence[ExampleScore], fetch: Fetch, c: float | None) -> ClusterTotals | None:
    """The value is that of the fit at the C chosen; influences are those at the loosest penalty, as of its interval."""
    names = ("length", "baseline_length", "difficulty")
    columns = {
        name: np.array([np.nan if (value := score.covariates[name]) is None else float(value) for score in scores])
        for name in names
    }
    rows = np.isfinite(columns["length"]) & np.isfinite(columns["baseline_length"])
    if not rows.any() or all(score.covariates["against_itself"] for score in scores):
        return None
    shares = np.array([score.value for score in scores], dtype=float)[rows]
    clusters = np.array([score.example_id for score in scores])[rows]
    difference = (columns["baseline_length"] - columns["length"])[rows]
    model: dict[str, Any] = {}
    if np.isfinite(columns["difficulty"][rows]).all():
        model = {"difficulty": columns["difficulty"][rows], "anchors": length_table(fetch("gamed")).anchors}
    try:
        fit = length_controlled_win_rate(shares, difference, c=c, **model)
        influence = length_controlled_influence(shares, difference, clusters=clusters, **model)
    except ValueError:
        return None
    if influence is None:
        return None
    known = np.unique(clusters)
    return cluster_totals(fit.win_rate + len(known) * influence[1], clusters=known)
