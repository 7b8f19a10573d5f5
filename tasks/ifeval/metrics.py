"""How IFEval's verdicts become its numbers.

The four means, and the standard error of the two over prompts, are lm-eval's (sample standard deviation over the square
root of n). lm-eval 0.4.13 has no standard error for the means over instructions. Ours, and all intervals, treat a
prompt with all its instructions as one cluster.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from judgebench.records import Example, ExampleScore, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, TaskData
from judgebench.task.metric import Metric, MetricSums, no_value, single_row

from .dataset import Prompts

TASK = "ifeval"
RULES = {
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


HOW = {
    True: "a prompt counts 1 if all of its instructions are followed, else 0",
    False: "each instruction counts by itself: 1 if it is followed, else 0",
}
LENIENT = "; loose: also if they are followed without the first or last line or without asterisks"
METRICS = tuple(
    Metric(
        name=name,
        value_of=single_row(name) if of_prompts(name) else no_value,
        how=f"{HOW[of_prompts(name)]}{LENIENT if rule == 'loose' else ''}; 100 times the mean",
    )
    for name, rule in RULES.items()
)


# -- verdicts → example scores


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """Make a row per prompt for each metric over prompts, and one per instruction for the other metrics."""
    verdicts = {judgement.example_id: judgement.verdict for judgement in judgements}
    rows: list[ExampleScore] = []
    for example in data.examples:
        generation = generations.get(example.id)
        answered = generation is not None and not generation.error
        verdict = verdicts.get(example.id) if answered else None
        for metric, rule in RULES.items():
            rows += _rows(example, metric, verdict, rule)
    return rows


def _rows(example: Example, metric: str, verdict: Verdict | None, rule: str) -> list[ExampleScore]:
    names = example.meta["instruction_ids"]
    followed: list[bool | None] = [None] * len(names)
    if verdict is not None and verdict.value is not None:
        # A check whose worker was ended has no details: it follows nothing.
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
    """The four metrics, also by language, and those over instructions also by instruction and category."""
    parts = list(_parts(data.examples, scores))
    first = list(dict.fromkeys(group for _, group, _ in parts if group is None or group.startswith("language=")))
    parts.sort(key=lambda part: first.index(part[1]) if part[1] in first else len(first))
    return [_score(data, metric, rows, group) for metric, group, rows in parts]


def metric_sums(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
    """The same numbers as sums over prompts, which compare two runs."""
    return {(metric.name, group): _sums(rows) for metric, group, rows in _parts(examples, scores)}


def _parts(
    examples: Sequence[Example], scores: Sequence[ExampleScore]
) -> Iterator[tuple[Metric, str | None, list[ExampleScore]]]:
    """The rows of each metric: all, by language, and those of instructions also by category and instruction."""
    languages = {example.id: _languages(example) for example in examples}
    for metric in METRICS:
        rows = [row for row in scores if row.metric == metric.name]
        yield metric, None, rows
        for language in dict.fromkeys(chain.from_iterable(languages.values())):
            yield metric, language, [row for row in rows if language in languages.get(row.example_id, ())]
        if not of_prompts(metric.name):
            yield from ((metric, group, own) for group, own in _by_instruction(rows).items())


def _by_instruction(rows: Sequence[ExampleScore]) -> dict[str, list[ExampleScore]]:
    """By category (what stands before the last colon), then by instruction, in the order of their names."""
    found: dict[str, list[ExampleScore]] = {}
    for row in rows:
        for group in _of_instruction(str(row.covariates["instruction"])):
            found.setdefault(group, []).append(row)
    return dict(sorted(found.items()))


def groups(example: Example) -> tuple[str, ...]:
    """The groups of a prompt: its language, and the categories and names of its instructions, each once."""
    named = (group for name in example.meta["instruction_ids"] for group in _of_instruction(name))
    return (*_languages(example), *dict.fromkeys(named))


def _languages(example: Example) -> tuple[str, ...]:
    return (f"language={example.meta['language']}",) if "language" in example.meta else ()


def _of_instruction(name: str) -> tuple[str, str]:
    """The groups of an instruction."""
    return f"category={name.rpartition(':')[0]}", f"instruction={name}"


def _sums(rows: Sequence[ExampleScore]) -> ClusterTotals:
    """Sums in percent over the rows; the rows of a prompt are one cluster."""
    followed = [(row.example_id, row.value) for row in rows if row.value is not None]
    return cluster_totals([100 * value for _, value in followed], clusters=[prompt for prompt, _ in followed])


def _score(data: TaskData, metric: Metric, rows: Sequence[ExampleScore], group: str | None) -> Score:
    values, sums = [row.value for row in rows if row.value is not None], _sums(rows)
    missing = len({row.example_id for row in rows}) - sums.n_clusters
    details = _details(data, rows) if group is None else {}
    if not values:
        why = "no prompt has an answer with a verdict"
        return metric.absent(TASK, why, n_missing=missing, group=group, details=details)
    over = "prompts" if of_prompts(metric.name) else "prompts with all their instructions, as is the standard error"
    return metric.score(
        TASK,
        sums,
        WHAT[of_prompts(metric.name)],
        over,
        # Not from the prompts' own shares, so that it equals lm-eval's to the last digit.
        value=100 * sum(values) / len(values),
        n=len(values),
        n_missing=missing,
        group=group,
        details={"prompts": sums.n_clusters, **details},
    )


def _details(data: TaskData, rows: Sequence[ExampleScore]) -> dict[str, Any]:
    """The labels of the verdicts, by prompt; the checkers; the prompts that no checker can verify."""
    labels = Counter({row.example_id: str(row.covariates["label"]) for row in rows if row.value is not None}.values())
    details: dict[str, Any] = {"verdicts": dict(sorted(labels.items()))}
    details["checkers"] = sorted({verifier.fingerprint for verifier in data.verifiers.values()})
    prompts: Prompts = data.extras
    if prompts.excluded:
        details["excluded_prompts"] = prompts.excluded
        details["unsupported_instructions"] = dict(prompts.unsupported)
    return details
