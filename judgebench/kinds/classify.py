"""The kind ``classify``: how often a model, or a judge of its answers, gives each item its label."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from judgebench.data.rows import FileRow
from judgebench.grading.pool import NOTHING, Verifier
from judgebench.judges.own_prompts import CaseTexts, bounded
from judgebench.judges.verdict_rules import VerdictRule, reader
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.judging import judge_models, judge_name, rule_of, with_judge
from judgebench.kinds.scores import GroupedMeans, rows_of
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import ELSEWHERE, import_verdicts
from judgebench.records import Answer, Case, Check, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, Ruling, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

RULE = "label"
"""The name of the verifier that reads a label in an answer."""
UNREAD = "unread"
"""The label of an answer that says none."""
ACCURACY = Metric(name="accuracy", value_of=single_row("accuracy"))
OF_A_CLASS = (Metric(name="f1"), Metric(name="precision", shown=False), Metric(name="recall", shown=False))
MACRO_F1 = Metric(name="macro_f1")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[classify]``."""

    labels: list[str] | dict[str, list[str]]
    """The labels, or each with further words for it."""
    positive: str | None = None
    """The label whose precision, recall and F1 are reported."""
    headline: Literal["accuracy", "macro_f1", "f1"] = "accuracy"
    """The metric that ranks."""
    by: Literal["answer", "judge"] = "answer"
    """Who says the label: the model in its answer, or a judge of the answer."""
    which: Literal["first", "last", "only"] = "last"
    """Which of several labels in an answer counts; ``only``: different ones are none."""
    unread: Literal["wrong", "missing"] = "wrong"
    """What an answer without a label counts as."""

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
    metrics = (ACCURACY, *(OF_A_CLASS if settings.positive else ()), MACRO_F1)
    judged = settings.by == "judge"

    def load(fetch: Fetch) -> TaskData:
        examples = read_examples(file, fetch, starter=starter)
        for example in examples:
            for label in _golds(example) or ["none"]:
                if label not in settings.names:
                    raise file.fault(
                        "classify.labels",
                        f"({', '.join(settings.names)}) lack the label {label!r:.60} of item {example.id:.60}",
                    )
        if not judged:
            verifier = Verifier(function=read_label, fingerprint=f"labels {settings.which}", shared=settings)
            if file.keys.reads is not None:
                rule = rule_of(file, VerdictRule(read="label", labels=_numbered(settings)))
                verifier = Verifier(function=read_by_rule, fingerprint=rule.words, shared=(settings, rule))
            return TaskData(examples=examples, baselines={}, verifiers={RULE: verifier})
        texts = CaseTexts(answers=1, names={"labels": "the labels"}, of=lambda case: {"labels": _listed(settings)})
        rule = VerdictRule(read="label", labels={f"[[{k}]]": v for k, v in _numbered(settings).items()})
        return with_judge(file, task, TaskData(examples=examples, baselines={}), texts, rule, fetch)

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=tuple(sorted(metrics, key=lambda metric: metric.name != settings.headline)),
        judge_models=judge_models(file) if judged else {},
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        **({"cases": partial(_cases, judge_name(file))} if judged else {"checks": _checks, "rulings": _rulings}),
        score=_score,
        verdict_ends=partial(_ends, settings),
        groups=groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        answers_are_labels=not judged,
        repeats=True,
        folds_covariates=True,
        importers={
            "outputs": import_answers,
            "verdicts": partial(
                import_verdicts,
                case=_case_of,
                value=partial(_value_of, settings),
                judge=judge_name(file) if judged else ELSEWHERE,
            ),
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
    if settings.headline == "f1" and settings.positive is None:
        raise file.fault("classify.headline", "is f1, and positive does not say of which label")
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
        return _unread(shared, f"the answer says none of the labels {', '.join(shared.names)}, or several")
    return Verdict(value=1.0, label=found[0 if shared.which == "first" else -1])


def read_by_rule(shared: tuple[Settings, VerdictRule], text: str) -> Verdict:
    """Read the label that an answer says by the file's own rule."""
    settings, rule = shared
    found = reader(rule, None)(text)
    label = settings.words.get((found.label or "").lower())
    if found.value is None or label is None:
        return _unread(settings, found.error or f"the answer says none of the labels {', '.join(settings.names)}")
    return Verdict(value=1.0, label=label, details=found.details)


def _unread(settings: Settings, why: str) -> Verdict:
    """The verdict on an answer that says no label: a wrong label, or none where such answers are missing."""
    details = {"extracted": NOTHING}
    if settings.unread == "missing":
        return Verdict(value=None, label=UNREAD, error=why, details=details)
    return Verdict(value=0.0, label=UNREAD, details=details)


def _numbered(settings: Settings) -> dict[str, float]:
    return {name: float(number) for number, name in enumerate(settings.names)}


def _golds(example: Example) -> list[str]:
    """The labels that people gave an item: the right one, or one of each person."""
    found = example.meta.get("label")
    several = found if isinstance(found, list) else [] if found is None else [found]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in several]


def _checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    if generation.error or not generation.outputs:
        return ()
    key = generation.example_id
    return (Check(id=f"{key}#{RULE}", example_id=key, verifier=RULE, arguments={"text": generation.outputs[-1]}),)


def _cases(judge: str, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    example = data.by_id[generation.example_id]
    answer = Answer(model=generation.model, turns=generation.outputs)
    return (Case(id=example.id, judge=judge, example=example, answers=(answer,), turn=len(generation.outputs)),)


def _rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """What label was wanted, and which one was said."""
    golds, said = _golds(example), judgement.verdict.label or ""
    return (Ruling(rule=RULE, held=said == _likeliest(golds), wanted=", ".join(golds), found=said),)


def _likeliest(golds: Sequence[str]) -> str:
    """The label that most people gave, the first one of several."""
    return max(dict.fromkeys(golds), key=golds.count)


def _score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """1 for the right label and 0 for another one, or for an answer without one; nothing without a verdict."""
    judged = by_example(judgements)
    return [_row(example, judged.get(example.id, ())) for example in data.examples]


def _ends(settings: Settings, example: Example, case_id: str) -> tuple[Verdict, Verdict]:
    """A wrong label, and the right one."""
    gold = settings.names.index(_likeliest(_golds(example)))
    return _verdict(settings, (gold + 1) % len(settings.names)), _verdict(settings, gold)


def _verdict(settings: Settings, place: int) -> Verdict:
    return Verdict(value=float(place), label=settings.names[place])


def _row(example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    golds = _golds(example)
    said = next((one.verdict.label for one in judgements if one.verdict.value is not None), None)
    value = None if said is None else golds.count(said) / len(golds)
    given: dict[str, float | str | None] = {f"gold:{name}": float(golds.count(name)) for name in dict.fromkeys(golds)}
    covariates = {**(given if len(golds) > 1 else {"gold": golds[0]}), "said": said}
    return ExampleScore(example_id=example.id, metric="accuracy", value=value, covariates=covariates)


class _Scores:
    """Accuracy, and what precision, recall and F1 make of the same answers."""

    def __init__(self, task: str, settings: Settings, means: GroupedMeans) -> None:
        self._task, self._settings, self._means = task, settings, means

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores, the headline first; the accuracy has the table of labels wanted and said in its details."""
        accuracy, *groups = self._means.scores(data, rows)
        known = [row for row in rows if row.value is not None]
        counted = msgspec.structs.replace(accuracy, details={**accuracy.details, "confusion": _confusion(known)})
        ratios = [
            score
            for group, examples in self._named(data.examples).items()
            for score in self._ratios(group, examples, rows)
        ]
        return sorted([counted, *groups, *ratios], key=lambda score: score.metric != self._settings.headline)

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items."""
        ratios: dict[tuple[str, str | None], ClusterTotals] = {
            (name, group): sums
            for group, own in self._named(examples).items()
            for name, sums in self._totals(own, rows).items()
            if sums.value is not None
        }
        return {**self._means.sums(examples, rows), **ratios}

    def _named(self, examples: Sequence[Example]) -> dict[str | None, list[Example]]:
        found: dict[str | None, list[Example]] = {None: [*examples]}
        for example in examples:
            for group in self._means.groups(example):
                found.setdefault(group, []).append(example)
        return found

    def _totals(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> Mapping[str, ClusterTotals]:
        items = {example.id: example.item or example.id for example in examples}
        known = [_Pairs(row) for row in rows_of(examples, rows) if row.value is not None]
        clusters = [items[one.example_id] for one in known]
        found = {}
        if (positive := self._settings.positive) is not None:
            hits, said, gold = ([of(one, positive) for one in known] for of in (_Pairs.hits, _Pairs.said, _Pairs.gold))
            top = [100 * hit for hit in hits]
            both = [(one + other) / 2 for one, other in zip(said, gold, strict=True)]
            for name, bottom in (("f1", both), ("precision", said), ("recall", gold)):
                found[name] = cluster_totals(top, bottom, clusters=clusters)
        seen = [name for name in self._settings.names if any(one.said(name) or one.gold(name) for one in known)]
        pairs = list(zip(known, clusters, strict=True))
        parts = [(one, cluster, n, name) for one, cluster in pairs for n, name in enumerate(seen)]
        found["macro_f1"] = cluster_totals(
            [100.0 * one.hits(name) for one, _, _, name in parts],
            [(one.gold(name) + one.said(name)) / 2 for one, _, _, name in parts],
            clusters=[cluster for _, cluster, _, _ in parts],
            terms=[n for _, _, n, _ in parts],
        )
        return found

    def _ratios(self, group: str | None, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> list[Score]:
        known = sum(row.value is not None for row in rows_of(examples, rows))
        about: dict[str, Any] = {"n_missing": len(examples) - known, "group": group}
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


class _Pairs:
    """An answer beside each label that people gave its item."""

    def __init__(self, row: ExampleScore) -> None:
        self.example_id, self._said = row.example_id, row.covariates.get("said")
        several = {
            name.removeprefix("gold:"): float(count)
            for name, count in row.covariates.items()
            if name.startswith("gold:") and isinstance(count, int | float)
        }
        self._golds = several or {str(row.covariates.get("gold")): 1.0}

    def gold(self, label: str) -> float:
        """How many people gave the label."""
        return self._golds.get(label, 0.0)

    def said(self, label: str) -> float:
        """How many people are beside an answer that says the label."""
        return sum(self._golds.values()) if self._said == label else 0.0

    def hits(self, label: str) -> float:
        """How many people gave the label beside an answer that says it."""
        return self.gold(label) if self._said == label else 0.0

    def counted(self) -> Iterable[tuple[str, str, float]]:
        """Labels given and said, and how often."""
        return ((gold, str(self._said), count) for gold, count in self._golds.items())


def _confusion(rows: Sequence[ExampleScore]) -> dict[str, dict[str, int]]:
    """How often each label that was wanted was answered with each."""
    found: dict[str, dict[str, int]] = {}
    for gold, said, count in (part for row in rows for part in _Pairs(row).counted()):
        own = found.setdefault(gold, {})
        own[said] = own.get(said, 0) + int(count)
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
