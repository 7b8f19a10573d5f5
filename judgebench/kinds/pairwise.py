"""The kind ``pairwise``: how often a judge prefers a model's answers to a baseline's."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np

from judgebench.data.rows import FileRow, read_rows
from judgebench.errors import UsageError
from judgebench.judges.orders import candidate_share, game, games, seeded_switch
from judgebench.judges.own_prompts import NUMBERED_PAIR
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.judging import judge_models, judge_name, with_judge
from judgebench.kinds.scores import Covariate, GroupedMeans, rows_of
from judgebench.kinds.task_files import STARTER_ITEMS, TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.intervals import interval_fields
from judgebench.stats.length_control import (
    length_controlled_influence,
    length_controlled_interval,
    length_controlled_win_rate,
)
from judgebench.stats.proportions import share_interval
from judgebench.stats.style_rate import StyleRate, style_rate
from judgebench.task import Fetch, Generations, Task, TaskData
from judgebench.task.answers import import_answers, read_answers, require_one_answer, text_answers
from judgebench.task.markdown import MARKDOWN, markdown
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

RULE = VerdictRule(read="label", labels={"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5})
OUTCOMES = {"win": 1.0, "loss": 0.0, "tie": 0.5}
"""The candidate's share, by the words of a file of verdicts."""
WINS = Metric(name="win_rate", value_of=single_row("win_rate"), win_share=True)
DECIDED_WINS = Metric(name="win_rate")
CONTROLLED = Metric(name="lc_win_rate", without_control="win_rate")
SHARES = (
    Metric(name="wins", value_of=Covariate("wins"), shown=False),
    *(Metric(name=name, value_of=Covariate(name), direction="none", shown=False) for name in ("ties", "losses")),
)
CONSISTENT = Metric(name="position_consistency", value_of=Covariate("consistent"), direction="none", shown=False)
STYLED = Metric(name="win_rate_style_controlled")
STYLES = ("length", *MARKDOWN)
"""What style is controlled for: characters, and Markdown as Arena-Hard counts it."""
STYLE_CONTROLS: Mapping[bool | str, tuple[int, ...]] = {True: (0, 1, 2, 3), "length": (0,), "markdown": (1, 2, 3)}
"""The places of the features that are controlled for."""
LENGTH = Metric(name="avg_length", unit="characters", direction="none", value_of=Covariate("length"))


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[pairwise]``."""

    orders: Literal["both", "seeded", "as_given"] = "both"
    """In which order a pair is shown: in both, in one drawn from the question, or always the candidate first."""
    ties: Literal["half", "drop"] = "half"
    """Whether a tie is half a win, or left out of the win rate."""
    baseline: str | None = None
    """A file of answers, or the column of the prompts that has the answer to compare with; else ``--baseline``."""
    length_control: bool = False
    """Whether there is a win rate at equal lengths as well."""
    macro: str | None = None
    """The win rate is the unweighted mean of those of these groups, such as ``category``."""
    style_control: bool | Literal["length", "markdown"] = False
    """Whether there is one controlled for style as Arena-Hard does it: for length and Markdown, or one of them."""


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = file.table(Settings)
    if starter and settings.baseline is None and file.has_starter and "reference" in file.local_rows[0].fields:
        settings = msgspec.structs.replace(settings, baseline="reference")
    wins = WINS if settings.ties == "half" and settings.macro is None else DECIDED_WINS
    groups = partial(groups_of, file.keys.groups)
    consistent = (CONSISTENT,) if settings.orders == "both" else ()
    controlled = (*((CONTROLLED,) * settings.length_control), *((STYLED,) if settings.style_control else ()))
    means = GroupedMeans(task=file.name, metrics=(WINS,) if wins is WINS else (), groups=groups)
    scores = _Scores(file.name, settings, means)

    def load(fetch: Fetch) -> TaskData:
        data = _data(file, settings, fetch, starter)
        # The judge is checked on pairs, also while nobody has said what the other half of them is.
        pairs = data.baselines or {"?": text_answers("?", {example.id: "?" for example in data.examples})}
        judged = with_judge(file, task, dataclasses.replace(data, baselines=pairs), NUMBERED_PAIR, RULE, fetch)
        return dataclasses.replace(judged, baselines=data.baselines)

    task = Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(wins, *controlled, *SHARES, *consistent, LENGTH),
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=file.official_examples,
        needs_baseline=settings.baseline is None,
        starter=starter,
        load=load,
        cases=partial(_cases, judge_name(file), settings),
        score=partial(_score, styled=settings.style_control is not False),
        groups=groups,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        pairwise_metrics={"win_rate": (0.0, 1.0)},
        folds_covariates=True,
        importers={
            "outputs": import_answers,
            "verdicts": partial(import_verdicts, case=_case_of, value=_value_of, judge=judge_name(file)),
        },
        about=file.keys.about or "How often a judge prefers a model's answers to a baseline's.",
    )
    return task


def _data(file: TaskFile, settings: Settings, fetch: Fetch, starter: bool) -> TaskData:
    whole = TaskData(examples=read_examples(file, fetch, starter=False), baselines={})
    data = TaskData(examples=whole.examples[: STARTER_ITEMS if starter else None], baselines={})
    if settings.baseline is None:
        return data
    if (file.path.parent / settings.baseline).is_file():
        rows = read_rows(file.beside("pairwise.baseline", settings.baseline))
        found = read_answers(rows, whole)
        require_one_answer(found, settings.baseline)
        own = {one.example_id: one for one in found.generations if one.outputs and one.example_id in data.by_id}
        return TaskData(examples=data.examples, baselines={found.candidate: own})
    items = file.rows(fetch)[: len(data.examples)]
    if settings.baseline not in items[0].fields:
        raise file.fault(
            "pairwise.baseline",
            f"{settings.baseline!r} is neither a file beside {file.path.name} nor a column of the prompts, which have "
            f"{items[0].names}",
        )
    texts = {example.id: row.text(settings.baseline) for example, row in zip(data.examples, items, strict=True)}
    return TaskData(examples=data.examples, baselines={settings.baseline: text_answers(settings.baseline, texts)})


def _baseline(data: TaskData) -> Generations:
    """The answers to compare with; raise :class:`~judgebench.errors.UsageError` if they are those of several models."""
    if len(data.baselines) > 1:
        raise UsageError(
            f"answers are compared with those of one other model, and the file of --baseline holds answers of "
            f"{len(data.baselines)} ({', '.join(data.baselines)[:200]}); keep those of one"
        )
    return next(iter(data.baselines.values()), {})


def _cases(judge: str, settings: Settings, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    baseline = _baseline(data)
    example = data.by_id[generation.example_id]
    other = baseline.get(example.asked_once)
    if other is None or not other.outputs:
        return ()
    candidate = Answer(model=generation.model, turns=generation.outputs)
    against = Answer(model=other.model, turns=other.outputs)
    if settings.orders == "as_given":
        return (game(example, judge, candidate, against, candidate_first=True),)
    return games(example, judge, candidate, against, order=settings.orders, switch=seeded_switch)


def _score(
    data: TaskData, generations: Generations, judgements: Iterable[Judgement], *, styled: bool
) -> list[ExampleScore]:
    """The candidate's mean share of the games of an example, which has no value if one of them has none."""
    judged = by_example(judgements)
    baseline = _baseline(data)
    return [
        _row(
            example,
            judged.get(example.id, ()),
            generations.get(example.id),
            baseline.get(example.asked_once),
            styled=styled,
        )
        for example in data.examples
    ]


def _row(
    example: Example,
    judgements: Sequence[Judgement],
    own: Generation | None,
    other: Generation | None,
    *,
    styled: bool,
) -> ExampleScore:
    shares = [
        None if judgement.verdict.value is None else candidate_share(judgement.verdict.value, judgement.candidate)
        for judgement in judgements
    ]
    known = [share for share in shares if share is not None]
    lengths: dict[str, float | str | None] = {"length": _length(own), "baseline_length": _length(other)}
    if not known or len(known) < len(shares):
        return ExampleScore(example_id=example.id, metric="win_rate", value=None, covariates=lengths)
    sides = [float(share > 0.5) if share != 0.5 else 0.5 for share in known]
    firsts = {judgement.candidate for judgement in judgements}
    return ExampleScore(
        example_id=example.id,
        metric="win_rate",
        value=sum(known) / len(known),
        covariates={
            "wins": sides.count(1.0) / len(sides),
            "ties": sides.count(0.5) / len(sides),
            "losses": sides.count(0.0) / len(sides),
            "consistent": float(len(set(sides)) == 1) if len(firsts) == 2 else None,
            **lengths,
            **({"games": float(len(known)), **_markdown(own, ""), **_markdown(other, "baseline_")} if styled else {}),
        },
    )


def _length(answer: Generation | None) -> float | None:
    return float(sum(map(len, answer.outputs))) if answer is not None and answer.outputs else None


def _markdown(answer: Generation | None, side: str) -> dict[str, float | str | None]:
    """How much Markdown an answer holds; ``None`` where that is not known."""
    counted = markdown("\n\n".join(answer.outputs)) if answer is not None and answer.outputs else None
    totals = (None, None, None) if counted is None else counted.totals
    return {side + name: None if total is None else float(total) for name, total in zip(MARKDOWN, totals, strict=True)}


class _Scores:
    """The scores that are no plain means: without ties, at equal lengths, and controlled for style."""

    def __init__(self, task: str, settings: Settings, means: GroupedMeans) -> None:
        self._task, self._settings, self._means = task, settings, means

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """Those scores, and the win rates of the groups."""
        found = self._means.scores(data, rows)
        if not self._means.metrics:
            found += self._ratios(data, rows)
        if self._settings.length_control:
            found.append(self._controlled(data, rows))
        if self._settings.style_control:
            found += [self._styled(group, own, rows) for group, own in self._groups(data.examples).items()]
        return found

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over items; the length-controlled rate is linearised by refits without each."""
        sums = dict(self._means.sums(examples, rows))
        for group, own in self._groups(examples).items() if not self._means.metrics else ():
            totals = self._ratio_sums(group, own, rows_of(own, rows))
            if totals.value is not None:
                sums["win_rate", group] = totals
        if self._settings.length_control and (linear := _linearised(examples, rows)) is not None:
            sums["lc_win_rate", None] = linear
        for group, own in self._groups(examples).items() if self._settings.style_control else ():
            rate, _ = self._style_rate(own, rows)
            if rate is not None and rate.totals is not None:
                sums[STYLED.name, group] = rate.totals
        return sums

    def _styled(self, group: str | None, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> Score:
        """The win rate controlled for style, of one run alone."""
        rate, known = self._style_rate(examples, rows)
        about: dict[str, Any] = {"n_missing": len(examples) - len(known), "group": group}
        if rate is None or rate.value is None:
            why = "no game has a verdict and two answers whose style is known"
            return STYLED.absent(self._task, WHOLE if known else why, **about)
        what = f"Bradley–Terry controlled for {self._controls}, this model alone"
        if rate.settled is not None:
            # Equal games would give no width; those of one item count once.
            items = {example.id: example.item or example.id for example in examples}
            count = len({items[row.example_id] for row in known})
            share = share_interval(count if rate.settled else 0, count)
            ends = {} if share is None else {"low": 100 * share.low, "high": 100 * share.high, "level": share.level}
            method = f"{what}; interval: wilson over items, all of which ended alike"
            return STYLED.number(
                self._task, rate.value, **ends, method=method, n=len(known), details=rate.details, **about
            )
        assert rate.totals is not None
        linearised = f"{what}, linearised"
        return STYLED.score(
            self._task, rate.totals, linearised, "items", n=len(known), value=rate.value, details=rate.details, **about
        )

    @property
    def _controls(self) -> str:
        control = self._settings.style_control
        return "length and Markdown" if control is True else {"length": "length", "markdown": "Markdown"}[str(control)]

    def _style_rate(
        self, examples: Sequence[Example], rows: Sequence[ExampleScore]
    ) -> tuple[StyleRate | None, list[ExampleScore]]:
        """The rate, and the example scores behind it; ``None`` if their games are not whole wins, ties and losses."""
        names = [side + name for side in ("", "baseline_") for name in STYLES]
        valued = [row for row in rows_of(examples, rows) if row.value is not None]
        known = [row for row in valued if all(row.covariates.get(name) is not None for name in names)]
        games = [_games_of(row) for row in known]
        if not known or None in games:
            return None, known
        items, shares = {example.id: example.item or example.id for example in examples}, [g for g in games if g]
        counts = np.array([[_number(row, name) for name in names] for row in known]).repeat(
            [len(own) for own in shares], axis=0
        )
        return (
            style_rate(
                [share for own in shares for share in own],
                counts[:, : len(STYLES)],
                counts[:, len(STYLES) :],
                [items[row.example_id] for row, own in zip(known, shares, strict=True) for _ in own],
                STYLES,
                STYLE_CONTROLS[self._settings.style_control],
            ),
            known,
        )

    def _groups(self, examples: Sequence[Example]) -> dict[str | None, list[Example]]:
        found: dict[str | None, list[Example]] = {None: list(examples)}
        for example in examples:
            for group in self._means.groups(example):
                found.setdefault(group, []).append(example)
        return found

    def _ratios(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """Win rates that are no plain means: without ties, or a mean of groups."""
        scores = []
        for group, examples in self._groups(data.examples).items():
            own = rows_of(examples, rows)
            sums, judged = self._ratio_sums(group, examples, own), sum(row.value is not None for row in own)
            about: dict[str, Any] = {"n_missing": len(examples) - judged, "group": group}
            if sums.value is None:
                scores.append(DECIDED_WINS.absent(self._task, "no game was decided", **about))
            else:
                what = (
                    "wins over decided games, ties left out" if self._settings.ties == "drop" else "mean over examples"
                )
                if self._settings.macro is not None and group is None:
                    what += f", then over the groups of {self._settings.macro}"
                scores.append(DECIDED_WINS.score(self._task, sums, what, "items", n=judged, **about))
        return scores

    def _ratio_sums(
        self, group: str | None, examples: Sequence[Example], rows: Sequence[ExampleScore]
    ) -> ClusterTotals:
        by_id = {example.id: example for example in examples}
        drop, key = self._settings.ties == "drop", f"{self._settings.macro}="
        known = [row for row in rows if row.value is not None]
        decided = [_number(row, "wins") + _number(row, "losses") if drop else 1.0 for row in known]
        won = [_number(row, "wins") if drop else row.value or 0.0 for row in known]
        groups = [self._means.groups(by_id[row.example_id]) for row in known]
        places = [next((place for place in own if place.startswith(key)), "") for own in groups]
        numbers = {place: number for number, place in enumerate(sorted(set(places)))}
        return cluster_totals(
            [100 * share for share in won],
            decided,
            clusters=[by_id[row.example_id].item or row.example_id for row in known],
            terms=[numbers[place] for place in places] if self._settings.macro is not None and group is None else None,
        )

    def _controlled(self, data: TaskData, rows: Sequence[ExampleScore]) -> Score:
        known = _with_lengths(data.examples, rows)
        total = len(data.examples)
        try:
            fit = length_controlled_win_rate(known.shares, known.difference)
            interval, why = length_controlled_interval(known.shares, known.difference, fit, clusters=known.items)
        except ValueError as error:
            return CONTROLLED.absent(self._task, str(error), n_missing=total)
        how = f"interval: {interval.method}, refitted without each item" if interval else f"no interval: {why}"
        return CONTROLLED.number(
            self._task,
            fit.win_rate,
            **interval_fields(interval),
            method=f"win rate at equal lengths (length_controlled_minimal), C = {fit.c:.6g}; {how}",
            n=fit.n_judged,
            n_missing=total - fit.n_judged,
        )


WHOLE = "style is controlled over games that were won, tied or lost, and these are means or shares, as of probabilities"


def _games_of(row: ExampleScore) -> list[float] | None:
    """The shares of an example's games, wins first; ``None`` if they are not whole wins, ties and losses."""
    games = int(_number(row, "games"))
    won, tied = (round(_number(row, name) * games) for name in ("wins", "ties"))
    shares = [1.0] * won + [0.5] * tied + [0.0] * (games - won - tied)
    return shares if row.value is not None and abs(sum(shares) - row.value * games) < 1e-9 else None


def _number(row: ExampleScore, name: str) -> float:
    return float(row.covariates[name] or 0.0)


class _Lengths(msgspec.Struct, frozen=True):
    """The examples with a verdict and two lengths, as columns."""

    shares: list[float]
    difference: list[float]
    items: list[str]


def _with_lengths(examples: Sequence[Example], rows: Sequence[ExampleScore]) -> _Lengths:
    items = {example.id: example.item or example.id for example in examples}
    known = [
        row
        for row in rows
        if row.value is not None and None not in (row.covariates["length"], row.covariates["baseline_length"])
    ]
    difference = [_number(row, "baseline_length") - _number(row, "length") for row in known]
    shares = [row.value for row in known if row.value is not None]
    return _Lengths(shares, difference, [items[row.example_id] for row in known])


def _linearised(examples: Sequence[Example], rows: Sequence[ExampleScore]) -> ClusterTotals | None:
    known = _with_lengths(examples, rows)
    try:
        fit = length_controlled_win_rate(known.shares, known.difference)
        influence = length_controlled_influence(known.shares, known.difference, clusters=known.items)
    except ValueError:
        return None
    if influence is None:
        return None
    names = sorted(set(known.items))
    return cluster_totals(fit.win_rate + len(names) * influence[1], clusters=names)


# -- verdicts that were made elsewhere


def _case_of(example: Example, row: FileRow) -> tuple[str, int]:
    """The id of the case that a row is about, and the turn."""
    return f"{example.id}#candidate-first", 1


def _value_of(example: Example, row: FileRow, value: Any) -> Verdict:
    """The candidate's share of the win: a number from 0 to 1, true for a win, or win, tie or loss."""
    if isinstance(value, str) and value.strip().lower() in OUTCOMES:
        label = value.strip().lower()
        return Verdict(value=OUTCOMES[label], label=label)
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return Verdict(value=float(value))
    raise row.error(f"'value' must be the share of the win, 0 to 1, or true, false, win, tie or loss; found {value!r}")
