"""``--control``: what is known of the examples before a judge is asked, as a control variate for an early stop.

Known may be the verdicts on other models' answers: ``published`` stands for the mean over the models whose single
verdicts are here (``leaderboards/verdicts``), a run folder or archive for one more model, or for the same answers by
another judge. What they say need not be right, nor come from the same judge: ``stats.control_variates`` fits its weight
to the verdicts that came before, and an interval holds whatever it is.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from judgebench.codec import read_json
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.records import ExampleScore
from judgebench.run.reading import read_run
from judgebench.run.run_tasks import TaskFiles
from judgebench.run.stopping import Known
from judgebench.task import Task
from judgebench.task.metric import Metric

PUBLISHED = "published"
LEAST_SHARE = 0.5
"""Of the examples, that a control must say something about."""


class _Published(msgspec.Struct, frozen=True):
    """What is read of a file of published verdicts."""

    metric: str
    items: tuple[str, ...]
    models: dict[str, "_Verdicts"]


class _Verdicts(msgspec.Struct, frozen=True):
    values: tuple[float | None, ...]
    covariates: dict[str, tuple[float | str | None, ...]] = {}


@cache
def _published(label: str) -> _Published | None:
    files = {path.name.removesuffix(".json"): path for path in resource("leaderboards").glob("verdicts/*.json")}
    return read_json(files[label], _Published) if label in files else None


def controls(
    texts: Sequence[str], task: Task, metric: Metric, ids: Sequence[str], candidate: str, files: TaskFiles
) -> Known:
    """What the controls that the user names say of each example; their mean, where one says nothing.

    ``candidate`` is the model under test, which is left out of the published ones. Raises :class:`UsageError` for a
    control that says nothing about half of the examples.
    """
    columns = []
    for text in texts:
        values = _of_published(task, metric, candidate) if text == PUBLISHED else _of_run(text, task, metric, files)
        there = [values[name] for name in ids if name in values]
        if len(there) < LEAST_SHARE * len(ids):
            raise UsageError(
                f"--control {text}: it has {metric.name} of {len(there)} of the {len(ids)} examples of {task.label}, "
                "which is too few to foresee anything; name a run that judged these examples"
            )
        usual = float(np.mean(there))
        columns.append([values.get(name, usual) for name in ids])
    return {name: tuple(column[place] for column in columns) for place, name in enumerate(ids)}


def _of_published(task: Task, metric: Metric, candidate: str) -> dict[str, float]:
    """The mean over the published models, by example."""
    found = None if task.starter else _published(f"{task.name}@{task.version}")
    if found is None:
        raise UsageError(
            f"--control {PUBLISHED}: no single verdicts on published models of {task.label} are here; name the run of "
            "another model that judged these examples"
        )
    sums: dict[str, list[float]] = {}
    for model, verdicts in found.models.items():
        if model == candidate:
            continue
        for place, item in enumerate(found.items):
            row = ExampleScore(
                example_id=item,
                metric=found.metric,
                value=verdicts.values[place],
                covariates={name: values[place] for name, values in verdicts.covariates.items()},
            )
            value = metric.value_of([row])
            if value is not None:
                sums.setdefault(item, []).append(value)
    return {item: float(np.mean(values)) for item, values in sums.items()}


def _of_run(text: str, task: Task, metric: Metric, files: TaskFiles) -> dict[str, float]:
    run = read_run(Path(os.path.expanduser(text)), files)
    own = run.tasks.get(task.name)
    if own is None:
        raise UsageError(f"--control {text}: it holds {', '.join(run.tasks)}, and no {task.name}")
    return {name: value for name, value in metric.values(own.example_scores()).items() if value is not None}
