"""AlpacaEval's numbers, from example scores.

Source: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/{winrate.py,glm_winrate.py}; the intervals are ours,
as is the standard error of the length-controlled rate.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgebench.records import ExampleScore, Score, Upstream
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals, clustered_estimate
from judgebench.stats.intervals import interval_fields, percentile_interval, resample_counts
from judgebench.stats.length_control import (
    LengthControlled,
    bootstrap_length_controlled,
    length_controlled_interval,
    length_controlled_win_rate,
)
from judgebench.task import TaskData

from .lengths import LengthTable

TASK = "alpacaeval"
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 0
LEVEL = 0.95
BOOTSTRAP = f"{BOOTSTRAP_ROUNDS} bootstrap rounds over examples, seed {BOOTSTRAP_SEED}, refitted at this C"


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, c: float | None) -> list[Score]:
    """All metrics of a run, the headline first."""
    total = len(data.examples)
    preference = _column([score.value for score in scores])
    length = _column([score.covariates["length"] for score in scores])
    return [
        *_length_controlled(data, scores, preference, length, c=c),
        *_win_rates(preference, total, group=None),
        _average_length(length, total),
        *_subset_win_rates(data, scores, preference),
    ]


def _column(values: Sequence[float | str | None]) -> FloatArray:
    """Numbers with NaN for ``None``: only inside this module, never in a record."""
    return np.array([np.nan if value is None else float(value) for value in values], dtype=float)


def _win_rates(preference: FloatArray, total: int, *, group: str | None) -> list[Score]:
    shares = preference[np.isfinite(preference)]
    missing = total - len(shares)
    if len(shares) == 0:
        why = "no example has a verdict"
        return [_absent(metric, total, why, group) for metric in ("win_rate", "discrete_win_rate")]
    wins, draws = int((shares > 0.5).sum()), int((shares == 0.5).sum())
    counts = {"n_wins": wins, "n_wins_base": len(shares) - wins - draws, "n_draws": draws, "n_total": len(shares)}
    won = float(shares.sum())
    bounds = [100 * won / (len(shares) + missing), 100 * (won + missing) / (len(shares) + missing)]
    # A verdict of exactly one half stays half a win; every other one goes wholly to its likelier side.
    discrete = np.where(shares == 0.5, 0.5, (shares > 0.5).astype(float))
    return [
        _mean_score("win_rate", shares, missing, group, {**counts, "if_missing_all_lost_or_won": bounds}),
        _mean_score("discrete_win_rate", discrete, missing, group, {}),
    ]


def _mean_score(metric: str, shares: FloatArray, missing: int, group: str | None, details: dict[str, Any]) -> Score:
    result = bounded_estimate(cluster_totals(100 * shares), 0, 100)
    interval = result.interval
    return Score(
        task=TASK,
        metric=metric,
        value=result.value,
        unit="percent",
        stderr=result.stderr,
        **interval_fields(interval),
        method=f"mean; {result.how('examples')}",
        n=result.n,
        n_missing=missing,
        group=group,
        details=details,
    )


def _average_length(length: FloatArray, total: int) -> Score:
    """Mean characters of the outputs, cut to an integer as upstream prints it."""
    lengths = length[np.isfinite(length)]
    if len(lengths) == 0:
        return _absent("avg_length", total, "the run holds no outputs", None, unit="characters")
    result = clustered_estimate(cluster_totals(lengths))
    interval = result.interval
    score = Score(
        task=TASK,
        metric="avg_length",
        value=float(int(lengths.mean())),
        unit="characters",
        stderr=result.stderr,
        **interval_fields(interval),
        method=f"mean, cut to an integer; {result.how('examples')}",
        n=len(lengths),
        n_missing=total - len(lengths),
    )
    published = float(int(lengths.sum() / total))
    if published == score.value:
        return score
    why = (
        f"the published tables divide the characters of {len(lengths)} outputs by {total}, as if the others were empty"
    )
    return score.beside(Upstream(value=published, reason=why))


def _subset_win_rates(data: TaskData, scores: Sequence[ExampleScore], preference: FloatArray) -> list[Score]:
    subsets = [str(score.covariates["dataset"] or "") for score in scores]
    sizes: dict[str, int] = {}
    for example in data.examples:
        name = str(example.meta.get("dataset") or "")
        sizes[name] = sizes.get(name, 0) + 1
    if len(sizes) < 2:
        return []
    rows = []
    for name in sorted(sizes):
        inside = preference[[subset == name for subset in subsets]] if len(scores) else preference
        rows.append(_win_rates(inside, sizes[name], group=f"subset={name}")[0])
    return rows


def _length_controlled(
    data: TaskData,
    scores: Sequence[ExampleScore],
    preference: FloatArray,
    length: FloatArray,
    *,
    c: float | None,
) -> list[Score]:
    total = len(data.examples)
    baseline_length = _column([score.covariates["baseline_length"] for score in scores])
    difficulty = _column([score.covariates["difficulty"] for score in scores])
    rows = np.isfinite(length) & np.isfinite(baseline_length)
    if scores and all(score.covariates["against_itself"] for score in scores):
        return _against_itself(total, int(rows.sum()))
    if not rows.any():
        why = "the run holds judgements without the outputs, so their lengths are unknown"
        return [_absent("lc_win_rate", total, why, None)]
    table = data.extras if isinstance(data.extras, LengthTable) and np.isfinite(difficulty[rows]).all() else None
    model = {} if table is None else {"difficulty": difficulty[rows], "anchors": table.anchors}
    shares, difference = preference[rows], (baseline_length - length)[rows]
    try:
        ours = _fitted(shares, difference, model, total, c=c)
    except ValueError as error:
        return [_absent("lc_win_rate", total, str(error), None)]
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
        metric="lc_win_rate",
        value=fit.win_rate,
        unit="percent",
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
            metric="lc_win_rate",
            value=50.0,
            unit="percent",
            stderr=0.0,
            method=method,
            n=n,
            n_missing=missing,
        ),
        Score(task=TASK, metric="lc_standard_error", value=0.0, unit="percent", method=method, n=n, n_missing=missing),
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
        metric="lc_standard_error",
        value=fit.lc_standard_error,
        unit="percent",
        method="upstream's column: spread of the predictions over instructions, not an uncertainty of lc_win_rate",
        n=len(fit.predictions),
        n_missing=total - len(fit.predictions),
    )


def _absent(metric: str, total: int, why: str, group: str | None, unit: str = "percent") -> Score:
    return Score(task=TASK, metric=metric, value=None, unit=unit, n=0, n_missing=total, group=group, reason=why)
