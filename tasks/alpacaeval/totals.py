"""AlpacaEval's numbers as totals over instructions, for comparing two runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.length_control import length_controlled_influence, length_controlled_win_rate
from judgebench.task import Fetch, Totals

from .lengths import length_table


def totals(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, c: float | None) -> Totals:
    """All metrics of a run, ``lc_win_rate`` linearised by refits without each instruction."""
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    controlled = _length_controlled(scores, fetch, c)
    if controlled is not None:
        found["lc_win_rate", None] = controlled
    names = [score.example_id for score in scores]
    shares = np.array([score.value for score in scores], dtype=float)
    discrete = np.where(shares == 0.5, 0.5, (shares > 0.5).astype(float))
    found["win_rate", None] = cluster_totals(100 * shares, clusters=names)
    found["discrete_win_rate", None] = cluster_totals(100 * discrete, clusters=names)
    lengths = [(score.example_id, score.covariates["length"]) for score in scores]
    known = [(name, float(length)) for name, length in lengths if length is not None]
    if known:
        found["avg_length", None] = cluster_totals(
            [length for _, length in known], clusters=[name for name, _ in known]
        )
    subset = np.array([str(score.covariates["dataset"] or "") for score in scores])
    if len({str(example.meta.get("dataset") or "") for example in examples}) > 1:
        for name in np.unique(subset):
            inside = subset == name
            found["win_rate", f"subset={name}"] = cluster_totals(100 * shares[inside], clusters=np.array(names)[inside])
    return found


def _length_controlled(scores: Sequence[ExampleScore], fetch: Fetch, c: float | None) -> ClusterTotals | None:
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
