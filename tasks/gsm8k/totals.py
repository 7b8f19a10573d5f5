"""GSM8K's numbers as totals over items, for comparing two runs."""

from collections.abc import Mapping, Sequence

import numpy as np

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.repeats import powers_up_to
from judgebench.task import Fetch, Totals

from .metrics import METRICS, items_of, passed, voted


def totals(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch) -> Totals:
    """The three metrics; with repeats, ``maj@k`` and ``pass@k`` by each of them."""
    by_id = {example.id: example for example in examples}
    repeats = max((example.repeat for example in examples), default=0) + 1
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    for metric in METRICS:
        items = items_of(by_id, scores, metric)
        means = {item: float(np.mean([row.value or 0.0 for row in rows])) for item, rows in items.items()}
        found[metric, None] = _share(means)
        group = None if metric == next(iter(METRICS)) else f"metric={metric}"
        for k in powers_up_to(repeats):
            enough = {item: rows for item, rows in items.items() if len(rows) >= k}
            if enough:
                for name, (values, _) in (
                    (f"maj@{k}", voted(list(enough.values()), k, metric)),
                    (f"pass@{k}", passed(list(enough.values()), k)),
                ):
                    found[name, group] = _share(dict(zip(enough, values, strict=True)))
    return found


def _share(values: Mapping[str, float]) -> ClusterTotals:
    return cluster_totals([100 * value for value in values.values()], clusters=list(values))
