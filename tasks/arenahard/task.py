"""Arena-Hard: how often a judge prefers the model's answer to a baseline's, on hard prompts, seen in both orders.

``@v2.0`` (default): 500 hard prompts of coding and mathematics against o3-mini, 250 of creative writing against Gemini
2.0 Flash, judged by GPT-4.1. ``@v0.1``: 500 prompts against GPT-4-0314, judged by GPT-4 Turbo. A question of v0.1:

    {"uid": "328c149ed45a41c0b9d6f14659e63599", "cluster": "ABC Sequence Puzzles & Groups", "prompt": "Use ABC …"}

Each question is two games: in the first the baseline's answer is A, in the second the model's. The judge explains and
ends with one of five labels, from ``[[A>>B]]`` (A is much better) to ``[[B>>A]]``. A clear win counts as three battles,
and the win rate is the model's share of all battles. Two pipelines read and count the verdicts differently; v2.0's
tables come from the current one, v0.1's from the legacy one. What each does is in ``judges.py``, ``battles.py`` and
``controlled.py``.

Paper: Li et al. 2024, From Crowdsourced Data to High-Quality Benchmarks, arXiv 2406.11939.
Followed: lmarena/arena-hard-auto@196f6b826783b3da7310e361a805fa36f0be83f3, and for the legacy pipeline the parent of
its commit 9a1d386.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from judgebench.data.prompts import HousePrompt
from judgebench.errors import ModelError, SourceMissing, UsageError, installing
from judgebench.judges import Judge
from judgebench.judges.orders import game
from judgebench.records import Answer, Case, Example, Generation, Message, Sampling
from judgebench.task import Fetch, Generations, Task, TaskData, differing, one_of, parse_options, parse_version, switch
from judgebench.task.answers import text_answers
from judgebench.task.items import read_items

from .battles import Extras, Rules, example_scores
from .controlled import CONTROLS
from .estimates import METRICS
from .exporter import write_arena_hard
from .importer import import_outputs, read_answer_file, read_arena_hard
from .judges import (
    GAMES,
    HOUSE_TEMPLATE,
    OTHER_JUDGES,
    category_system_prompt,
    follow_up_message,
    house_judge,
    named_judges,
    official_judge,
    prompt_fragments,
    system_prompt,
    user_template,
)
from .metrics import groups, metric_sums, summarise, tabulate
from .style import ENCODINGS, TokenCounter, tiktoken_is_there

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class JudgeModel:
    """A judge model that upstream's tables use."""

    spec: str
    sampling: Sampling


GPT_4_TURBO = JudgeModel("openai:gpt-4-1106-preview", Sampling(temperature=0.0, max_tokens=4096))
GPT_4_1 = JudgeModel("openai:gpt-4.1", Sampling(temperature=0.0, max_tokens=16000))
GEMINI_2_5 = JudgeModel(
    "https://generativelanguage.googleapis.com/v1beta/openai#gemini-2.5-pro-preview-03-25",
    Sampling(temperature=1.0, max_tokens=32000),
)
JUDGE_MODELS = {"gpt-4-1106-preview": GPT_4_TURBO, "gpt-4.1": GPT_4_1, "gemini-2.5": GEMINI_2_5}


@dataclass(frozen=True)
class Category:
    """What the answers to a category of questions are compared with, and how."""

    name: str
    baseline: str
    baseline_source: str
    questions: int
    system: Callable[[Fetch], str]
    """Reads the judge's system prompt in an official file."""
    needs_baseline: bool = True
    """Whether nothing can be done while the official answers of the baseline cannot be had."""


def _shared_system(fetch: Fetch) -> str:
    return system_prompt(fetch("judge-config"))


def _creative_system(fetch: Fetch) -> str:
    return category_system_prompt(fetch("judge-settings"), "creative_writing")


@dataclass(frozen=True)
class Edition:
    """What differs between the two editions."""

    questions_source: str
    config_source: str
    pipeline: str
    judge_model: str
    max_tokens: int
    categories: tuple[Category, ...]


EDITIONS = {
    "v2.0": Edition(
        questions_source="questions-v2.0",
        config_source="config-v2.0",
        pipeline="current",
        judge_model="gpt-4.1",
        max_tokens=16000,
        categories=(
            Category("hard_prompt", "o3-mini-2025-01-31", "baseline-hard-prompt", 500, _shared_system),
            Category(
                "creative_writing",
                "gemini-2.0-flash-001",
                "baseline-creative-writing",
                250,
                _creative_system,
                needs_baseline=False,
            ),
        ),
    ),
    "v0.1": Edition(
        questions_source="questions-v0.1",
        config_source="config-v0.1",
        pipeline="legacy",
        judge_model="gpt-4-1106-preview",
        max_tokens=4096,
        categories=(Category("arena-hard-v0.1", "gpt-4-0314", "baseline-v0.1", 500, _shared_system),),
    ),
}


def _weight(text: str) -> int:
    if not 1 <= int(text) <= 100:
        raise ValueError("expected a whole number from 1 to 100")
    return int(text)


OPTIONS: dict[str, Callable[[str], Any]] = {
    "pipeline": one_of("current", "legacy"),
    "category": one_of("all", "hard_prompt", "creative_writing", "arena-hard-v0.1"),
    "style": one_of(*CONTROLS),
    "weight": _weight,
    "first_game_only": switch,
    "upstream_compat": switch,
    "judge": one_of(*JUDGE_MODELS),
}

DEFAULTS = {"category": "all", "style": "both", "weight": 3, "first_game_only": False, "upstream_compat": False}

OPTION_HELP = {
    "pipeline": "current (default of v2.0) or legacy (of v0.1): how verdicts are read, dropped, counted and controlled",
    "category": "hard_prompt, creative_writing or arena-hard-v0.1; default all, those whose baseline can be had",
    "style": "what win_rate_style_controlled controls for: both (default), length or markdown",
    "weight": "battles that a clear win counts as; upstream's default is 3",
    "first_game_only": "true asks and counts only the game in which the baseline is shown first",
    "upstream_compat": "true gives upstream's estimates and intervals: resampled battles, and their mean or median",
    "judge": "official judge model: gpt-4.1 (default of v2.0), gemini-2.5 or gpt-4-1106-preview (default of v0.1)",
}


class Question(msgspec.Struct, frozen=True):
    """One line of a question file, official or starter."""

    uid: str
    category: str
    prompt: str
    subcategory: str | None = None
    cluster: str | None = None
    answer: str = ""
    """The baseline's, in the starter set only."""


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """Make Arena-Hard ``@v2.0`` (default) or ``@v0.1``; :data:`OPTION_HELP` has the options."""
    version = parse_version(version, EDITIONS, "arenahard")
    settings = parse_options(options, OPTIONS, "arenahard")
    edition = EDITIONS[version]
    wanted = settings.get("category", "all")
    categories = tuple(category for category in edition.categories if wanted in ("all", category.name))
    if not categories:
        known = ", ".join(category.name for category in edition.categories)
        raise UsageError(f"task arenahard: category={wanted} is not one of {version}; it has {known}")
    rules = Rules(
        pipeline=settings.get("pipeline", edition.pipeline),
        weight=settings.get("weight", 3),
        first_game_only=settings.get("first_game_only", False),
        control=settings.get("style", "both"),
        upstream_compat=settings.get("upstream_compat", False),
    )
    model = JUDGE_MODELS[settings.get("judge", edition.judge_model)]
    importer = partial(read_arena_hard, baselines={c.name: c.baseline for c in edition.categories}, rules=rules)
    return Task(
        name="arenahard",
        version=version,
        versions=tuple(EDITIONS),
        options=differing(settings, {**DEFAULTS, "pipeline": edition.pipeline, "judge": edition.judge_model}),
        metrics=METRICS,
        judge_models={} if starter else {category.name: model.spec for category in categories},
        named_judges=named_judges({name: own.spec for name, own in JUDGE_MODELS.items()}, edition.judge_model),
        other_judges=OTHER_JUDGES,
        sampling=Sampling(temperature=0.0, max_tokens=1024 if starter else edition.max_tokens),
        official_examples=sum(category.questions for category in categories),
        needs_baseline=True,
        pools_judges=True,
        starter=starter,
        load=partial(_load_starter, wanted=wanted, rules=rules)
        if starter
        else partial(_load, edition=edition, categories=categories, model=model, rules=rules),
        cases=partial(_cases, first_game_only=rules.first_game_only),
        score=partial(example_scores, rules=rules),
        groups=groups,
        summarise=partial(summarise, rules=rules),
        bare_data=partial(_bare_data, rules=rules),
        pairwise_metrics={"win_rate": (0.0, 1.0)},
        metric_sums=partial(metric_sums, rules=rules),
        rule_options=("upstream_compat",),
        table_options={"category": "all", "judge": edition.judge_model},
        tabulate=partial(tabulate, rules=rules),
        importers={"arena_hard": importer, "outputs": partial(import_outputs, arena_hard=importer)},
        orders={"both": {"first_game_only": "false"}},
        exporters={"arena_hard": partial(write_arena_hard, pipeline=rules.pipeline)},
        about="How often a judge prefers the model's answers to a baseline's, on hard prompts and in both orders.",
        option_help=OPTION_HELP,
    )


def _load(
    fetch: Fetch, *, edition: Edition, categories: Sequence[Category], model: JudgeModel, rules: Rules
) -> TaskData:
    questions = msgspec.json.Decoder(Question).decode_lines(fetch(edition.questions_source))
    template = user_template(fetch(edition.config_source))
    follow_up = follow_up_message(fetch("legacy-judging")) if rules.pipeline == "legacy" else None
    baselines: dict[str, Generations] = {}
    judges: dict[str, Judge] = {}
    known_styles: dict[str, Mapping[str, float]] = {}
    unavailable: dict[str, str] = {}
    prompts = [template]
    for category in categories:
        try:
            answers = read_answer_file(fetch(category.baseline_source))
        except (SourceMissing, ModelError) as error:
            if category.needs_baseline:
                raise
            # Asked for by itself it stays, to be imported, or judged against answers given by --baseline.
            if len(categories) > 1:
                unavailable[category.name] = str(error)
                continue
        else:
            own = {question.uid for question in questions if question.category == category.name}
            texts = {uid: text for uid, (text, _) in answers.items() if uid in own}
            baselines[category.baseline] = text_answers(category.baseline, texts)
            known_styles |= {text: style for text, style in answers.values() if style}
        system = category.system(fetch)
        prompts.append(system)
        judges[category.name] = official_judge(
            category.name, system, template, sampling=model.sampling, pipeline=rules.pipeline, follow_up=follow_up
        )
    examples = [_example(question) for question in questions]
    return TaskData(
        examples=tuple(example for example in examples if example.meta["category"] in judges),
        baselines=baselines,
        judges=judges,
        fragments=prompt_fragments(*prompts),
        extras=Extras(
            counter=_counter(fetch, ENCODINGS[rules.pipeline]),
            known_styles=known_styles,
            unavailable=unavailable,
            set_aside=tuple(example for example in examples if example.meta["category"] in unavailable),
        ),
    )


def _counter(fetch: Fetch, encoding: str) -> TokenCounter:
    if not tiktoken_is_there():
        return TokenCounter(encoding, None, f"tiktoken is not installed (`{installing('style')}`)")
    try:
        return TokenCounter(encoding, fetch(encoding))
    except (SourceMissing, ModelError) as error:
        return TokenCounter(encoding, None, str(error))


def _example(question: Question) -> Example:
    about = {"category": question.category, "subcategory": question.subcategory, "cluster": question.cluster}
    return Example(
        id=question.uid,
        messages=(Message(role="user", content=question.prompt),),
        meta={name: value for name, value in about.items() if value is not None},
    )


def _load_starter(fetch: Fetch, *, wanted: str, rules: Rules) -> TaskData:
    """Load twelve questions in our own words, which both editions share; one baseline answers all."""
    house, name = HousePrompt(FOLDER / HOUSE_TEMPLATE), "starter_baseline"
    questions = read_items(FOLDER / "starter.jsonl", Question)
    if wanted in ("hard_prompt", "creative_writing"):
        questions = [question for question in questions if question.category == wanted]
    categories = dict.fromkeys(question.category for question in questions)
    return TaskData(
        examples=tuple(_example(question) for question in questions),
        baselines={name: text_answers(name, {question.uid: question.answer for question in questions})},
        judges={category: house_judge(category, house, rules.pipeline) for category in categories},
        fragments=house.fragments,
        extras=_without_tokens(rules, "the starter set comes without a tokeniser"),
    )


def _bare_data(examples: Sequence[Example], fetch: Fetch, *, rules: Rules) -> TaskData:
    extras = _without_tokens(rules, "the answers are not here")
    return TaskData(examples=tuple(examples), baselines={}, extras=extras)


def _without_tokens(rules: Rules, why: str) -> Extras:
    return Extras(TokenCounter(ENCODINGS[rules.pipeline], None, why), {}, {}, ())


def _cases(data: TaskData, generation: Generation, *, first_game_only: bool) -> tuple[Case, ...]:
    example = data.by_id.get(generation.example_id)
    other = next((own[generation.example_id] for own in data.baselines.values() if generation.example_id in own), None)
    if example is None or other is None or example.meta["category"] not in data.judges:
        return ()
    candidate = Answer(model=generation.model, turns=generation.outputs)
    baseline = Answer(model=other.model, turns=other.outputs)
    judge = str(example.meta["category"])
    return tuple(
        game(example, judge, candidate, baseline, candidate_first=candidate_first, id_suffix=suffix)
        for suffix, candidate_first in GAMES[: 1 if first_game_only else 2]
    )
