"""Arena-Hard's numbers as totals over questions, for comparing two runs.

Every run is controlled for style by itself, as in its own scores, and not in one table with the other.
"""

from collections.abc import Sequence

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Totals

from .battles import Rules
from .controlled import METRIC, control_style, over_categories


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
        controlled.append(control_style({"": own}, rules, upstream=False)[""])
        if controlled[-1].totals is not None:
            found[METRIC, f"category={name}"] = controlled[-1].totals
    together = over_categories(controlled).totals
    if together is not None:
        found[METRIC, None] = together
    for name, own in parts["subcategory"].items():
        if name not in parts["category"]:
            found["win_rate", f"subcategory={name}"] = _win_rate(own)
    return {name: one for name, one in found.items() if one.value is not None}


def _win_rate(scores: Sequence[ExampleScore]) -> ClusterTotals:
    weights = [score.weight for score in scores]
    points = [100 * score.weight * (score.value or 0.0) for score in scores]
    return cluster_totals(points, weights, clusters=[score.example_id for score in scores])
