"""AlpacaEval 2 (and 1): the share of 805 instructions on which a judge prefers the candidate to a baseline.

One example: the instruction "What is some cool music from the 1920s?", the candidate's answer and gpt-4-1106-preview's
are shown as ``m`` and ``M`` in an order drawn from the instruction, and the judge's probability of the candidate's
letter is the preference. ``win_rate`` is its mean; ``lc_win_rate`` is what a logistic model predicts had both answers
been equally long.

Papers: Li et al. 2023, https://github.com/tatsu-lab/alpaca_eval; Dubois et al. 2024, arXiv 2404.04475.
Followed: tatsu-lab/alpaca_eval@cd543a149df89434d8a54582c0151c0b945c3d20
``src/alpaca_eval/{annotators/base.py,pairwise_evaluator.py,metrics/winrate.py,metrics/glm_winrate.py}``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import msgspec

from judgebench.judges.orders import candidate_share, games, seeded_switch
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Message, Sampling
from judgebench.task import (
    Fetch,
    Generations,
    Task,
    TaskData,
    differing,
    one_of,
    parse_options,
    parse_version,
    positive,
    switch,
)
from judgebench.task.answers import import_answers, text_answers
from judgebench.task.items import read_items
from judgebench.task.metric import by_example

from .exporter import write_alpaca_eval
from .importer import read_alpaca_eval
from .judges import DEFAULT, EVALUATORS, FOLDER, NOT_HERE, OTHER_JUDGES, can_judge, named_judges
from .lengths import LengthTable, length_table
from .metrics import BOOTSTRAP_SEED, METRICS, groups, metric_sums, summarise

SWITCH_KEY = "is_switched_outputs"
"""Prefix of the string that seeds the random order (src/alpaca_eval/annotators/base.py)."""


@dataclass(frozen=True)
class Edition:
    """What differs between the two editions."""

    baseline: str
    baseline_source: str
    judge: str


EDITIONS = {
    "2": Edition("gpt4_1106_preview", "baseline-2", DEFAULT),
    "1": Edition("text_davinci_003", "baseline-1", "alpaca_eval_gpt4"),
}

STARTER_JUDGE = "house_pairwise_label"
JUDGES = tuple(filter(can_judge, EVALUATORS))
"""The evaluators that can judge here."""


def _evaluator(text: str) -> str:
    if text in JUDGES:
        return text
    why = NOT_HERE[text][1] if text in NOT_HERE else EVALUATORS[text].unavailable if text in EVALUATORS else ""
    likely = get_close_matches(text, JUDGES, n=3, cutoff=0.5) or JUDGES[:1]
    near = f"near is {', '.join(likely)}; `judgebench judges list alpacaeval` shows all"
    raise ValueError(f"upstream publishes that evaluator, but {why}; {near}" if why else f"no evaluator; {near}")


OPTIONS: dict[str, Callable[[str], Any]] = {
    "order": one_of("seeded", "both"),
    "seed": int,
    "judge": _evaluator,
    "upstream_compat": switch,
    "lc_c": positive,
}

OPTION_HELP = {
    "order": "seeded (default, upstream's), or both: each pair is judged in both orders and the two are averaged",
    "seed": "of the seeded order; upstream's default is 0",
    "judge": "an evaluator of upstream's, such as weighted_alpaca_eval_gpt4.1; `judgebench judges list` shows all",
    "upstream_compat": "true looks difficulties up by row number, as upstream does, instead of by instruction",
    "lc_c": "fixes C of the length-controlled fit instead of choosing it by cross-validation",
}


class Item(msgspec.Struct, frozen=True):
    """One row of an evaluation set, official or starter: the instruction and the baseline's answer."""

    instruction: str
    output: str
    generator: str
    dataset: str = ""


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """Make AlpacaEval ``@2`` (default) or ``@1``; :data:`OPTION_HELP` has the options."""
    version = parse_version(version, EDITIONS, "alpacaeval")
    settings = parse_options(options, OPTIONS, "alpacaeval")
    edition = EDITIONS[version]
    order, seed = settings.get("order", "seeded"), settings.get("seed", 0)

    def draw(instruction: str) -> bool:
        return seeded_switch(SWITCH_KEY + instruction, seed)

    judge = settings.get("judge", edition.judge)
    model = EVALUATORS[judge].spec
    if like := EVALUATORS[judge].like:
        # The same prompt and rule with another model: so is the same judge with --judge, and so is an imported file.
        judge = settings["judge"] = like
        if judge == edition.judge:
            del settings["judge"]
    if starter and not EVALUATORS[judge].is_ours:
        judge, model = STARTER_JUDGE, None
    return Task(
        name="alpacaeval",
        version=version,
        versions=tuple(EDITIONS),
        options=differing(settings, {"order": "seeded", "seed": 0, "upstream_compat": False}),
        metrics=METRICS,
        judge_models={} if model is None else {judge: model},
        named_judges=named_judges(),
        other_judges=OTHER_JUDGES,
        sampling=Sampling(temperature=0.0, max_tokens=2048),
        official_examples=805,
        starter=starter,
        load=partial(_load, edition=edition, judge=judge, starter=starter),
        cases=partial(_cases, judge=judge, order=order, draw=draw),
        score=partial(_score, upstream_compat=settings.get("upstream_compat", False)),
        groups=groups,
        summarise=partial(summarise, c=settings.get("lc_c")),
        bare_data=_bare_data,
        pairwise_metrics={"preference": (0.0, 1.0)},
        metric_sums=partial(metric_sums, c=settings.get("lc_c")),
        rule_options=("upstream_compat",),
        importers={"alpaca_eval": partial(read_alpaca_eval, switch=draw), "outputs": import_answers},
        exporters={"alpaca_eval": write_alpaca_eval},
        orders={"seeded": {"order": "seeded"}, "both": {"order": "both"}},
        hub=None if version == "1" else ("tatsu-lab/alpaca_eval", "alpaca_eval_gpt4_baseline"),
        seeds={"order": seed, "bootstrap": BOOTSTRAP_SEED},
        about="How often a judge prefers the model's answers to a baseline's, on 805 instructions.",
        option_help=OPTION_HELP,
    )


def _load(fetch: Fetch, *, edition: Edition, judge: str, starter: bool) -> TaskData:
    if starter:
        items = read_items(FOLDER / "starter.jsonl", Item)
        examples = [_example(f"starter-{number:02d}", item) for number, item in enumerate(items, 1)]
    else:
        items = msgspec.json.decode(fetch(edition.baseline_source), type=list[Item])
        examples = [_example(f"{index:03d}", item, index=index) for index, item in enumerate(items)]
    played, fragments = EVALUATORS[judge].load(judge, fetch)
    baseline = {example.id: item.output for example, item in zip(examples, items, strict=True)}
    name = items[0].generator
    return TaskData(
        examples=tuple(examples),
        baselines={name: text_answers(name, baseline)},
        judges={judge: played},
        fragments=fragments,
        extras=None if starter else length_table(fetch("gamed")),
    )


def _bare_data(examples: Sequence[Example], fetch: Fetch) -> TaskData:
    return TaskData(examples=tuple(examples), baselines={}, extras=length_table(fetch("gamed")))


def _example(example_id: str, item: Item, **meta: int) -> Example:
    messages = (Message(role="user", content=item.instruction),)
    return Example(id=example_id, messages=messages, meta={"dataset": item.dataset, **meta})


def _cases(data: TaskData, generation: Generation, *, judge: str, order: str, draw: Any) -> tuple[Case, ...]:
    example = data.by_id.get(generation.example_id)
    (baseline,) = data.baselines.values()
    other = baseline.get(generation.example_id)
    if example is None or other is None:
        return ()
    return games(
        example,
        judge,
        Answer(model=generation.model, turns=generation.outputs),
        Answer(model=other.model, turns=other.outputs),
        order=order,
        switch=draw,
    )


def _score(
    data: TaskData, generations: Generations, judgements: Iterable[Judgement], *, upstream_compat: bool
) -> list[ExampleScore]:
    """Make a row for each example that has an answer or a judgement, with the candidate's share of the win."""
    ((_, baseline),) = data.baselines.items()
    judged = by_example(judgements)
    present = [e for e in data.examples if e.id in generations or e.id in judged]
    table = data.extras
    scores = []
    for row, example in enumerate(present):
        own, other = generations.get(example.id), baseline.get(example.id)
        index = row if upstream_compat else example.meta.get("index")
        known = isinstance(table, LengthTable) and index is not None and index < len(table.difficulty)
        scores.append(
            ExampleScore(
                example_id=example.id,
                metric="preference",
                value=_preference(judged.get(example.id, [])),
                covariates={
                    "length": None if own is None or own.error else len(own.outputs[-1]),
                    "baseline_length": None if other is None else len(other.outputs[-1]),
                    "difficulty": float(table.difficulty[index]) if known else None,
                    "dataset": example.meta.get("dataset"),
                    "against_itself": float(own is not None and other is not None and own.model == other.model),
                },
            )
        )
    return scores


def _preference(judgements: Sequence[Judgement]) -> float | None:
    """Average the candidate's share over the orders; return ``None`` if one of them is missing or unread."""
    values = [(judgement.verdict.value, judgement.candidate) for judgement in judgements]
    shares = [candidate_share(value, candidate) for value, candidate in values if value is not None]
    if not shares or len(shares) < len(values):
        return None
    return sum(shares) / len(shares)
