"""Every public procedure on data from which nothing can be told: a reason instead of a number, no warning, no NaN.

Warnings are errors in the whole suite, so that each call here also shows that there is none.
"""

import dataclasses
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import judgebench.stats
from judgebench.stats import (
    agreement,
    annotators,
    benchmark_quality,
    bradley_terry,
    bridge,
    bridge_rules,
    calibration,
    cascade,
    classification,
    clustered,
    control_variates,
    correlation,
    correlation_comparison,
    cross_annotation,
    elo,
    equal_lengths,
    intervals,
    judge_bias,
    judges_effect,
    jury,
    length_control,
    many_runs,
    margins,
    multiplicity,
    paired,
    power,
    prediction_powered,
    proportions,
    relative,
    repeats,
    rogan_gladen,
    sequential,
    stratified_labels,
    style_control,
    style_share,
    transitivity,
    variance_components,
)

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Shares of a win, one per row, and which rows belong together."""

    shares: Array
    clusters: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.shares)

    @property
    def other(self) -> Array:
        """A second run's shares."""
        return self.shares[::-1].copy()

    @property
    def votes(self) -> NDArray[np.int64]:
        """1, 0 or -1 of the rows that have a share."""
        known = self.shares[np.isfinite(self.shares)]
        return (known > 0.5).astype(int) - (known < 0.5).astype(int)

    @property
    def right(self) -> NDArray[np.int64]:
        """1 or 0 of the rows that have a share."""
        return (self.votes > 0).astype(int)

    @property
    def golds(self) -> NDArray[np.int64]:
        """1, 0 or -1 of all rows, 0 of those without a share."""
        return np.sign(np.nan_to_num(self.shares, nan=0.5) - 0.5).astype(int)

    @property
    def lengths(self) -> Array:
        """Length differences that separate wins from losses."""
        return np.where(self.shares > 0.5, 200.0, -200.0)

    @property
    def styles(self) -> Array:
        """Four counts, shape (n, 4), of which each separates wins from losses."""
        return np.repeat(np.where(self.shares > 0.5, 200.0, 100.0)[:, None], 4, axis=1)

    @property
    def totals(self) -> clustered.ClusterTotals:
        """Of the mean share."""
        return clustered.cluster_totals(self.shares, clusters=self.clusters)

    @property
    def runs(self) -> list[clustered.ClusterTotals]:
        """Three runs."""
        columns = (self.shares, self.other, self.shares)
        return [clustered.cluster_totals(column, clusters=self.clusters) for column in columns]

    @property
    def battles(self) -> bradley_terry.Battles:
        """Of two models, one row each."""
        return bradley_terry.count_battles(np.zeros(self.n, int), np.ones(self.n, int), self.shares, n_items=2)


def data(shares: Sequence[float], clusters: Sequence[int] | None = None) -> Data:
    """Each row its own cluster by default."""
    return Data(np.array(shares, dtype=float), np.arange(len(shares)) if clusters is None else np.array(clusters))


CASES = {
    "none": data([]),
    "one": data([1.0]),
    "two": data([1.0, 0.0]),
    "two alike": data([1.0, 1.0]),
    "all ties": data([0.5] * 12),
    "all wins": data([1.0] * 12),
    "all losses": data([0.0] * 12),
    "constant": data([0.3] * 12),
    "with NaN": data([1.0, 0.0, math.nan] * 4),
    "only NaN": data([math.nan] * 12),
    "one cluster": data([1.0, 0.0, 0.5] * 4, [0] * 12),
    "separated": data([1.0] * 6 + [0.0] * 6),
}


def rng() -> np.random.Generator:
    """A fixed random generator."""
    return np.random.default_rng(0)


def controlled(d: Data) -> length_control.LengthControlled:
    """The length-controlled fit at a given C, as few rows have no folds."""
    return length_control.length_controlled_win_rate(d.shares, d.lengths, c=1.0)


def styled(d: Data) -> style_control.StyleControlled:
    """The style-controlled ratings of two models."""
    first, second = np.zeros(d.n, int), np.ones(d.n, int)
    return style_control.style_controlled(first, second, d.shares, d.styles - 150, n_items=2)


def bridged(d: Data) -> list[Any]:
    """A bridge, and what it says of new models, by force."""
    fit = bridge.fit_bridge(d.shares, d.other, high=1)
    ends = [fit.predict(new, force=True) for new in (0.0, 0.5, 1.0)]
    return [fit, *ends, fit.difference(0.3, 0.6, force=True), fit.forecast(np.inf)]


def components(d: Data) -> variance_components.VarianceComponents:
    """Items with two rows each."""
    return variance_components.variance_components(d.shares, {"item": np.arange(d.n) // 2}, [("item",)])


def named(column: Array) -> dict[str, float | None]:
    """A leaderboard's column: no number for NaN."""
    return {f"model {k}": None if math.isnan(value) else float(value) for k, value in enumerate(column)}


def judged(d: Data) -> rogan_gladen.JudgeErrors:
    """Error rates of a judge."""
    found = rogan_gladen.judge_errors(d.right, d.right)
    assert found is not None
    return found


PROCEDURES: dict[str, Callable[[Data], Any]] = {
    "equal_lengths.change_at_equal_lengths": lambda d: equal_lengths.change_at_equal_lengths(
        d.shares - d.other, 1000.0 + np.arange(d.n), 1000.0 + d.lengths
    ),
    "agreement.orient": lambda d: agreement.orient(["a"] * len(d.votes), ["b"] * len(d.votes), d.votes),
    "agreement.agreement_between": lambda d: agreement.agreement_between(
        np.arange(len(d.votes)), d.votes, np.arange(len(d.votes)), d.votes[::-1], rng=rng()
    ),
    "agreement.agreement_within": lambda d: agreement.agreement_within(
        np.arange(len(d.votes)) // 2, d.votes, rng=rng()
    ),
    "agreement.krippendorff_alpha": lambda d: agreement.krippendorff_alpha(
        np.stack([d.shares, d.other]), "interval", rng=rng()
    ),
    "agreement.cohen_kappa": lambda d: agreement.cohen_kappa(d.votes, d.votes[::-1], rng=rng()),
    "agreement.gwet_ac1": lambda d: agreement.gwet_ac1(d.votes, d.votes[::-1], rng=rng()),
    "agreement.fleiss_kappa": lambda d: [
        agreement.fleiss_kappa(np.stack([d.votes, d.votes[::-1]]), chance, rng=rng())
        for chance in ("fleiss", "randolph")
    ],
    "annotators.leave_one_out": lambda d: annotators.leave_one_out(
        np.stack([d.shares, d.other]), d.shares, clusters=d.clusters
    ),
    "annotators.alternative_annotator_test": lambda d: annotators.alternative_annotator_test(
        np.stack([d.shares, d.other]), d.shares, least_items=2, clusters=d.clusters
    ),
    "benchmark_quality.confident_agreement": lambda d: benchmark_quality.confident_agreement(
        d.shares, d.shares, d.other, d.other, rng=rng()
    ),
    "benchmark_quality.pair_rank_brier": lambda d: benchmark_quality.pair_rank_brier(
        np.stack([d.shares, d.other]), d.shares, rng=rng()
    ),
    "benchmark_quality.row_correlation": lambda d: benchmark_quality.row_correlation(
        np.tile(d.shares, (d.n, 1)), np.tile(d.other, (d.n, 1))
    ),
    "benchmark_quality.separability": lambda d: benchmark_quality.separability(d.shares, d.shares),
    "benchmark_quality.paired_separability": lambda d: benchmark_quality.paired_separability(
        np.stack([d.shares, d.other])
    ),
    "bradley_terry.count_battles": lambda d: d.battles,
    "bradley_terry.weighted_by_pair": lambda d: bradley_terry.weighted_by_pair(d.battles),
    "bradley_terry.bradley_terry": lambda d: bradley_terry.bradley_terry(d.battles),
    "bradley_terry.sandwich_spreads": lambda d: bradley_terry.sandwich_spreads(bradley_terry.bradley_terry(d.battles)),
    "bradley_terry.bootstrap_ratings": lambda d: bradley_terry.bootstrap_ratings(
        bradley_terry.bradley_terry(d.battles), rng=rng(), rounds=20
    ),
    "bradley_terry.ranks": lambda d: bradley_terry.ranks([None] * d.n),
    "bridge.fit_bridge": bridged,
    "bridge.leave_one_out": lambda d: bridge.leave_one_out(d.shares, d.other, high=1),
    "bridge.shrunk_line": lambda d: bridge.shrunk_line(d.shares, d.other),
    "bridge.controlled_mean": lambda d: bridge.controlled_mean(d.shares, d.other, d.shares),
    "bridge.spread_models": lambda d: bridge.spread_models(d.shares, 2),
    "bridge_rules.drift_p_value": lambda d: [
        bridge_rules.drift_p_value(stored, d.other) for stored in (d.shares, d.other, d.other / 2)
    ],
    "calibration.calibration": lambda d: calibration.calibration(d.shares, d.right),
    "cascade.cascade_mean": lambda d: [
        cascade.cascade_mean(d.shares, d.other, others, corners=corners)
        for others in (d.shares, [])
        for corners in (None, False)
    ],
    "classification.class_scores": lambda d: classification.class_scores(d.votes, d.votes[::-1], [-1, 0, 1], rng=rng()),
    "clustered.cluster_totals": lambda d: d.totals,
    "clustered.difference": lambda d: clustered.difference(*d.runs[:2]),
    "clustered.clustered_estimate": lambda d: clustered.clustered_estimate(d.totals),
    "clustered.bounded_estimate": lambda d: clustered.bounded_estimate(d.totals),
    "clustered.missing_reason": lambda d: clustered.missing_reason(d.totals),
    "control_variates.deviations": lambda d: control_variates.deviations(
        control_variates.start_control(d.other, d.n), d.shares
    ),
    "correlation.correlation": lambda d: [
        correlation.correlation(d.shares, d.other, kind) for kind in ("pearson", "spearman", "kendall")
    ],
    "correlation.correlation_interval": lambda d: correlation.correlation_interval(1.0, d.n),
    "correlation.permutation_p": lambda d: correlation.permutation_p(d.shares, d.other, rng=rng(), rounds=50),
    "correlation_comparison.compare_correlations": lambda d: correlation_comparison.compare_correlations(
        d.shares, d.other, d.shares
    ),
    "correlation_comparison.bootstrap_comparison": lambda d: correlation_comparison.bootstrap_comparison(
        d.shares, d.other, d.shares, rng=rng(), rounds=50
    ),
    "correlation_comparison.correlation_table": lambda d: correlation_comparison.correlation_table(
        {"first": named(d.shares), "second": named(d.other)}, named(d.shares), rng=rng()
    ),
    "cross_annotation.cross_agreement": lambda d: [
        cross_annotation.cross_agreement(np.stack([1 + d.shares, 1 + d.other], axis=1), rule=rule, clusters=d.clusters)
        for rule in ("absolute", "zero_one", "squared")
    ],
    "elo.online_elo": lambda d: elo.online_elo(np.zeros(d.n, int), np.ones(d.n, int), d.shares, n_items=2),
    "elo.votes_from_scores": lambda d: elo.votes_from_scores(np.stack([d.shares, d.other])),
    "elo.shuffled_elo": lambda d: elo.shuffled_elo(elo.votes_from_scores(np.stack([d.shares, d.other])), rounds=2),
    "intervals.resample_counts": lambda d: intervals.resample_counts(d.n, 5, rng()),
    "intervals.percentile_interval": lambda d: intervals.percentile_interval(d.shares),
    "judge_bias.position_bias": lambda d: judge_bias.position_bias(d.shares, d.other, clusters=d.clusters),
    "judge_bias.matched_preference": lambda d: judge_bias.matched_preference(
        d.shares, d.golds, d.golds[::-1], clusters=d.clusters
    ),
    "judge_bias.effect_given_gold": lambda d: judge_bias.effect_given_gold(
        d.shares, d.golds, d.lengths, rng=rng(), clusters=d.clusters
    ),
    "judge_bias.self_preference": lambda d: judge_bias.self_preference(
        d.shares, d.golds, d.golds[::-1], clusters=d.clusters
    ),
    "judge_bias.repeat_stability": lambda d: judge_bias.repeat_stability(
        [[str(share), str(other)] for share, other in zip(d.shares, d.other, strict=True)], clusters=d.clusters
    ),
    "judges_effect.judges_effect": lambda d: judges_effect.judges_effect(
        d.shares[:3], np.stack([d.shares, d.other, d.shares])
    ),
    "jury.error_correlation": lambda d: jury.error_correlation(d.right, d.right[::-1], rng=rng()),
    "jury.majority": lambda d: jury.majority(np.stack([d.votes, d.votes])),
    "jury.accuracy": lambda d: jury.accuracy(d.votes, d.votes),
    "jury.log_odds_weights": lambda d: jury.log_odds_weights(d.shares),
    "jury.jury_report": lambda d: jury.jury_report(np.stack([d.votes, d.votes]), d.votes),
    "jury.dawid_skene": lambda d: jury.dawid_skene(np.stack([d.right, d.right]), 2),
    "length_control.length_controlled_win_rate": lambda d: [
        length_control.length_controlled_win_rate(d.shares, d.lengths, c=c) for c in (None, 1.0)
    ],
    "length_control.bootstrap_length_controlled": lambda d: length_control.bootstrap_length_controlled(
        d.shares, d.lengths, controlled(d), intervals.resample_counts(d.n, 20, rng())
    ),
    "length_control.length_controlled_influence": lambda d: length_control.length_controlled_influence(
        d.shares, d.lengths, clusters=d.clusters
    ),
    "length_control.length_controlled_interval": lambda d: length_control.length_controlled_interval(
        d.shares, d.lengths, controlled(d), clusters=d.clusters
    ),
    "many_runs.compare_all_pairs": lambda d: many_runs.compare_all_pairs(d.runs, rng=rng(), rounds=50),
    "many_runs.rank_intervals": lambda d: many_runs.rank_intervals(
        many_runs.compare_all_pairs(d.runs, rng=rng(), rounds=50), 3
    ),
    "many_runs.ranks_of_estimates": lambda d: many_runs.ranks_of_estimates(d.shares, [0.1] * d.n),
    "margins.non_inferiority": lambda d: margins.non_inferiority(clustered.difference(*d.runs[:2]), 0.02),
    "margins.unpaired_non_inferiority": lambda d: margins.unpaired_non_inferiority(
        float(d.shares.sum() - d.other[:1].sum()), float(d.shares[:1].sum()), d.n, 0.02
    ),
    "multiplicity.adjusted_p_values": lambda d: multiplicity.adjusted_p_values(d.shares),
    "paired.permutation_p_value": lambda d: paired.permutation_p_value(*d.runs[:2], rng=rng(), rounds=50),
    "power.run_variance": lambda d: power.run_variance(np.stack([d.shares, d.other], axis=1)),
    "power.paired_variance": lambda d: power.paired_variance(d.shares[:, None], d.other[:, None]),
    "power.planned_variance": lambda d: power.planned_variance(power.run_variance(d.shares[:, None]), 0.5),
    "power.detectable_difference": lambda d: power.detectable_difference(variance(d), d.n),
    "power.required_prompts": lambda d: power.required_prompts(variance(d), 0.02),
    "power.required_answers": lambda d: power.required_answers(variance(d), d.n, 0.02),
    "power.worth_of_repeats": lambda d: power.worth_of_repeats(variance(d), d.n),
    "prediction_powered.prediction_powered_mean": lambda d: [
        prediction_powered.prediction_powered_mean(d.shares, d.other, d.shares, bounds=bounds)
        for bounds in (None, (0.0, 1.0))
    ],
    "proportions.share_interval": lambda d: proportions.share_interval(int(d.right.sum()), len(d.right)),
    "proportions.score_interval": lambda d: proportions.score_interval(
        float(d.shares.sum() / max(d.n, 1)), d.shares - d.shares.sum() / max(d.n, 1)
    ),
    "relative.paired_ratio": lambda d: relative.paired_ratio(*d.runs[:2]),
    "repeats.pass_at_k": lambda d: repeats.pass_at_k(np.ones(len(d.right), int), d.right, 1),
    "repeats.worst_of": lambda d: repeats.worst_of(d.shares, 1),
    "repeats.majority": lambda d: repeats.majority([str(share) for share in d.shares]),
    "rogan_gladen.judge_errors": lambda d: rogan_gladen.judge_errors(d.right, d.right),
    "rogan_gladen.corrected_win_rate": lambda d: rogan_gladen.corrected_win_rate(1.0, max(d.n, 1), judged(d)),
    "sequential.betting_sequence": lambda d: sequential.betting_sequence(d.shares, 20),
    "sequential.continue_betting": lambda d: sequential.continue_betting(sequential.start_betting(20), d.shares),
    "sequential.decide": lambda d: sequential.decide(d.shares, 20, 0.5),
    "stratified_labels.stratified_mean": lambda d: stratified_labels.stratified_mean(
        d.shares, d.other, np.concatenate([d.shares, d.other]), np.arange(d.n) % 2, [d.n, d.n]
    ),
    "stratified_labels.allocate": lambda d: stratified_labels.allocate([d.n + 1, 3], [0.0, float(d.right.sum())], 4),
    "stratified_labels.expected": lambda d: stratified_labels.expected([d.n + 1, 3], [0.0, 0.1], 0.1, 0.0, [1, 2]),
    "style_control.style_controlled": styled,
    "style_control.style_differences": lambda d: style_control.style_differences(0 * d.styles, 0 * d.styles, "ratio"),
    "style_control.clustered_influence": lambda d: style_control.clustered_influence(styled(d), d.clusters),
    "style_control.sandwich_style_spreads": lambda d: style_control.sandwich_style_spreads(styled(d)),
    "style_control.bootstrap_style_controlled": lambda d: style_control.bootstrap_style_controlled(
        styled(d), rng=rng(), rounds=5
    ),
    "style_share.style_report": lambda d: style_share.style_report(
        d.shares, d.styles, d.styles[::-1], clusters=d.clusters, rng=rng(), rounds=20
    ),
    "style_share.style_only_judge": lambda d: style_share.style_only_judge(
        d.shares, d.styles, d.styles[::-1], clusters=d.clusters
    ),
    "transitivity.win_matrix": lambda d: transitivity.win_matrix(
        np.zeros(d.n, int), np.ones(d.n, int), d.shares, models=3
    ),
    "transitivity.cycles": lambda d: transitivity.cycles(
        transitivity.win_matrix(np.arange(d.n) % 3, (np.arange(d.n) + 1) % 3, d.shares, models=3)
    ),
    "transitivity.item_cycles": lambda d: transitivity.item_cycles(
        np.arange(len(d.votes)) // 3,
        np.arange(len(d.votes)) % 3,
        (np.arange(len(d.votes)) + 1) % 3,
        d.votes,
        models=3,
        rng=rng(),
    ),
    "transitivity.fit_test": lambda d: transitivity.fit_test(
        np.arange(d.n) % 3, (np.arange(d.n) + 1) % 3, d.shares, models=3
    ),
    "variance_components.variance_components": components,
    "variance_components.mean_stderr": lambda d: variance_components.mean_stderr(components(d), {"item": d.n}),
}
"""Each procedure by module and name, as data of this shape go into it."""

PARTS = {
    "arrays": {"at_places", "cluster_places", "columns"},
    "bridge": {"forecast_half_width"},
    "equal_lengths": {"within_twofold"},
    "bridge_rules": {
        "models_rule",
        "evidence_rule",
        "vendor_rule",
        "range_rule",
        "completeness_rule",
        "saturation_rule",
        "drift_rule",
        "own_model_rule",
    },
    "bradley_terry": {
        "predicted_win_rate",
        "comparable_items",
        "strongly_connected",
        "place_ratings",
        "laplacian",
        "draw_counts",
        "checked_battles",
    },
    "cascade": {"required_dear"},
    "clustered": {"t_quantile"},
    "control_variates": {"start_control"},
    "cross_annotation": {"centre"},
    "correlation": {"coefficients"},
    "correlation_comparison": {"williams_p"},
    "intervals": {"batches", "check_level", "interval_fields"},
    "left_out": {"rates_without_each"},
    "length_control": {"shares_at_lengths"},
    "newton": {"newton", "sigmoid"},
    "paired": {"random_signs"},
    "repeats": {"powers_up_to"},
    "sequential": {"start_betting"},
    "many_runs": {"compare_by_covariance"},
    "pairing": {"deal", "sequence", "standing"},
    "style_control": {"clustered_covariance", "clustered_style_spreads"},
    "style_rate": {"fit_details", "linear_rate", "style_rate", "win_rates"},
    "transitivity": {"named_cycles"},
}
"""Functions that the procedures above call on data they have checked, or that take no data."""

MARKED_ABSENT = {"WinMatrix.share", "ShuffledElo.ratings"}
"""Arrays whose documented mark for "none" is NaN."""


def variance(d: Data) -> power.DifferenceVariance:
    """Of two runs with one answer per prompt."""
    return power.paired_variance(d.shares[:, None], d.other[:, None])


def check_finite(found: Any, where: str) -> None:
    """No number in a result, however deep, is NaN or infinite."""
    if where in MARKED_ABSENT or found is None or isinstance(found, (str, bool, int)):
        return
    if isinstance(found, (float, np.floating)):
        assert math.isfinite(found), where
    elif isinstance(found, np.ndarray):
        assert found.dtype.kind in "OUS" or np.isfinite(found).all(), where
    elif hasattr(found, "__dict__"):
        for name, part in vars(found).items():
            check_finite(part, f"{type(found).__name__}.{name}")
    elif isinstance(found, Mapping):
        for name, part in found.items():
            check_finite(part, f"{where}[{name}]")
    else:
        for part in found:
            check_finite(part, where)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        (name, case)
        for name in PROCEDURES
        for case, data in CASES.items()
        if name != "rogan_gladen.corrected_win_rate" or rogan_gladen.judge_errors(data.right, data.right) is not None
    ],
)
def test_a_reason_instead_of_a_number(name: str, case: str) -> None:
    """A result without NaN, or a ``ValueError`` that says in words what is wrong with the data."""
    message, found = "", None
    try:
        found = PROCEDURES[name](CASES[case])
    except ValueError as error:
        message = str(error)
    assert not message or len(message.split()) > 4
    check_finite(found, name)


def test_every_public_procedure_is_listed() -> None:
    """A new function of ``stats/`` is tried on these data, or named as a part of one that is."""
    public = {
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(judgebench.stats.__path__)
        for name, value in vars(importlib.import_module(f"judgebench.stats.{module.name}")).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.endswith(f".{module.name}")
    }
    parts = {f"{module}.{name}" for module, names in PARTS.items() for name in names}
    assert public == set(PROCEDURES) | parts
    assert not set(PROCEDURES) & parts
