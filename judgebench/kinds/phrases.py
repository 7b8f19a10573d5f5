"""Shares of answers that hold one of some phrases: what keywords tell, beside what a judge or a program finds."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec

from judgebench.kinds.items import groups_of
from judgebench.kinds.scores import Covariate, GroupedMeans
from judgebench.kinds.task_files import TaskFile
from judgebench.records import Example, ExampleScore, Generation, Judgement, Score
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.metric import Metric, MetricSums

Phrases = Mapping[str, Sequence[str]]
"""By the name of a metric: the phrases that count."""


def with_phrases(file: TaskFile, task: Task) -> Task:
    """The task with a metric for each entry of the file's table ``[phrases]``.

    Raises :class:`~judgebench.errors.UsageError` for a name that another metric has, and for an empty phrase.
    """
    phrases = file.keys.phrases
    if not phrases:
        return task
    for name, texts in phrases.items():
        if any(metric.name == name for metric in task.metrics):
            raise file.fault(f"phrases.{name}", "is the name of another metric; choose another")
        if not texts or not all(texts):
            raise file.fault(f"phrases.{name}", "lists the phrases, none of them empty")
    metrics = tuple(Metric(name=name, direction="none", value_of=Covariate(_covariate(name))) for name in phrases)
    means = GroupedMeans(task=file.name, metrics=metrics, groups=partial(groups_of, file.keys.groups))

    def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
        return [
            _marked(row, generations.get(row.example_id), phrases) for row in task.score(data, generations, judgements)
        ]

    def summarise(data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        return [*task.summarise(data, rows), *means.scores(data, rows)]

    def sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        return {**task.metric_sums(examples, rows, fetch), **means.sums(examples, rows)}

    return dataclasses.replace(
        task, metrics=(*task.metrics, *metrics), score=score, summarise=summarise, metric_sums=sums
    )


def _covariate(name: str) -> str:
    return f"phrase:{name}"


def _marked(row: ExampleScore, generation: Generation | None, phrases: Phrases) -> ExampleScore:
    """The row with the marks of its answer; an answer that is not there has none."""
    if generation is None or not generation.outputs:
        return row
    answer = "\n".join(generation.outputs)
    marks = {_covariate(name): float(any(text in answer for text in texts)) for name, texts in phrases.items()}
    return msgspec.structs.replace(row, covariates={**row.covariates, **marks})
