"""IFEval's numbers as totals over prompts, for comparing two runs."""

from collections.abc import Iterable, Sequence

from judgebench.records import Example, ExampleScore
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Totals

from .metrics import METRICS, grouped, of_prompts


def totals(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch) -> Totals:
    """The four shares, those over instructions by instruction and category, too, and all of them by language."""
    languages = {example.id: example.meta["language"] for example in examples if "language" in example.meta}
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    for metric in METRICS:
        rows = [row for row in scores if row.metric == metric]
        found[metric, None] = _share(rows)
        for language in dict.fromkeys(languages.values()):
            own = _share(row for row in rows if languages.get(row.example_id) == language)
            found[metric, f"language={language}"] = own
        if not of_prompts(metric):
            found |= {(metric, group): _share(own) for group, own in grouped(rows).items()}
    return found


def _share(rows: Iterable[ExampleScore]) -> ClusterTotals:
    """In percent, pooled over the rows; those of a prompt belong together."""
    followed = [(row.example_id, row.value) for row in rows if row.value is not None]
    return cluster_totals([100 * value for _, value in followed], clusters=[prompt for prompt, _ in followed])
