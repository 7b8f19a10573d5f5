"""Best-of-n: a scoring model chooses among several answers to an item, and the task's numbers of the chosen ones.

Any task that accepts several answers to an item can be asked so. The scoring model is one more judge of it, which sees
every answer once; what it says stands beside the task's own rows, so that scores and comparisons are made of them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from judgebench.judges.scorers import ScoringJudge
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Score
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.metric import Metric, MetricSums, by_example, grouped, metric_called

SELECT = "select"
"""Name of the judge that chooses, and of the covariate that has its number."""
BEST, WORST = "best", "worst"
_WHAT = {
    BEST: "mean over items of the answer with the greatest number of the scoring model, among k",
    WORST: "mean over items of the answer with the least number of the scoring model, among k",
}


@dataclass(frozen=True)
class _Selector:
    """What the scoring model plays: a judge without a prompt, whose verdict is the number itself."""

    name: str = SELECT


def with_selection(task: Task, scorer: str) -> Task:
    """The task with a scoring model that chooses among the answers to an item; ``scorer`` is its model spec."""
    chosen = [metric for metric in task.metrics if metric.is_mean and metric.shown]
    if not chosen:
        return task
    first = chosen[0]
    alike = tuple(metric for metric in chosen if metric.unit == first.unit and metric.direction == "higher")
    kinds = tuple(Metric(name=f"{kind}@*", unit=first.unit, bounds=first.bounds, shown=False) for kind in (BEST, WORST))
    selection = _Selection(task, alike, kinds)
    return replace(
        task,
        metrics=(*task.metrics, *kinds),
        judge_models={**task.judge_models, SELECT: scorer},
        load=partial(_loaded, task),
        cases=partial(_cases, task),
        score=partial(_score, task),
        summarise=selection.summarise,
        metric_sums=selection.sums,
        on_rewards=None if task.on_rewards is None else partial(_rated, task, scorer),
    )


def selecting(data: TaskData) -> TaskData:
    """The data of such a task: with the judge that chooses."""
    return replace(data, judges={**data.judges, SELECT: ScoringJudge(_Selector(), "answers")})


def _rated(task: Task, scorer: str) -> Task:
    assert task.on_rewards is not None
    return with_selection(task.on_rewards(), scorer)


def _loaded(task: Task, fetch: Fetch) -> TaskData:
    return selecting(task.load(fetch))


def _cases(task: Task, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    if not generation.outputs:
        return task.cases(data, generation)
    case = Case(
        id=f"{generation.example_id}#{SELECT}",
        judge=SELECT,
        example=data.by_id[generation.example_id],
        answers=(Answer(model=generation.model, turns=generation.outputs),),
        turn=len(generation.outputs),
    )
    return (*task.cases(data, generation), case)


def _score(task: Task, data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """The task's own rows, each with what the scoring model said of the answer."""
    listed = list(judgements)
    said = {one.example_id: one.verdict.value for one in listed if one.judge == SELECT}
    return [
        msgspec.structs.replace(row, covariates={**row.covariates, SELECT: said.get(row.example_id)})
        for row in task.score(data, generations, [one for one in listed if one.judge != SELECT])
    ]


@dataclass(frozen=True)
class _Chosen:
    """The values of each item's chosen answer, expected over all choices of k of its answers."""

    metric: Metric
    group: str | None
    kind: str
    values: Mapping[str, float]
    items: int


@dataclass(frozen=True)
class _Selection:
    """The numbers of chosen answers."""

    task: Task
    metrics: tuple[Metric, ...]
    kinds: tuple[Metric, ...]

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """The task's own scores, and ``best@k`` and ``worst@k``."""
        return [*self.task.summarise(data, rows), *map(self._score, self._numbers(data.examples, rows))]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items."""
        from judgebench.stats.clustered import cluster_totals

        chosen = {
            (one.metric.name, one.group): cluster_totals(list(one.values.values()), clusters=list(one.values))
            for one in self._numbers(examples, rows)
            if one.values
        }
        return {**self.task.metric_sums(examples, rows, fetch), **chosen}

    def _numbers(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> Iterator[_Chosen]:
        from judgebench.stats.repeats import powers_up_to

        own = by_example(rows)
        items = grouped(examples, lambda example: example.item or example.id)
        most = max((len(repeats) for repeats in items.values()), default=0)
        ranked = {item: _ranked(repeats, own) for item, repeats in items.items()}
        for metric in self.metrics:
            group = None if metric is self.metrics[0] else f"metric={metric.name}"
            for kind in self.kinds:
                for k in powers_up_to(most):
                    values = {
                        item: value
                        for item, order in ranked.items()
                        if order is not None
                        and (value := _expected(metric, kind.name.startswith(WORST), order, own, k)) is not None
                    }
                    name = kind.name.replace("*", str(k))
                    yield _Chosen(metric_called(name, self.kinds), group, kind.name[:-2], values, len(items))

    def _score(self, chosen: _Chosen) -> Score:
        from judgebench.stats.clustered import cluster_totals

        scorer = self.task.judge_models.get(SELECT)
        details: dict[str, Any] = {"items": chosen.items, **({"chosen_by": scorer} if scorer else {})}
        about: dict[str, Any] = {
            "n_missing": chosen.items - len(chosen.values),
            "group": chosen.group,
            "details": details,
        }
        if not chosen.values:
            why = "no item has enough answers with a value and a number of the scoring model"
            return chosen.metric.absent(self.task.name, why, **about)
        sums = cluster_totals(list(chosen.values.values()))
        n = len(chosen.values)
        return chosen.metric.score(self.task.name, sums, _WHAT[chosen.kind], "items", n=n, **about)


def _ranked(repeats: Sequence[Example], rows: Mapping[str, Sequence[ExampleScore]]) -> list[str] | None:
    """The ids of an item's answers from the worst to the best; of equal ones the later is worse.

    ``None`` if the scoring model has not said something of each.
    """
    said = {example.id: _said(rows.get(example.id, ())) for example in repeats}
    known = {name: value for name, value in said.items() if value is not None}
    if len(known) < len(repeats):
        return None
    return [example.id for example in sorted(repeats, key=lambda example: (known[example.id], -example.repeat))]


def _said(rows: Sequence[ExampleScore]) -> float | None:
    value = next((row.covariates.get(SELECT) for row in rows), None)
    return float(value) if isinstance(value, int | float) else None


def _expected(
    metric: Metric, worst: bool, order: Sequence[str], rows: Mapping[str, Sequence[ExampleScore]], k: int
) -> float | None:
    """The metric of the chosen one of k answers, averaged over all choices of k of an item's answers."""
    n = len(order)
    if n < k:
        return None
    total = 0.0
    for place, name in enumerate(reversed(order) if worst else order):
        # It is chosen where the other k - 1 are among those before it.
        weight = math.comb(place, k - 1) / math.comb(n, k)
        if weight:
            value = metric.value_of(rows.get(name, ()))
            if value is None:
                return None
            total += weight * metric.scale * value
    return total
