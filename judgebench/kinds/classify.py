"""The kind ``classify``: how often a model, or a judge of its answers, gives each item its label."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from judgebench.data.rows import FileRow
from judgebench.grading.pool import NOTHING, Verifier
from judgebench.judges.own_prompts import CaseTexts, bounded
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.judging import JUDGE, judge_models, with_judge
from judgebench.kinds.scores import GroupedMeans, rows_of
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Answer, Case, Check, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, Ruling, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

RULE = "label"
"""The name of the verifier that reads a label in an answer."""
ACCURACY = Metric(name="accuracy", value_of=single_row("accuracy"))
OF_A_CLASS = (Metric(name="f1"), Metric(name="precision", shown=False), Metric(name="recall", shown=False))
MACRO_F1 = Metric(name="macro_f1")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[classify]``."""

    labels: list[str] | dict[str, list[str]]
    """The labels, or each with further words for it."""
    positive: str | None = None
    """The label whose precision, recall and F1 are reported."""
    by: Literal["answer", "judge"] = "answer"
    """Who says the label: the model in its answer, or a judge of the answer."""
    which: Literal["first", "last", "only"] = "last"
    """Which of several labels in an answer counts; ``only``: different ones are none."""

    @property
    def words(self) -> dict[str, str]:
        """The label of each word that stands for one, in lower case."""
        given = self.labels if isinstance(self.labels, dict) else {label: [] for label in self.labels}
        return {word.lower(): label for label, words in given.items() for word in (label, *words)}

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.labels)


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = _settings(file)
    groups = partial(groups_of, file.keys.groups)
    scores = _Scores(file.name, settings, GroupedMeans(task=file.name, metrics=(ACCURACY,), groups=groups))
    judged = settings.by == "judge"

    def load(fetch: Fetch) -> TaskData:
        examples = read_examples(file, fetch, starter=starter)
        for example in examples:
            if example.meta.get("label") not in settings.names:
                raise file.fault(
                    "classify.labels",
                    f"({', '.join(settings.names)}) lack the label {example.meta.get('label')!r:.60} of item "
                    f"{example.id:.60}",
                )
        if not judged:
            verifier = Verifier(function=read_label, fingerprint=f"labels {settings.which}", shared=settings)
            return TaskData(examples=examples, baselines={}, verifiers={RULE: verifier})
        texts = CaseTexts(answers=1, names={"labels": "the labels"}, of=lambda case: {"labels": _listed(settings)})
        rule = VerdictRule(read="label", labels={f"[[{name}]]": float(n) for n, name in enumerate(settings.names)})
        return with_judge(file, task, TaskData(examples=examples, baselines={}), texts, rule, fetch)

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(ACCURACY, *(OF_A_CLASS if settings.positive else ()), MACRO_F1),
        judge_models=judge_models(file) if judged else {},
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        **({"cases": _cases} if judged else {"checks": _checks, "rulings": _rulings}),
        score=_score,
        verdict_ends=partial(_ends, settings),
        groups=groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        importers={
            "outputs": import_answers,
            "verdicts": partial(import_verdicts, case=_case_of, value=partial(_value_of, settings)),
        },
        about=file.keys.about or "How often each item gets its label.",
    )
    return task


def _settings(file: TaskFile) -> Settings:
    settings = file.table(Settings)
    if len(settings.names) < 2 or len(set(settings.words)) < sum(1 + len(w) for w in _synonyms(settings)):
        raise file.fault("classify.labels", "has two labels or more, and no word stands for two of them")
    if settings.positive is not None and settings.positive not in settings.names:
        raise file.fault("classify.positive", f"{settings.positive!r} is not one of {', '.join(settings.names)}")
    return settings


def _synonyms(settings: Settings) -> list[list[str]]:
    return list(settings.labels.values()) if isinstance(settings.labels, dict) else [[] for _ in settings.labels]


def _listed(settings: Settings) -> str:
    return ", ".join(f"[[{name}]]" for name in settings.names)


def read_label(shared: Settings, text: str) -> Verdict:
    """Read the label that an answer says, as a word of its own in any case. Its value is nothing but its presence."""
    words = shared.words
    pattern = "|".join(bounded(word) for word in sorted(words, key=len, reverse=True))
    found = [words[match[0].lower()] for match in re.finditer(pattern, text, re.IGNORECASE)]
    if not found or (shared.which == "only" and len(set(found)) > 1):
        return Verdict(value=0.0, label="unread", details={"extracted": NOTHING})
    return Verdict(value=1.0, label=found[0 if shared.which == "first" else -1])


def _checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    if generation.error or not generation.outputs:
        return ()
    key = generation.example_id
    return (Check(id=f"{key}#{RULE}", example_id=key, verifier=RULE, arguments={"text": generation.outputs[-1]}),)


def _cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
    example = data.by_id[generation.example_id]
    answer = Answer(model=generation.model, turns=generation.outputs)
    return (Case(id=example.id, judge=JUDGE, example=example, answers=(answer,), turn=len(generation.outputs)),)


def _rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """What label was wanted, and which one was said."""
    wanted, said = str(example.meta.get("label")), judgement.verdict.label or ""
    return (Ruling(rule=RULE, held=said == wanted, wanted=wanted, found=said),)


def _score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """1 for the right label and 0 for another one, or for an answer without one; nothing without a verdict."""
    judged = by_example(judgements)
    return [_row(example, judged.get(example.id, ())) for example in data.examples]


def _ends(settings: Settings, example: Example, case_id: str) -> tuple[Verdict, Verdict]:
    """A wrong label, and the right one."""
    gold = settings.names.index(str(example.meta["label"]))
    return _verdict(settings, (gold + 1) % len(settings.names)), _verdict(settings, gold)


def _verdict(settings: Settings, place: int) -> Verdict:
    return Verdict(value=float(place), label=settings.names[place])


def _row(example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    gold = str(example.meta["label"])
    said = next((one.verdict.label for one in judgements if one.verdict.value is not None), None)
    value = None if said is None else float(said == gold)
    return ExampleScore(example_id=example.id, metric="accuracy", value=value, covariates={"gold": gold, "said": said})


class _Scores:
    """Accuracy, and what precision, recall and F1 make of the same answers."""

    def __init__(self, task: str, settings: Settings, means: GroupedMeans) -> None:
        self._task, self._settings, self._means = task, settings, means

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores; the accuracy has the table of labels wanted and said in its details."""
        accuracy, *groups = self._means.scores(data, rows)
        known = [row for row in rows if row.value is not None]
        counted = msgspec.structs.replace(accuracy, details={**accuracy.details, "confusion": _confusion(known)})
        return [counted, *groups, *self._ratios(data.examples, rows)]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items."""
        ratios: dict[tuple[str, str | None], ClusterTotals] = {
            (name, None): sums for name, sums in self._totals(examples, rows).items() if sums.value is not None
        }
        return {**self._means.sums(examples, rows), **ratios}

    def _totals(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> Mapping[str, ClusterTotals]:
        items = {example.id: example.item or example.id for example in examples}
        known = [row for row in rows_of(examples, rows) if row.value is not None]
        clusters = [items[row.example_id] for row in known]
        found = {}
        if (positive := self._settings.positive) is not None:
            hits = [float(_is(row, "gold", positive) and _is(row, "said", positive)) for row in known]
            said = [float(_is(row, "said", positive)) for row in known]
            gold = [float(_is(row, "gold", positive)) for row in known]
            top = [100 * hit for hit in hits]
            both = [(one + other) / 2 for one, other in zip(said, gold, strict=True)]
            for name, bottom in (("f1", both), ("precision", said), ("recall", gold)):
                found[name] = cluster_totals(top, bottom, clusters=clusters)
        there = {row.covariates[key] for row in known for key in ("gold", "said")}
        seen = [name for name in self._settings.names if name in there]
        pairs = list(zip(known, clusters, strict=True))
        parts = [(row, cluster, n, name) for row, cluster in pairs for n, name in enumerate(seen)]
        found["macro_f1"] = cluster_totals(
            [100.0 * (_is(row, "gold", name) and _is(row, "said", name)) for row, _, _, name in parts],
            [(_is(row, "gold", name) + _is(row, "said", name)) / 2 for row, _, _, name in parts],
            clusters=[cluster for _, cluster, _, _ in parts],
            terms=[n for _, _, n, _ in parts],
        )
        return found

    def _ratios(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> list[Score]:
        known = sum(row.value is not None for row in rows)
        about: dict[str, Any] = {"n_missing": len(examples) - known}
        what = {
            "f1": f"F1 of {self._settings.positive}: twice its hits over how often it was said and how often right",
            "precision": f"share of right ones among answers that say {self._settings.positive}",
            "recall": f"share of {self._settings.positive} items that are called so",
            "macro_f1": "mean of the F1 of every label that was wanted or said",
        }
        metrics = {metric.name: metric for metric in (*OF_A_CLASS, MACRO_F1)}
        return [
            metrics[name].absent(self._task, "no item has such a label, or none is called so", **about)
            if sums.value is None
            else metrics[name].score(self._task, sums, what[name], "items", n=known, **about)
            for name, sums in self._totals(examples, rows).items()
        ]


def _is(row: ExampleScore, key: str, label: str) -> bool:
    return row.covariates.get(key) == label


def _confusion(rows: Sequence[ExampleScore]) -> dict[str, dict[str, int]]:
    """How often each label that was wanted was answered with each."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        said = found.setdefault(str(row.covariates["gold"]), {})
        label = str(row.covariates["said"])
        said[label] = said.get(label, 0) + 1
    return found


# -- verdicts that were made elsewhere


def _case_of(example: Example, row: FileRow) -> tuple[str, int]:
    return f"{example.id}#{RULE}", 1


def _value_of(settings: Settings, example: Example, row: FileRow, value: Any) -> Verdict:
    """The label that was said."""
    word = str(value).strip().lower()
    if isinstance(value, float) or word not in settings.words:
        raise row.error(f"'value' must be one of the labels {', '.join(settings.names)}, found {value!r:.40}")
    return _verdict(settings, settings.names.index(settings.words[word]))
