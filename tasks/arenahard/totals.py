"""Arena-Hard's numbers as totals over questions, for comparing two runs.

Every run is controlled for style by itself, as in its own scores, and not in one table with the other.
"""

from collections.abc import Sequence

import numpy as np

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Totals

from .battles import Rules, whole_battles
from .controlled import METRIC, OPTIONS, StyleBattles, known_styles, win_rates


def totals(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, rules: Rules) -> Totals:
    """Both win rates over all questions and by category, and the plain one by subcategory."""
    parts = {
        key: {
            str(name): [score for score in scores if score.covariates[key] == name]
            for name in dict.fromkeys(example.meta.get(key) for example in examples)
            if name
        }
        for key in ("category", "subcategory")
    }
    found: dict[tuple[str, str | None], ClusterTotals] = {("win_rate", None): _win_rate(scores)}
    controlled = []
    for name, own in parts["category"].items():
        found["win_rate", f"category={name}"] = _win_rate(own)
        linear = _controlled(own, rules)
        if linear is not None:
            controlled.append(linear)
            found[METRIC, f"category={name}"] = linear[0]
    if controlled:
        found[METRIC, None] = _over_categories(controlled)
    for name, own in parts["subcategory"].items():
        if name not in parts["category"]:
            found["win_rate", f"subcategory={name}"] = _win_rate(own)
    return {name: one for name, one in found.items() if one.value is not None}


def _win_rate(scores: Sequence[ExampleScore]) -> ClusterTotals:
    weights = [score.weight for score in scores]
    points = [100 * score.weight * (score.value or 0.0) for score in scores]
    return cluster_totals(points, weights, clusters=[score.example_id for score in scores])


def _controlled(scores: Sequence[ExampleScore], rules: Rules) -> tuple[ClusterTotals, int] | None:
    """The style-controlled rate, linearised, and the battles behind it.

    Of the logit eta at mean style, with x = (1, standardised differences), residuals r and information H, a battle's
    influence is the first entry of inv(H) x r, plus, because the zero of the differences is their mean, the
    coefficients times its distance from that mean over the number of battles.
    """
    known = known_styles(scores, rules)
    if not known or not whole_battles(known):
        return None
    battles = StyleBattles.of([known])
    fit, ridge = battles.fit_anyway(rules.pipeline, rules.control)
    (rate,) = win_rates(fit)
    if rate is None or not 0 < rate < 100:
        return None
    options, size = OPTIONS[rules.pipeline], len(battles.share)
    differences = battles.differences(rules.pipeline, rules.control)
    varies = np.array([coefficient is not None for coefficient in fit.coefficients])
    beta = np.array([coefficient for coefficient in fit.coefficients if coefficient is not None], dtype=float)
    spread = differences.std(axis=0, ddof=min(options.std_ddof, size - 1))
    styles = ((differences - differences.mean(axis=0)) / np.where(varies, spread, 1.0))[:, varies]
    rows = np.concatenate([np.ones((size, 1)), styles], axis=1)
    eta = float(np.log(rate / (100 - rate)))
    probability = 1 / (1 + np.exp(-(eta + styles @ beta)))
    information = (rows * (probability * (1 - probability))[:, None]).T @ rows
    l2 = (options.l2 or ridge) * (size if options.l2_on == "mean" else 1)
    # The two ratings of a penalised pair lie at half of eta on either side of 0.
    information[np.diag_indices(len(information))] += [l2 / 2 if options.penalise_ratings else 0.0, *([l2] * len(beta))]
    by_battle = rows @ np.linalg.solve(information, np.eye(len(information))[0]) * (battles.share - probability)
    by_battle += styles @ beta / size
    influence = np.bincount(battles.question, weights=by_battle)
    influence -= influence.mean()
    slope = rate * (100 - rate) / 100
    questions = sorted({score.example_id for score in known})
    return cluster_totals(rate + len(questions) * slope * influence, clusters=questions), size


def _over_categories(found: Sequence[tuple[ClusterTotals, int]]) -> ClusterTotals:
    """One category's number, or the mean of several weighted with their battles: each has a baseline of its own."""
    names = np.concatenate([one.clusters for one, _ in found])
    return cluster_totals(
        np.concatenate([one.numerator[:, 0] for one, _ in found]),
        clusters=names,
        terms=np.repeat(np.arange(len(found)), [one.n_clusters for one, _ in found]),
        term_weights=np.array([battles for _, battles in found]) / sum(battles for _, battles in found),
    )
