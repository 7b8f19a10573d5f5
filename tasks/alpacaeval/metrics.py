"""AlpacaEval's numbers, from example scores. How verdicts become example scores is in ``task.py``.

Source: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/{winrate.py,glm_winrate.py}; the intervals are ours,
as is the standard error of the length-controlled rate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgebench.records import Example, ExampleScore, Score, Upstream
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.intervals import Interval, interval_fields, percentile_interval, resample_counts
from judgebench.stats.length_control import (
    AnchorRows,
    LengthControlled,
    bootstrap_length_controlled,
    length_controlled_influence,
    length_controlled_interval,
    length_controlled_win_rate,
)
from judgebench.task import Fetch, TaskData
from judgebench.task.metric import Metric, MetricSums, grouped, single_row

from .lengths import LengthTable, length_table

TASK = "alpacaeval"
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 0
LEVEL = 0.95
BOOTSTRAP = f"{BOOTSTRAP_ROUNDS} bootstrap rounds over examples, seed {BOOTSTRAP_SEED}, refitted at this C"


def _decided(rows: Sequence[ExampleScore]) -> float | None:
    """Give the likelier side the whole win; a verdict of exactly one half stays half a win."""
    value = single_row("preference")(rows)
    return value if value is None or value == 0.5 else float(value > 0.5)


def _length(rows: Sequence[ExampleScore]) -> float | None:
    length = rows[0].covariates["length"] if rows else None
    return None if length is None else float(length)


CONTROLLED = Metric(
    name="lc_win_rate",
    without_control="win_rate",
    how="a logistic fit explains the preferences by the model, by how much longer its answer is than the baseline's, "
    "and by the difficulty of the instruction; 100 times the mean of what it says at equal lengths",
)
WINS = Metric(
    name="win_rate",
    value_of=single_row("preference"),
    win_share=True,
    how="preference is the answer's share of the win: 0 is a loss, 1 a win, and where the judge's probabilities are "
    "read, 0.93 is how sure the judge is of a win; 100 times the mean",
)
DECIDED_WINS = Metric(
    name="discrete_win_rate",
    value_of=_decided,
    win_share=True,
    how="a preference above 0.5 is a win, 0.5 half of one; 100 times the mean",
)
LENGTH = Metric(name="avg_length", unit="characters", direction="none", value_of=_length)
SPREAD = Metric(name="lc_standard_error", direction="none", shown=False)
METRICS = (CONTROLLED, WINS, DECIDED_WINS, LENGTH, SPREAD)


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, c: float | None) -> list[Score]:
    """Make all scores of a run, the headline first."""
    return [
        *_length_controlled(data, scores, c=c),
        *_win_rates(scores, len(data.examples), group=None),
        _average_length(scores, len(data.examples)),
        *(_win_rates(own, total, group=group)[0] for group, (own, total) in _subsets(data.examples, scores).items()),
    ]


def metric_sums(
    examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, c: float | None
) -> MetricSums:
    """Sum the same numbers over instructions, for comparing two runs; ``lc_win_rate`` is linearised by refits without
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
    """Average the outputs' characters, cut to an integer as upstream prints it."""
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
    """Return the example scores of each subset and how many there should be, if there are several subsets."""
    sizes = Counter(group for example in examples for group in groups(example))
    by_subset = grouped(scores, lambda score: subset(score.covariates["dataset"]))
    return {group: (by_subset.get(group, []), sizes[group]) for group in sorted(sizes if len(sizes) > 1 else ())}


def groups(example: Example) -> tuple[str]:
    """The group of an example's subset."""
    return (subset(example.meta.get("dataset")),)


def subset(dataset: object) -> str:
    """The name of a subset as a group."""
    return f"subset={dataset or ''}"


@dataclass(frozen=True)
class _Lengths:
    """The example scores whose two lengths are known, as columns of shape (n,)."""

    known: NDArray[np.bool_]
    """Which of all example scores these are."""
    shares: FloatArray
    """NaN where there is no verdict."""
    difference: FloatArray
    difficulty: FloatArray

    @classmethod
    def of(cls, scores: Sequence[ExampleScore]) -> "_Lengths":
        names = ("length", "baseline_length", "difficulty")
        rows = [(score.value, *(score.covariates[name] for name in names)) for score in scores]
        shares, length, baseline_length, difficulty = np.array(rows, dtype=float).reshape(len(rows), 4).T
        known = np.isfinite(length) & np.isfinite(baseline_length)
        return cls(known, shares[known], (baseline_length - length)[known], difficulty[known])

    def model(self, table: LengthTable | None) -> dict[str, Any]:
        """Return the difficulties and the gamed rows for the fit, if every difficulty is known."""
        if table is None or not np.isfinite(self.difficulty).all():
            return {}
        return {"difficulty": self.difficulty, "anchors": table.anchors}


def _itself(scores: Sequence[ExampleScore]) -> bool:
    """Say whether the model is the baseline."""
    return bool(scores) and all(score.covariates["against_itself"] for score in scores)


def _length_controlled(data: TaskData, scores: Sequence[ExampleScore], *, c: float | None) -> list[Score]:
    total, rows = len(data.examples), _Lengths.of(scores)
    n = len(rows.shares)
    if _itself(scores):
        # Upstream fits nothing for the baseline's own row and predicts one half throughout.
        about = {"method": "the baseline against itself: 50 by definition", "n": n, "n_missing": total - n}
        return [CONTROLLED.number(TASK, 50.0, stderr=0.0, **about), SPREAD.number(TASK, 0.0, **about)]
    if not n:
        why = "the run holds judgements without the outputs, so their lengths are unknown"
        return [CONTROLLED.absent(TASK, why, n_missing=total)]
    table = data.extras if isinstance(data.extras, LengthTable) else None
    model = rows.model(table)
    try:
        ours = _fitted(rows, model, total, c=c)
    except ValueError as error:
        return [CONTROLLED.absent(TASK, str(error), n_missing=total)]
    if table is None or not model or len(scores) > len(table.difficulty):
        return ours
    by_row = table.difficulty[: len(scores)][rows.known]
    moved = int((by_row != rows.difficulty).sum())
    if not moved:
        return ours
    theirs = _fitted(rows, {**model, "difficulty": by_row}, total, c=c)
    why = (
        f"upstream looks an instruction's difficulty up by its row in the file, and so gives {moved} of {len(by_row)} "
        f"answers another instruction's"
    )
    return [own.beside(other.as_upstream(why)) for own, other in zip(ours, theirs, strict=True)]


def _fitted(rows: _Lengths, model: Mapping[str, Any], total: int, *, c: float | None) -> list[Score]:
    """Fit the length-controlled rate and upstream's spread of its predictions; raise ValueError if no fit is possible.

    ``model`` has the difficulties and the gamed rows, if they are known.
    """
    shares, difference = rows.shares, rows.difference
    formula = "length_controlled_v1" if model else "length_controlled_minimal (no published difficulties)"
    columns = (shares, difference, model["difficulty"]) if model else (shares, difference)
    fit, replicates, interval, unknown = _refitted(np.stack(columns).tobytes(), model.get("anchors"), c)
    if not any((fit.coefficients.length, fit.coefficients.difficulty, fit.coefficients.bias)):
        formula += "; at this C the penalty leaves no term, so the prediction is one half"
    how = f"interval: {interval.method}, refitted without each example" if interval else f"no interval: {unknown}"
    drawn = percentile_interval(replicates, LEVEL)
    headline = CONTROLLED.number(
        TASK,
        fit.win_rate,
        stderr=float(replicates.std(ddof=1)) if len(replicates) > 1 else None,
        **interval_fields(interval),
        method=f"{formula}, C = {fit.c:.6g}{' (given)' if c else ''}; {how}; standard error: {BOOTSTRAP}",
        n=fit.n_judged,
        n_missing=total - fit.n_judged,
        details={**_fit_details(fit), "bootstrap_percentiles": [drawn.low, drawn.high] if drawn else None},
    )
    spread = SPREAD.number(
        TASK,
        fit.lc_standard_error,
        method="upstream's column: spread of the predictions over instructions, not an uncertainty of lc_win_rate",
        n=len(fit.predictions),
        n_missing=total - len(fit.predictions),
    )
    return [headline, spread]


@lru_cache(maxsize=64)
def _refitted(
    columns: bytes, anchors: AnchorRows | None, c: float | None
) -> tuple[LengthControlled, FloatArray, Interval | None, str | None]:
    """The fit to shares, length differences and, with ``anchors``, difficulties; its bootstrap rates and its interval.

    It is kept, because in a jury many rows are alike: those of repeats, and those of a judge alone.
    """
    shares, difference, *difficulty = np.frombuffer(columns).reshape(2 if anchors is None else 3, -1)
    model: dict[str, Any] = {"difficulty": difficulty[0], "anchors": anchors} if difficulty else {}
    fit = length_controlled_win_rate(shares, difference, c=c, **model)
    counts = resample_counts(len(shares), BOOTSTRAP_ROUNDS, np.random.default_rng(BOOTSTRAP_SEED))
    replicates = bootstrap_length_controlled(shares, difference, fit, counts, **model)
    # Of refits at the C that was chosen, percentiles are off by as much as its penalty draws the rate towards 50.
    interval, unknown = length_controlled_interval(shares, difference, fit, level=LEVEL, **model)
    return fit, replicates, interval, unknown


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


def _linearised(scores: Sequence[ExampleScore], fetch: Fetch, c: float | None) -> ClusterTotals | None:
    """Linearise the rate: the value is that of the fit at the chosen C, the influences are those at the loosest
    penalty, as for its interval.
    """
    rows = _Lengths.of(scores)
    if _itself(scores) or not len(rows.shares):
        return None
    clusters = np.array([score.example_id for score in scores])[rows.known]
    known = np.isfinite(rows.difficulty).all()
    model = rows.model(length_table(fetch("gamed")) if known else None)
    shares, difference = rows.shares, rows.difference
    try:
        fit = length_controlled_win_rate(shares, difference, c=c, **model)
        influence = length_controlled_influence(shares, difference, clusters=clusters, **model)
    except ValueError:
        return None
    if influence is None:
        return None
    names = np.unique(clusters)
    return cluster_totals(fit.win_rate + len(names) * influence[1], clusters=names)
