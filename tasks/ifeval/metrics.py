"""IFEval's numbers, from verdicts.

The four means and the standard error of the two over prompts are lm-eval's (sample standard deviation over the square
root of n). lm-eval 0.4.13 gives none for those over instructions; ours there, and all intervals, have a prompt with all
its instructions as one cluster.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from judgebench.records import Example, ExampleScore, Judgement, Score, Verdict
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.intervals import interval_fields
from judgebench.task import Generations, TaskData

from .dataset import Prompts

TASK = "ifeval"
METRICS = {
    "prompt_level_strict_acc": "strict",
    "inst_level_strict_acc": "strict",
    "prompt_level_loose_acc": "loose",
    "inst_level_loose_acc": "loose",
}
"""Which of a verdict's two lists each metric counts."""
WHAT = {True: "share of prompts with all instructions followed", False: "share of instructions followed, pooled"}


def of_prompts(metric: str) -> bool:
    """Whether a metric counts prompts; the others count instructions."""
    return metric.startswith("prompt_")


# -- verdicts → example scores


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """For each prompt a row per metric over prompts, and for each of its instructions one per metric over these."""
    verdicts = {judgement.example_id: judgement.verdict for judgement in judgements}
    rows: list[ExampleScore] = []
    for example in data.examples:
        generation = generations.get(example.id)
        answered = generation is not None and not generation.error
        verdict = verdicts.get(example.id) if answered else None
        for metric, rule in METRICS.items():
            rows += _rows(example, metric, verdict, rule)
    return rows


def _rows(example: Example, metric: str, verdict: Verdict | None, rule: str) -> list[ExampleScore]:
    names = example.meta["instruction_ids"]
    followed: list[bool | None] = [None] * len(names)
    if verdict is not None and verdict.value is not None:
        # A check whose worker was ended has no details: nothing was followed.
        followed = list(verdict.details.get(rule, [False] * len(names)))
    label = verdict.label if verdict is not None else None
    if of_prompts(metric):
        value = None if None in followed else float(all(followed))
        return [ExampleScore(example_id=example.id, metric=metric, value=value, covariates={"label": label})]
    return [
        ExampleScore(
            example_id=example.id,
            metric=metric,
            value=None if held is None else float(held),
            covariates={"instruction": name, "label": label},
        )
        for name, held in zip(names, followed, strict=True)
    ]


# -- example scores → scores


def summarise(data: TaskData, scores: Sequence[ExampleScore]) -> list[Score]:
    """The four metrics; those over instructions by instruction and category, too, and all of them by language."""
    known = data.by_id
    by_metric = {metric: [row for row in scores if row.metric == metric] for metric in METRICS}
    summarised = [_score(data, metric, rows, None) for metric, rows in by_metric.items()]
    languages = dict.fromkeys(example.meta["language"] for example in data.examples if "language" in example.meta)
    for language in languages:
        for metric, rows in by_metric.items():
            own = [r for r in rows if r.example_id in known and known[r.example_id].meta.get("language") == language]
            summarised.append(_score(data, metric, own, f"language={language}"))
    for metric, rows in by_metric.items():
        if not of_prompts(metric):
            for group, own in grouped(rows).items():
                summarised.append(_score(data, metric, own, group))
    return summarised


def grouped(rows: Sequence[ExampleScore]) -> dict[str, list[ExampleScore]]:
    """By category (what stands before the last colon), then by instruction, in the order of their names."""
    groups: dict[str, list[ExampleScore]] = {}
    for row in rows:
        instruction = str(row.covariates["instruction"])
        groups.setdefault(f"category={instruction.rpartition(':')[0]}", []).append(row)
        groups.setdefault(f"instruction={instruction}", []).append(row)
    return dict(sorted(groups.items()))


def _score(data: TaskData, metric: str, rows: Sequence[ExampleScore], group: str | None) -> Score:
    valued = [(row.example_id, row.value) for row in rows if row.value is not None]
    missing = len({row.example_id for row in rows}) - len({example_id for example_id, _ in valued})
    details = _details(data, rows) if group is None else {}
    if not valued:
        return Score(
            task=TASK,
            metric=metric,
            value=None,
            unit="percent",
            n=0,
            n_missing=missing,
            group=group,
            reason="no prompt has an answer with a verdict",
            details=details,
        )
    ids, values = zip(*valued, strict=True)
    estimate = bounded_estimate(cluster_totals([100 * value for value in values], clusters=ids), 0, 100)
    over = "prompts" if of_prompts(metric) else "prompts with all their instructions, as is the standard error"
    return Score(
        task=TASK,
        metric=metric,
        # Not by way of the prompts' own shares, so that it is lm-eval's to the last digit.
        value=100 * sum(values) / len(values),
        unit="percent",
        stderr=estimate.stderr,
        **interval_fields(estimate.interval),
        method=f"{WHAT[of_prompts(metric)]}; {estimate.how(over)}",
        n=len(values),
        n_missing=missing,
        group=group,
        details={"prompts": estimate.n_clusters, **details},
    )


def _details(data: TaskData, rows: Sequence[ExampleScore]) -> dict[str, Any]:
    """How the verdicts came about, by prompt; the checkers; what of the benchmark is not verified."""
    labels = Counter({row.example_id: str(row.covariates["label"]) for row in rows if row.value is not None}.values())
    details: dict[str, Any] = {"verdicts": dict(sorted(labels.items()))}
    details["checkers"] = sorted({verifier.fingerprint for verifier in data.verifiers.values()})
    prompts: Prompts = data.extras
    if prompts.excluded:
        details["excluded_prompts"] = prompts.excluded
        details["unsupported_instructions"] = dict(prompts.unsupported)
    return details
