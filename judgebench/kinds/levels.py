"""The kind ``rubric`` with levels: requests that grow by one requirement a level, and how far answers follow them.

The rows of one ``chain`` ask the same thing with more and more requirements. A judge is asked once about each answer
and replies with a list of verdicts, one for each requirement; or it is asked once for each; or a rule decides.

HSR, the hard satisfaction rate, is the share of answers that meet all their requirements; SSR is the mean share of
requirements met. CSL is how many levels of a chain are satisfied in a row, from the first one on.

References
----------
Jiang et al.: FollowBench: A Multi-level Fine-grained Constraints Following Benchmark for LLMs. arXiv 2310.20410, 2023.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, cast

import msgspec

from judgebench.codec import sha256_hex
from judgebench.data.rows import FileRow, count_of
from judgebench.display import did_you_mean
from judgebench.errors import ModelError, SourceMissing
from judgebench.judges.lists import ListJudge, counted, list_verdict, of_lists, of_parts, parts_of
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.rules import RULES, Rule
from judgebench.judges.verdict_rules import LIST, VerdictRule
from judgebench.kinds.items import Criterion, groups_of, read_examples
from judgebench.kinds.judging import judge_models, judge_name, shown_columns, slot_texts, with_judge
from judgebench.kinds.task_files import STARTER_ITEMS, TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import (
    Answer,
    Case,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Message,
    Sampling,
    Score,
    Verdict,
)
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, Imported, Task, TaskData
from judgebench.task.answers import NO_FIELDS, import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, grouped, single_row

ONE_BY_ONE = VerdictRule(read="label", labels={"[[yes]]": 1.0, "[[no]]": 0.0})
ALL_AT_ONCE = VerdictRule(read="list", labels={"YES": 1.0, "NO": 0.0})
PROGRAM = "judge"
"""The official file that holds the judge's prompt of a benchmark with code of its own."""
HOUSE_OF_LISTS = "levels"
"""The house prompt that asks for a list."""
WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}


@dataclass(frozen=True, kw_only=True)
class Chains:
    """How the answers to a benchmark's chains are judged and counted."""

    levels: int
    """The highest level."""
    per: Literal["answer", "criterion"]
    """What one call to the judge is about."""
    macro: str | None = None
    """Rates are unweighted means over levels and the groups of this key; without it, means over answers."""
    judge: str = ""
    """What the judge is called."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)
    """The rules that decide in place of the judge, by the names that examples give in ``meta["rule"]``."""
    unread_counts: float | None = None
    """What upstream counts an unreadable reply as in the rates, if it counts it; it also ends the levels in a row."""
    groups: Callable[[Example], tuple[str, ...]] = lambda example: ()
    """The groups of an example, beside its level."""
    read: Callable[[Example, str], Verdict] = lambda example, text: list_verdict(text, ALL_AT_ONCE.labels)
    """How an imported reply about all requirements of an example is read."""
    outputs: Callable[[Sequence[FileRow]], Sequence[FileRow]] = lambda rows: rows
    """Turns the rows of upstream's own files of answers into those of others."""

    @property
    def metrics(self) -> tuple[Metric, Metric, Metric]:
        """HSR, SSR and CSL."""
        hard, soft = (
            Metric(name=name) if self.macro else Metric(name=name, value_of=single_row(name)) for name in ("hsr", "ssr")
        )
        return hard, soft, Metric(name="csl", unit="points", bounds=(0.0, float(self.levels)))

    def groups_of(self, example: Example) -> tuple[str, ...]:
        """All groups of an example."""
        return f"level={example.meta['level']}", *self.groups(example)


class Official(Protocol):
    """What the module that a bundled benchmark names by ``code`` brings, where its files have a form of their own."""

    READING: str
    """How replies are read, in words."""
    RULES: Mapping[str, Rule]
    UNREAD_COUNTS: float | None

    def examples(self, fetch: Fetch) -> Iterable[Example]:
        """All rows, with ``chain``, ``level`` and maybe ``rule`` in their ``meta``; those of level 0 are not asked."""
        ...

    def prompt(self, fetch: Fetch) -> Callable[[Case], tuple[Message, ...]]:
        """Make the function that writes the judge's prompt."""
        ...

    def read(self, text: str, count: int) -> Verdict:
        """Read a reply with this number of verdicts."""
        ...

    def outputs(self, rows: Sequence[FileRow]) -> Sequence[FileRow]:
        """Make rows with an instruction and an output of those of upstream's files of answers; others stay."""
        ...


def make(file: TaskFile, chains: Chains, criteria: Sequence[Criterion], starter: bool) -> Task:
    """The benchmark of a TOML file; ``criteria`` are requirements of every item."""
    chains = dataclasses.replace(chains, groups=partial(groups_of, file.keys.groups))
    own = cast("Official", file.code) if file.keys.code is not None else None
    if own is not None:
        chains = dataclasses.replace(
            chains,
            rules=own.RULES,
            unread_counts=own.UNREAD_COUNTS,
            read=lambda example, text: own.read(text, verdicts_on(example)),
            outputs=own.outputs,
        )
    texts = _texts(file, chains)

    def load(fetch: Fetch) -> TaskData:
        if own is not None:
            return _official(file, own, texts, fetch)
        data = TaskData(examples=_read_chains(file, chains, criteria, fetch, starter=starter), baselines={})
        if chains.per == "criterion":
            return with_judge(file, task, data, texts, ONE_BY_ONE, fetch)
        data = with_judge(file, task, data, texts, ALL_AT_ONCE, fetch, house=HOUSE_OF_LISTS)
        return dataclasses.replace(data, judges={name: of_lists(own, _count) for name, own in data.judges.items()})

    task = level_task(
        chains,
        name=file.name,
        version=file.keys.version,
        options={},
        judge_models=judge_models(file),
        sampling=file.sampling,
        official_examples=_asked(file),
        starter=starter,
        load=load,
        about=file.keys.about or "How far answers follow requests that grow by one requirement a level.",
    )
    return task


def _official(file: TaskFile, own: Official, texts: CaseTexts, fetch: Fetch) -> TaskData:
    """The examples and the judge of a benchmark with code of its own."""
    by_chain = grouped(own.examples(fetch), lambda example: str(example.meta["chain"]))
    examples = tuple(example for chain in by_chain.values() for example in linked(chain))
    try:
        messages = own.prompt(fetch)
    except (SourceMissing, ModelError) as error:
        # Answers and verdicts can still be imported.
        return TaskData(examples=examples, baselines={}, lacks=str(error))
    judge = ListJudge(
        name=judge_name(file),
        messages=messages,
        prompt_sha256=sha256_hex(fetch(PROGRAM)),
        sampling=msgspec.convert(file.keys.judge_sampling, Sampling),
        reading=own.READING,
        read_text=lambda text: own.read(text, 1),
        read_list=own.read,
        count=_count,
        labels=tuple(ALL_AT_ONCE.labels),
        texts=texts,
        reasks=file.keys.reasks,
    )
    return TaskData(examples=examples, baselines={}, judges={judge.name: judge})


def level_task(chains: Chains, **about: Any) -> Task:
    """A benchmark of chains, whose examples have ``chain``, ``level``, ``top``, ``path`` and maybe ``criteria`` and
    ``rule`` in their ``meta``. ``about`` are the other fields of the task.
    """
    scores = _Scores(about["name"], chains)
    read = partial(import_verdicts, case=_case_of, value=partial(_value_of, chains), judge=chains.judge)
    return Task(
        **about,
        metrics=chains.metrics,
        cases=partial(_cases, chains),
        score=partial(_score, chains),
        groups=chains.groups_of,
        summarise=scores.summarise,
        metric_sums=scores.sums,
        repeats=True,
        importers={"outputs": partial(_import_answers, chains), "verdicts": read},
    )


def _import_answers(
    chains: Chains, rows: Sequence[FileRow], data: TaskData, fields: Mapping[str, str] = NO_FIELDS
) -> tuple[Imported, ...]:
    return import_answers(chains.outputs(rows), data, fields)


# -- examples


def _read_chains(
    file: TaskFile, chains: Chains, criteria: Sequence[Criterion], fetch: Fetch, *, starter: bool
) -> tuple[Example, ...]:
    found = read_examples(file, fetch, starter=False, columns=shown_columns(file), more=partial(_about_level, chains))
    shared = msgspec.to_builtins(criteria)
    examples: list[Example] = []
    for (name, _), own in _by_chain(found).items():
        try:
            asked = linked(own)
        except ValueError as error:
            raise file.fault("prompts", f"has in the chain {name!r:.60} {error}") from error
        if starter and examples and len(examples) + len(asked) > STARTER_ITEMS:
            break
        examples += asked
    return tuple(_with_criteria(file, chains, shared, example) for example in examples)


def linked(rows: Iterable[Example]) -> list[Example]:
    """The asked examples of a chain in the order of their levels, each with the requests before it.

    A row of level 0 is not asked. Raises :class:`ValueError` unless there is one example of each level from 1 on.
    """
    own = sorted(rows, key=lambda example: int(example.meta["level"]))
    levels = [int(example.meta["level"]) for example in own]
    if levels not in (list(range(len(own))), list(range(1, len(own) + 1))) or levels[-1] < 1:
        raise ValueError(f"the levels {', '.join(map(str, levels))}; a chain has one row of each level from 1 on")
    path = [example.instruction for example in own]
    return [
        msgspec.structs.replace(example, meta={**example.meta, "top": levels[-1], "path": path[:place]})
        for place, example in enumerate(own)
        if example.meta["level"] > 0
    ]


def _about_level(chains: Chains, row: FileRow, names: Mapping[str, str]) -> dict[str, Any]:
    """What a row says about its place in a chain, and the rule that decides about it."""
    if row.value(names["chain"]) is None:
        raise row.error(f"a prompt of a benchmark with levels says by {names['chain']!r} to which chain it belongs")
    value = row.value(names["level"])
    level = int(value) if row.cells and isinstance(value, str) and value.isdecimal() else count_of(value)
    if level is None or level > chains.levels:
        raise row.error(f"{names['level']!r} must be a whole number from 0 to {chains.levels}, found {value!r:.40}")
    rule = row.value(names["rule"])
    if rule is None or level == 0:
        return {"chain": row.key(names["chain"]), "level": level}
    if rule not in chains.rules:
        near = did_you_mean(str(rule), chains.rules)
        raise row.error(f"{rule!r:.40} is no rule{near}; there are {', '.join(chains.rules)}")
    if row.value(names["reference"]) is None:
        raise row.error(f"the rule {rule!r} compares the answer with {names['reference']!r}, which this row lacks")
    return {"chain": row.key(names["chain"]), "level": level, "rule": rule}


def _with_criteria(file: TaskFile, chains: Chains, shared: Sequence[Any], example: Example) -> Example:
    own = [*shared, *example.meta.get("criteria", ())]
    if chains.per == "criterion" and not own and "rule" not in example.meta:
        raise file.fault(
            "prompts", f"gives the item {example.id!r:.80} no criteria, of which each is a call with per = 'criterion'"
        )
    return msgspec.structs.replace(example, meta={**example.meta, "criteria": own}) if own else example


def _asked(file: TaskFile) -> int:
    if file.keys.examples is not None or file.keys.prompts is None or file.fetches_prompts:
        return file.official_examples
    level = file.keys.fields.get("level", "level")
    return sum(row.value(level) not in (0, "0") for row in file.local_rows)


def _criteria(example: Example) -> list[Criterion]:
    return msgspec.convert(example.meta.get("criteria", []), list[Criterion])


def verdicts_on(example: Example) -> int:
    """How many verdicts there are on an answer: one for each requirement, of which each level adds one."""
    return len(example.meta.get("criteria", ())) or int(example.meta["level"])


def _count(case: Case) -> int:
    return verdicts_on(case.example)


# -- cases


def _cases(chains: Chains, data: TaskData, generation: Generation) -> tuple[Case, ...]:
    answer = Answer(model=generation.model, turns=generation.outputs)
    example = data.by_id[generation.example_id]
    rule = example.meta.get("rule")
    count = len(example.meta["criteria"]) if chains.per == "criterion" and rule is None else 1
    verdict = None if rule is None else ruled(rule, chains.rules[rule](answer.text, example.references))
    return tuple(
        Case(
            id=f"{example.id}#{number}" if chains.per == "criterion" and rule is None else example.id,
            judge=chains.judge,
            example=example,
            answers=(answer,),
            turn=len(generation.outputs),
            verdict=verdict,
        )
        for number in range(count)
    )


def ruled(rule: str, holds: bool) -> Verdict:
    """The verdict of a rule, which is on all requirements at once."""
    return Verdict(value=float(holds), label=f"{'YES' if holds else 'NO'} by {rule}", details={"rule": rule})


def _criterion_shown(case: Case) -> Mapping[str, str]:
    return {"criterion": _criteria(case.example)[int(case.id.rpartition("#")[2])].text}


def _all_shown(case: Case) -> Mapping[str, str]:
    example, count = case.example, verdicts_on(case.example)
    added = [f"what the request of level {level} adds" for level in range(1, count + 1)]
    texts = [criterion.text for criterion in _criteria(example)] or added
    path = example.meta["path"]
    first = int(example.meta["level"]) - len(path)
    return {
        LIST: str(count),
        "criteria": "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1)),
        "path": "\n\n".join(f"Level {first + place}: {text}" for place, text in enumerate(path)),
    }


def _texts(file: TaskFile, chains: Chains) -> CaseTexts:
    """What a prompt can show of a call, which is about one requirement or about all."""
    if chains.per == "criterion":
        return slot_texts(file, {"criterion": "the requirement to check"}, _criterion_shown, scale=(0.0, 1.0))
    names = {
        LIST: "how many verdicts are asked for",
        "criteria": "the requirements, numbered",
        "path": "the requests of the levels below, one paragraph each; empty if there are none",
    }
    return slot_texts(file, names, _all_shown, scale=(0.0, 1.0))


# -- scores of examples


def _score(
    chains: Chains, data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    """Three rows for each example: whether all is met, which share is, and whether the chain holds up to it."""
    judged = by_example(judgements)
    kept = {example.id: _kept(example, judged.get(example.id, ())) for example in data.examples}
    unread = {name for name, own in judged.items() if any(one.verdict.value is None for one in own)}
    rows = []
    for own in _by_chain(data.examples).values():
        hard = {int(one.meta["level"]): _hard(kept[one.id]) for one in own}
        for_upstream = {**hard, **{int(one.meta["level"]): 0.0 for one in own if one.id in unread}}
        for example in own:
            rows += _rows(example, kept[example.id], hard, chains.unread_counts if example.id in unread else None)
            if chains.unread_counts is not None:
                rows[-1] = _beside(rows[-1], _reached(for_upstream, int(example.meta["level"])))
    return rows


def _rows(
    example: Example, parts: Sequence[float] | None, hard: Mapping[int, float | None], unread_counts: float | None
) -> list[ExampleScore]:
    level = int(example.meta["level"])
    values = {
        "hsr": hard[level],
        "ssr": None if parts is None else sum(parts) / len(parts),
        "csl": _reached(hard, level),
    }
    rows = [ExampleScore(example_id=example.id, metric=name, value=value) for name, value in values.items()]
    return [*(_beside(row, unread_counts) if row.value is None else row for row in rows[:-1]), rows[-1]]


def _beside(row: ExampleScore, by_upstream: float | None) -> ExampleScore:
    """The row with upstream's value, if there is another one."""
    if by_upstream is None or by_upstream == row.value:
        return row
    return msgspec.structs.replace(row, covariates={"upstream": by_upstream})


def _by_chain(examples: Iterable[Example]) -> dict[tuple[str, int], list[Example]]:
    """The examples of each chain and attempt."""
    return grouped(examples, lambda example: (str(example.meta["chain"]), example.repeat))


def _kept(example: Example, judgements: Sequence[Judgement]) -> list[float] | None:
    """How far each requirement is kept; ``None`` until there is a verdict on all of them."""
    count, verdicts = verdicts_on(example), {one.case_id: one.verdict for one in judgements}
    whole = verdicts.get(example.id)
    if whole is not None:
        parts = parts_of(whole, count)
    else:
        single = [verdicts.get(f"{example.id}#{number}") for number in range(count)]
        values = [one.value for one in single if one is not None and one.value is not None and 0 <= one.value <= 1]
        parts = values if len(values) == count else None
    criteria = _criteria(example)
    if parts is None or len(parts) != len(criteria):
        return parts
    return [part if one.points > 0 else 1 - part for part, one in zip(parts, criteria, strict=True)]


def _hard(parts: Sequence[float] | None) -> float | None:
    return None if parts is None else float(min(parts) == 1)


def _reached(hard: Mapping[int, float | None], level: int) -> float | None:
    """Whether all levels up to this one are satisfied; ``None`` if that depends on one that is not known.

    >>> _reached({1: 1.0, 2: 0.0, 3: None}, 3), _reached({1: 1.0, 2: None}, 2)
    (0.0, None)
    """
    values = [hard.get(lower) for lower in range(1, level + 1)]
    return 0.0 if 0 in values else None if None in values else 1.0


# -- scores of runs


class _Scores:
    """HSR, SSR and CSL, of all examples and by group."""

    def __init__(self, task: str, chains: Chains) -> None:
        self._task, self._chains = task, chains

    def summarise(self, data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        """All scores, each with upstream's beside it where that counts unreadable replies."""
        counted_rows = [_as_upstream(row) for row in rows]
        differ = {row.metric for row, other in zip(rows, counted_rows, strict=True) if row.value != other.value}
        scores = self._scores(data.examples, rows)
        if not differ:
            return scores
        others = {(one.metric, one.group): one for one in self._scores(data.examples, counted_rows)}
        return [
            score.beside(other.as_upstream(self._why))
            if score.metric in differ
            and (other := others[score.metric, score.group]).value is not None
            and other.value != score.value
            else score
            for score in scores
        ]

    def sums(self, examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        """The same numbers as sums over chains."""
        return {key: sums for key, (sums, _, _) in self._all(examples, rows).items() if sums is not None}

    @property
    def _why(self) -> str:
        return f"upstream counts an unreadable reply as {self._chains.unread_counts:g}, and as a level not satisfied"

    def _scores(self, examples: Sequence[Example], rows: Sequence[ExampleScore]) -> list[Score]:
        scores = []
        metrics = {metric.name: metric for metric in self._chains.metrics}
        for (name, group), (sums, n, missing) in self._all(examples, rows).items():
            metric = metrics[name]
            if sums is None:
                why = (
                    "no chain of the run has all its levels and verdicts" if name == "csl" else "no example has a value"
                )
                scores.append(metric.absent(self._task, why, n_missing=missing, group=group))
                continue
            # What upstream counts below 0 leaves the bounds.
            inside = not (sums.numerator < 0).any()
            what = self._how(name)
            scores.append(
                metric.score(self._task, sums, what, "chains", n=n, n_missing=missing, group=group, bounded=inside)
            )
        return scores

    def _how(self, name: str) -> str:
        what = "mean over chains of levels in a row" if name == "csl" else "mean over answers"
        if self._chains.macro is None:
            return what
        return f"{what}, then over {'' if name == 'csl' else 'levels and '}the groups of {self._chains.macro}"

    def _all(
        self, examples: Sequence[Example], rows: Sequence[ExampleScore]
    ) -> dict[tuple[str, str | None], tuple[ClusterTotals | None, int, int]]:
        """By metric and group the sums, how many values there are, and how many are missing."""
        groups: dict[str | None, list[Example]] = {None: list(examples)}
        for example in examples:
            for group in self._chains.groups_of(example):
                groups.setdefault(group, []).append(example)
        values = {(row.example_id, row.metric): row.value for row in rows}
        found: dict[tuple[str, str | None], tuple[ClusterTotals | None, int, int]] = {}
        for name in ("hsr", "ssr", "csl"):
            for place, members in sorted(groups.items(), key=lambda item: item[0] or ""):
                own = {example.id: values.get((example.id, name)) for example in members}
                if name != "csl":
                    found[name, place] = self._rate(members, own)
                elif (chained := self._in_a_row(members, own)) is not None or place is None:
                    found[name, place] = chained or (None, 0, 0)
        return found

    def _rate(
        self, examples: Sequence[Example], values: Mapping[str, float | None]
    ) -> tuple[ClusterTotals | None, int, int]:
        known = [(example, value) for example in examples if (value := values[example.id]) is not None]
        if not known:
            return None, 0, len(examples)
        places = [(self._place(example), example.meta["level"]) for example, _ in known]
        sums = cluster_totals(
            [100 * value for _, value in known],
            clusters=[str(example.meta["chain"]) for example, _ in known],
            terms=self._terms(places),
        )
        return sums, len(known), len(examples) - len(known)

    def _in_a_row(
        self, examples: Sequence[Example], values: Mapping[str, float | None]
    ) -> tuple[ClusterTotals | None, int, int] | None:
        """The same of levels in a row, over the chains whose levels are all among the examples, if there are any."""
        whole = [own for own in _by_chain(examples).values() if len(own) == own[0].meta["top"]]
        if not whole:
            return None
        known = [(own[0], value) for own in whole if (value := _levels_in_a_row(own, values)) is not None]
        if not known:
            return None, 0, len(whole)
        sums = cluster_totals(
            [value for _, value in known],
            clusters=[str(example.meta["chain"]) for example, _ in known],
            terms=self._terms([self._place(example) for example, _ in known]),
        )
        return sums, len(known), len(whole) - len(known)

    def _terms(self, places: Sequence[Any]) -> list[int] | None:
        if self._chains.macro is None:
            return None
        numbers = {place: number for number, place in enumerate(sorted(set(places)))}
        return [numbers[place] for place in places]

    def _place(self, example: Example) -> str:
        key = f"{self._chains.macro}="
        return next((group for group in self._chains.groups_of(example) if group.startswith(key)), "")


def _as_upstream(row: ExampleScore) -> ExampleScore:
    counts = row.covariates.get("upstream")
    return msgspec.structs.replace(row, value=counts) if isinstance(counts, int | float) else row


def _levels_in_a_row(chain: Sequence[Example], values: Mapping[str, float | None]) -> float | None:
    """The number of a chain's levels that hold with all below them; ``None`` if that is not known."""
    total = 0.0
    for example in sorted(chain, key=lambda one: int(one.meta["level"])):
        value = values[example.id]
        if value is None:
            return None
        total += value
        if value == 0:
            break
    return total


# -- verdicts that were made elsewhere


def _case_of(example: Example, row: FileRow) -> tuple[str, int]:
    """The id of the case that a row is about: the answer, or one ``criterion``, by its index from 0 or its text."""
    given, texts = row.value("criterion"), [criterion.text for criterion in _criteria(example)]
    if given is None:
        return example.id, 1
    if isinstance(given, str) and texts.count(given) == 1:
        return f"{example.id}#{texts.index(given)}", 1
    number = int(given) if row.cells and isinstance(given, str) and given.isdecimal() else count_of(given)
    if number is None or number >= verdicts_on(example):
        raise row.error(
            f"'criterion' must be the index of one of the {verdicts_on(example)} requirements of item {example.id}, "
            f"from 0, or its text; found {given!r:.60}"
        )
    return f"{example.id}#{number}", 1


def _value_of(chains: Chains, example: Example, row: FileRow, value: Any) -> Verdict:
    """True or false about one requirement or about all; a list of them; or a judge's reply, which is read."""
    count, single = verdicts_on(example), row.value("criterion") is not None
    truths = [_truth(part) for part in value] if isinstance(value, list) else [_truth(value)]
    if None not in truths and isinstance(value, list) and not single and len(truths) == count:
        return of_parts([part for part in truths if part is not None])
    if not isinstance(value, list) and truths[0] is not None:
        return Verdict(value=truths[0])
    if isinstance(value, str) and not single:
        return counted(chains.read(example, value), count)
    wanted = "true or false" if single else f"true or false, a list of {count} of them, or the judge's reply"
    raise row.error(f"'value' must be {wanted}; found {value!r:.60}")


def _truth(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value) if value in (0, 1) else None
    return WORDS.get(value.strip().lower()) if isinstance(value, str) else None
