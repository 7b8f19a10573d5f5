"""The kind ``rubric``: which of its criteria each answer meets, for points that may be negative."""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, structs

from judgebench.data.rows import FileRow
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.at_once import LOWER, AtOnce
from judgebench.kinds.criteria import case_of_row, cases_of_criteria, criteria_of, shown, shown_as, values_of
from judgebench.kinds.graded import Grades
from judgebench.kinds.graded import make as make_graded
from judgebench.kinds.items import Criterion, groups_of, read_examples, tag_group
from judgebench.kinds.judging import judge_models, judge_name, rule_of, shown_columns, slot_texts, with_judge
from judgebench.kinds.levels import Chains
from judgebench.kinds.levels import make as make_levels
from judgebench.kinds.scores import Covariate, GroupedMeans
from judgebench.kinds.subsets import Subset, with_subsets
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.kinds.whole_answers import HOUSE as HOUSE_OF_ALL
from judgebench.kinds.whole_answers import NAMES, all_shown, ends_of_case, of_wholes, whole_cases
from judgebench.kinds.whole_answers import RULE as ALL_AT_ONCE
from judgebench.records import Example, ExampleScore, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.repeats import powers_up_to, worst_of
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, grouped, metric_called

MOST_LEVELS = 100
RULE = VerdictRule(read="label", labels={"[[yes]]": 1.0, "[[no]]": 0.0})
UNCLIPPED = Metric(name="score_unclipped", shown=False)
APART = "NA"
"""The group of items whose verdict could not be read, if they are counted apart."""
WORST = Metric(name="worst_at_*", shown=False)
"""Of several answers to each item: the score of the worst of k."""
SHARE_MET = Metric(name="share_met", value_of=Covariate("share_met"))
ALL_MET = Metric(name="all_met", value_of=Covariate("all_met"))


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[rubric]``."""

    criteria: tuple[Criterion, ...] = ()
    """Criteria of every item, before those of its own row."""
    names: str | None = None
    """A file, or an entry of ``sources.toml``, with further criteria of every item, one a line."""
    lower: str | None = None
    """Such a file with those of them where less is better."""
    shortest: Annotated[int, Meta(ge=0)] = 0
    """With a scale and all grades at once: an answer of fewer characters is not judged, and missing."""
    levels: Annotated[int, Meta(ge=1, le=MOST_LEVELS)] | None = None
    """The highest level, of requests that grow by one requirement a level."""
    per: Literal["criterion", "answer"] = "criterion"
    """What the judge is asked about in one call: a criterion of an answer, or all of them, for all verdicts."""
    show_points: bool = False
    """Whether the judge sees a criterion's points, as ``[5] text``."""
    show_entry: bool = False
    """Whether it sees the whole table that a criterion is in the prompts, as Python writes it."""
    scale: tuple[float, float] | None = None
    """The judge gives each criterion a number from the least to the greatest of these."""
    pooled: bool | Literal["tags"] = False
    """With a scale: the score is the mean of all grades, not of the items' means; ``tags``: only that of a tag is."""
    partial: bool = False
    """With a scale: an item's score is the mean of the grades that could be read, if some could not."""
    clip: bool = True
    """Whether the score, a mean over items, is kept between 0 and 100."""
    macro: str | None = None
    """The score is the unweighted mean of the scores of these groups, such as ``category``."""
    subsets: dict[str, Subset] = {}
    """Parts of the items that files of their own list, each a group."""
    unread: Literal["missing", "not_met", "apart"] = "missing"
    """What a criterion without a verdict counts as; ``apart``: its item is a group of its own with score 0."""
    unanswered: Literal["missing", "not_met"] = "missing"
    """What an item without an answer counts as."""
    attempts: Literal["mean", "best"] = "mean"
    """Whether several answers to an item count by their mean, or by the best of them."""


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = file.table(Settings)
    if settings.levels is not None:
        return make_levels(file, _chains(file, settings, settings.levels), settings.criteria, starter)
    if settings.shortest and (settings.scale is None or settings.per == "criterion"):
        raise file.fault("rubric.shortest", "belongs to a rubric with a scale and per = 'answer'")
    if settings.unread == "apart" and settings.macro is None:
        raise file.fault("rubric.unread", "is 'apart', which makes a group more: macro says of which groups")
    show = partial(shown, show_points=settings.show_points, show_entry=settings.show_entry)
    read = partial(_examples, file, settings, starter=starter)
    if settings.scale is not None:
        at_once = _at_once(file, settings, settings.scale, starter=starter)
        grades = Grades(
            scale=settings.scale,
            pooled=settings.pooled is True,
            pooled_tags=bool(settings.pooled),
            partial=settings.partial,
            at_once=at_once,
        )
        return make_graded(file, grades, show, read, starter)
    whole = settings.per == "answer"
    if whole:
        one = partial(shown_as, show_points=settings.show_points, show_entry=settings.show_entry)
        texts = slot_texts(file, NAMES, partial(all_shown, of_one=one), scale=(0.0, 1.0))
    else:
        texts = slot_texts(file, {"criterion": "the criterion to check"}, show, scale=(0.0, 1.0))
    means = GroupedMeans(task=file.name, metrics=(SHARE_MET, ALL_MET), groups=partial(groups_of, file.keys.groups))
    score = Metric(name="score")
    scores = _Scores(file.name, settings, means, score)

    def load(fetch: Fetch) -> TaskData:
        data = TaskData(examples=read(fetch), baselines={})
        if not whole:
            return with_judge(file, task, data, texts, RULE, fetch)
        data = with_judge(file, task, data, texts, ALL_AT_ONCE, fetch, house=HOUSE_OF_ALL)
        rule = rule_of(file, ALL_AT_ONCE)
        if rule.kind not in ("json", "list"):
            raise file.fault("reads", f"{rule.read!r} reads one verdict; a call about all criteria has several")
        return dataclasses.replace(data, judges={name: of_wholes(own, rule) for name, own in data.judges.items()})

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(score, UNCLIPPED, SHARE_MET, ALL_MET, WORST),
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        cases=partial(whole_cases if whole else cases_of_criteria, judge_name(file)),
        score=partial(_score, settings),
        verdict_ends=ends_of_case,
        groups=means.groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        folds_covariates=True,
        importers={
            "outputs": import_answers,
            "verdicts": partial(import_verdicts, case=case_of_row, value=_value_of, judge=judge_name(file)),
        },
        about=file.keys.about or "Which of its criteria each answer meets: points met over points to be had.",
    )
    return task


def _at_once(file: TaskFile, settings: Settings, scale: tuple[float, float], *, starter: bool) -> AtOnce | None:
    """How all criteria are graded at once, if they are; those of a starter set are graded one by one."""
    if settings.per == "criterion" or (starter and file.has_starter):
        return None
    for key in ("pooled", "partial", "show_points", "show_entry"):
        if key in file.keys.rubric:
            raise file.fault(f"rubric.{key}", "is for grades that are asked for one by one")
    return AtOnce(
        judge_name=judge_name(file),
        scale=scale,
        strict=bool(file.keys.verdict.get("strict")),
        shortest=settings.shortest,
    )


def _chains(file: TaskFile, settings: Settings, levels: int) -> Chains:
    for key in file.keys.rubric:
        if key not in ("levels", "per", "macro", "criteria"):
            raise file.fault(f"rubric.{key}", "is for scores of criteria; a rubric with levels has rates")
    return Chains(levels=levels, per=settings.per, macro=settings.macro, judge=judge_name(file))


def _examples(file: TaskFile, settings: Settings, fetch: Fetch, *, starter: bool) -> tuple[Example, ...]:
    found = read_examples(file, fetch, starter=starter, columns=shown_columns(file))
    if not starter:
        found = with_subsets(file, settings.subsets, found, fetch)
    if settings.names is None or (starter and file.has_starter):
        return tuple(_with_criteria(file, settings, example) for example in found)
    lower = _lines(file, settings.lower, fetch) if settings.lower is not None else []
    listed = tuple(
        Criterion(text=name, points=-1.0 if name in lower else 1.0) for name in _lines(file, settings.names, fetch)
    )
    whole = structs.replace(settings, criteria=(*settings.criteria, *listed))
    named = (structs.replace(example, meta={**example.meta, LOWER: lower}) for example in found)
    return tuple(_with_criteria(file, whole, example) for example in named)


def _lines(file: TaskFile, name: str, fetch: Fetch) -> list[str]:
    """The lines of an official file, or of a file beside the benchmark's, without blank ones."""
    return [line.strip() for line in file.words_of("rubric", name, fetch).splitlines() if line.strip()]


def _with_criteria(file: TaskFile, settings: Settings, example: Example) -> Example:
    given = msgspec.convert(example.meta.get("criteria", []), list[Criterion])
    own = [*settings.criteria, *(given if settings.show_entry else (structs.replace(one, entry={}) for one in given))]
    if not any(criterion.points > 0 for criterion in own):
        raise file.fault("prompts", f"gives the item {example.id!r:.80} no criterion with points above 0")
    return structs.replace(example, meta={**example.meta, "criteria": msgspec.to_builtins(own)})


def _score(
    settings: Settings, data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    """Points met over positive points, which has no value until all criteria of the item have a verdict."""
    judged = by_example(judgements)
    return [_row(settings, example, judged.get(example.id, ())) for example in data.examples]


def _row(settings: Settings, example: Example, judgements: Sequence[Judgement]) -> ExampleScore:
    criteria = criteria_of(example)
    met = values_of(judgements, len(criteria))
    unread = sum(value is None for value in met.values())
    counts = {"unread": float(unread), "repaired": float(sum(map(_is_repaired, judgements)))}
    known = [
        value if criterion.wanted else 1 - value
        for number, criterion in enumerate(criteria)
        if (value := met.get(number)) is not None
    ]
    if len(known) < len(criteria):
        failed = settings.unanswered == "not_met" if not met else settings.unread == "not_met"
        if not failed or (met and len(met) < len(criteria)):
            return ExampleScore(example_id=example.id, metric="score", value=None, covariates={**counts})
        known = [_known(met.get(number), criterion) for number, criterion in enumerate(criteria)]
    kept = [value if criterion.points > 0 else 1 - value for value, criterion in zip(known, criteria, strict=True)]
    return ExampleScore(
        example_id=example.id,
        metric="score",
        value=_share(known, criteria),
        covariates={
            **counts,
            "share_met": sum(kept) / len(kept),
            "all_met": float(min(kept) == 1),
            **{f"tag:{group}": share for group, share in _tag_shares(known, criteria).items()},
        },
    )


def _known(value: float | None, criterion: Criterion) -> float:
    """Whether a criterion is met, where a verdict that is missing says no."""
    return 0.0 if value is None else value if criterion.wanted else 1 - value


def _is_repaired(judgement: Judgement) -> bool:
    return judgement.verdict.details.get("repaired") is True


def _share(met: Sequence[float], criteria: Sequence[Criterion]) -> float:
    """Points met over the points that there are to be had."""
    won = sum(value * criterion.points for value, criterion in zip(met, criteria, strict=True))
    return won / sum(criterion.points for criterion in criteria if criterion.points > 0)


def _tag_shares(met: Sequence[float], criteria: Sequence[Criterion]) -> dict[str, float]:
    """The same over the criteria of each tag, where one of them has positive points."""
    found = {}
    for tag in dict.fromkeys(tag for criterion in criteria for tag in criterion.tags):
        own = [(value, one) for value, one in zip(met, criteria, strict=True) if tag in one.tags]
        if any(criterion.points > 0 for _, criterion in own):
            found[tag_group(tag)] = _share([value for value, _ in own], [criterion for _, criterion in own])
    return found


class _Entry(NamedTuple):
    """One answer's share of the points."""

    item: str
    place: str
    """The group of the item among those that the score is a mean of."""
    value: float | None


class _Scores:
    """The score, of all items and by group, kept between 0 and 100 or not, and the plain means beside it."""

    def __init__(self, task: str, settings: Settings, means: GroupedMeans, score: Metric) -> None:
        self._task, self._settings, self._means, self._metric = task, settings, means, score

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores; those of items and of criteria by group."""
        bounded = all(one.points > 0 for example in data.examples for one in criteria_of(example))
        found = [
            score
            for group, entries in self._values(data.examples, rows).items()
            for score in self._scores(group, entries, bounded=bounded)
        ]
        repaired = sum(int(Covariate("repaired")([row]) or 0) for row in rows)
        if repaired:
            found[0] = structs.replace(found[0], details={**found[0].details, "repaired_verdicts": repaired})
        worst = self._worst(data.examples, rows)
        asked = len({example.asked_once for example in data.examples})
        found += [self._worst_score(name, own, asked - own.n, bounded=bounded) for name, own in worst.items()]
        return [*found, *self._means.scores(data, rows)]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items; the score is compared before it is clipped."""
        values = {group: _known_entries(entries) for group, entries in self._values(examples, rows).items()}
        totals = {group: self._totals(group, own) for group, own in values.items() if own}
        names = (self._metric.name, UNCLIPPED.name)
        return {
            **{(name, group): own for name in names for group, own in totals.items()},
            **{(name, None): own for name, own in self._worst(examples, rows).items()},
            **self._means.sums(examples, rows),
        }

    def _values(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> dict[str | None, list[_Entry]]:
        """Items with their shares by group: those of items, then those of criteria."""
        shares: dict[str | None, list[_Entry]] = {None: []}
        by_id = {row.example_id: row for row in rows}
        for example in examples:
            item, row = example.item or example.id, by_id.get(example.id)
            value, groups = None if row is None else row.value, tuple(self._means.groups(example))
            if self._settings.unread == "apart" and row is not None and Covariate("unread")([row]):
                value, groups = 0.0, (f"{self._settings.macro}={APART}",)
            place = next((group for group in groups if group.startswith(f"{self._settings.macro}=")), "")
            for group in (None, *groups):
                shares.setdefault(group, []).append(_Entry(item, place, value))
            for group in _groups_of_criteria(example):
                share = None if row is None else Covariate(f"tag:{group}")([row])
                shares.setdefault(group, []).append(_Entry(item, place, share))
        of_criteria = {group for example in examples for group in _groups_of_criteria(example)}
        best = self._settings.attempts == "best"
        ordered = sorted(shares, key=lambda group: (group in of_criteria, group is not None, group or ""))
        return {group: _best(shares[group]) if best else shares[group] for group in ordered}

    def _totals(self, group: str | None, entries: Sequence[_Entry]) -> ClusterTotals:
        """The sums of some items; without a group as the mean of groups, if the file says so."""
        items, numbers = [entry.item for entry in entries], [100 * (entry.value or 0.0) for entry in entries]
        if self._settings.macro is None or group is not None:
            return cluster_totals(numbers, clusters=items)
        names = sorted({entry.place for entry in entries})
        return cluster_totals(numbers, clusters=items, terms=[names.index(entry.place) for entry in entries])

    def _worst(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> dict[str, ClusterTotals]:
        """The sums of the worst of k answers, by metric, over the items all of whose answers have a value."""
        values = {row.example_id: row.value for row in rows}
        answers = grouped(examples, lambda example: example.asked_once)
        most = max(map(len, answers.values()), default=0)
        if self._settings.attempts == "best":
            return {}
        known = [
            (own[0].item or name, [100 * value for one in own if (value := values.get(one.id)) is not None])
            for name, own in answers.items()
        ]
        whole = [(item, own) for item, own in known if len(own) == most]
        return {
            WORST.name.replace("*", str(k)): cluster_totals(
                [worst_of(own, k) for _, own in whole], clusters=[item for item, _ in whole]
            )
            for k in (powers_up_to(most) if whole else ())
        }

    def _worst_score(self, name: str, sums: ClusterTotals, missing: int, *, bounded: bool) -> Score:
        what = "mean over items of the worst of k answers, expected over all choices of k"
        metric = metric_called(name, (WORST,))
        return self._kept(metric.score(self._task, sums, what, "items", n=sums.n, n_missing=missing, bounded=bounded))

    def _kept(self, score: Score) -> Score:
        """A score between 0 and 100, if the file says so."""
        if not self._settings.clip or score.value is None:
            return score
        return structs.replace(score, **{name: _clipped(getattr(score, name)) for name in ("value", "low", "high")})

    def _scores(self, group: str | None, entries: Sequence[_Entry], *, bounded: bool) -> list[Score]:
        """The score and the unclipped one of a group; ``bounded`` if no criterion costs points."""
        values = _known_entries(entries)
        about: dict[str, Any] = {"n_missing": len(entries) - len(values), "group": group}
        metrics = (self._metric, UNCLIPPED)
        if not values:
            return [metric.absent(self._task, "no item has all its verdicts", **about) for metric in metrics]
        sums, what = self._totals(group, values), "mean over items of points met over points to be had"
        if self._settings.macro is not None and group is None:
            what += f", then over the groups of {self._settings.macro}"
        unclipped = UNCLIPPED.score(self._task, sums, what, "items", n=len(values), bounded=bounded, **about)
        if unclipped.high is not None:
            unclipped = structs.replace(unclipped, high=min(100.0, unclipped.high))
        score = self._kept(structs.replace(unclipped, metric=self._metric.name))
        if self._settings.clip and not bounded:
            score = structs.replace(score, method=f"{unclipped.method}; kept between 0 and 100")
        return [score, unclipped]


def _groups_of_criteria(example: Example) -> tuple[str, ...]:
    """The groups of an example's criteria that have a score: those where one has positive points."""
    tags = [tag_group(tag) for one in criteria_of(example) if one.points > 0 for tag in one.tags]
    return tuple(dict.fromkeys(tags))


def _known_entries(entries: Iterable[_Entry]) -> list[_Entry]:
    return [entry for entry in entries if entry.value is not None]


def _best(entries: Sequence[_Entry]) -> list[_Entry]:
    """The best attempt at each item, which is known if it cannot be bettered or no attempt is missing."""
    best = []
    for (item, place), own in grouped(entries, lambda entry: (entry.item, entry.place)).items():
        known = [entry.value for entry in _known_entries(own) if entry.value is not None]
        top = max(known, default=None)
        best.append(_Entry(item, place, top if top == 1 or len(known) == len(own) else None))
    return best


def _clipped(value: float | None) -> float | None:
    return None if value is None else min(100.0, max(0.0, value))


# -- verdicts that were made elsewhere


def _value_of(example: Example, row: FileRow, value: Any) -> Verdict:
    words = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
    if isinstance(value, bool) or value in (0, 1):
        return Verdict(value=float(value))
    if isinstance(value, str) and value.strip().lower() in words:
        return Verdict(value=words[value.strip().lower()])
    raise row.error(f"'value' must be true, false or null, found {value!r:.40}")
