"""MT-Bench: how a judge rates a model's two answers to each of 80 two-turn questions, from 1 to 10.

One example, in our own words: "Write a postcard from a museum guard …", and once that is answered, "Looking back at
your postcard, turn it into a limerick." The judge sees the first answer alone, then the whole conversation, and ends
each of its two replies with a rating such as ``[[7]]``; ``score`` is the mean of all ratings. In mode ``pairwise`` it
compares two models' answers instead, in both orders. Math, reasoning and coding are judged beside reference answers.

Paper: Zheng et al. 2023, arXiv 2306.05685.
Followed: lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d
``fastchat/llm_judge/{common.py,gen_model_answer.py,gen_judgment.py,show_result.py}``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from judgebench.codec import decode_json, sha256_hex
from judgebench.data.prompts import HousePrompt
from judgebench.errors import UsageError
from judgebench.files import TEXT_BYTES, as_utf8, read_bytes
from judgebench.judges import Judge
from judgebench.judges.text import OTHER_JUDGES
from judgebench.records import Answer, Case, Example, Generation, Message, Sampling
from judgebench.task import Fetch, Task, TaskData, differing, one_of, parse_options, parse_version, switch
from judgebench.task.items import read_items

from .exporter import write_fastchat
from .importer import read_fastchat, read_outputs
from .judges import (
    PROTOCOLS,
    game_id,
    house_judge,
    judged_turns,
    named_judges,
    published_judge,
    rating_id,
    read_prompts,
)
from .metrics import groups, metric_sums, metrics, score, summarise

FOLDER = Path(__file__).parent
GUIDED = frozenset({"math", "reasoning", "coding", "arena-hard-200"})
"""Categories that are judged beside reference answers (common.py ``NEED_REF_CATS``)."""

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
    "arena-hard-200": 0.0,
}
"""By category (common.py ``temperature_config``)."""
OTHER_TEMPERATURE = 0.7
MAX_TOKENS = 1024

VERSIONS = {"1": 80, "vicuna": 80}
"""Questions of each version."""
JUDGE_MODEL = "openai:gpt-4"
STARTER_BASELINE = "starter_baseline"


def _model_name(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("expected a model's name as the imported file has it")
    return text


def _references(text: str) -> str:
    if text != "gpt-4" and not Path(text).is_file():
        raise ValueError("expected gpt-4, or a file of reference answers as FastChat writes them")
    return text


OPTIONS: dict[str, Callable[[str], Any]] = {
    "mode": one_of("single", "pairwise", "pairwise-all"),
    "strict": switch,
    "upstream_compat": switch,
    "references": _references,
    "baseline": _model_name,
    "anthropic_judge": switch,
    "turns": one_of("1", "2"),
}

OPTION_HELP = {
    "mode": "single (default): each answer is rated; pairwise: against one baseline; pairwise-all: against several",
    "strict": "true counts a rating outside 1 to 10 as unread; by default it counts as upstream counts it",
    "upstream_compat": "true counts every record of an imported file, as upstream does, instead of the last",
    "references": "reference answers: gpt-4 (default), or a FastChat reference_answer file",
    "baseline": "in mode pairwise, which model of an imported file is the baseline; default gpt-3.5-turbo",
    "anthropic_judge": "true asks as upstream asks Anthropic's judges: 1,024 tokens, no system message when comparing",
    "turns": "judge and score only the first or only the second turn: 1 or 2; by default both",
}


class Question(msgspec.Struct, frozen=True):
    """One row of ``question.jsonl``."""

    question_id: int
    category: str
    turns: tuple[str, ...]
    required_temperature: float | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of the answers that a model gave to a question."""

    turns: tuple[str, ...]


class Reference(msgspec.Struct, frozen=True):
    """One row of a ``reference_answer`` file."""

    question_id: int | float
    choices: tuple[Choice, ...]


class StarterItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of our own starter set."""

    category: str
    turns: tuple[str, ...]
    baseline: tuple[str, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The options, settled."""

    version: str
    mode: str = "single"
    strict: bool = False
    upstream_compat: bool = False
    references: str = "gpt-4"
    baseline: str = "gpt-3.5-turbo"
    anthropic_judge: bool = False
    turns: str = ""

    @property
    def kind(self) -> str:
        """The type of prompt that the mode needs."""
        return "single" if self.mode == "single" else "pairwise"

    @property
    def possible(self) -> tuple[int, ...]:
        """The turns that are judged where an example has them."""
        return (int(self.turns),) if self.turns else (1, 2)

    def judged(self, example: Example) -> tuple[int, ...]:
        """Return the turns of an example that are judged."""
        return tuple(turn for turn in judged_turns(example) if turn in self.possible)


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """Make MT-Bench (``@1``, default) or the Vicuna questions (``@vicuna``); :data:`OPTION_HELP` has the options."""
    version = parse_version(version, VERSIONS, "mtbench")
    given = parse_options(options, OPTIONS, "mtbench")
    settings = Settings(version, **given)
    if settings.strict and settings.upstream_compat:
        raise UsageError("task mtbench: strict and upstream_compat contradict each other; choose one")
    protocol = PROTOCOLS[settings.kind]
    names = {protocol.prompt_name(guided=guided, turn=turn) for guided in (False, True) for turn in settings.possible}
    return Task(
        name="mtbench",
        version=version,
        versions=tuple(VERSIONS),
        options=differing(given, {field.name: field.default for field in fields(Settings)}),
        metrics=metrics(settings.mode),
        judge_models={} if starter else dict.fromkeys(sorted(names), JUDGE_MODEL),
        named_judges=named_judges(JUDGE_MODEL),
        other_judges=OTHER_JUDGES,
        sampling=Sampling(temperature=OTHER_TEMPERATURE, max_tokens=MAX_TOKENS),
        official_examples=VERSIONS[version],
        needs_baseline=settings.mode != "single",
        starter=starter,
        load=partial(_load, settings=settings, starter=starter),
        cases=partial(_cases, settings=settings, starter=starter),
        score=partial(
            score,
            mode=settings.mode,
            strict=settings.strict,
            every_record=settings.upstream_compat,
            judged=settings.judged,
        ),
        narrowed_by={"turn": "turns"},
        groups=groups,
        summarise=partial(summarise, mode=settings.mode),
        metric_sums=partial(metric_sums, mode=settings.mode),
        rule_options=("strict", "upstream_compat"),
        importers={
            "fastchat": partial(read_fastchat, mode=settings.mode, baseline=settings.baseline),
            "outputs": read_outputs,
        },
        exporters={"fastchat": write_fastchat},
        orders={} if settings.mode == "single" else {"both": {}},
        about="How a judge rates a model's answers to 80 two-turn questions, or compares them with another model's.",
        option_help=OPTION_HELP,
    )


def _load(fetch: Fetch, *, settings: Settings, starter: bool) -> TaskData:
    if starter:
        return _load_starter(settings)
    questions = msgspec.json.Decoder(Question).decode_lines(fetch(f"questions-{settings.version}"))
    if settings.references == "gpt-4":
        references_file = fetch(f"references-{settings.version}")
    else:
        try:
            references_file = read_bytes(Path(settings.references), TEXT_BYTES)
        except OSError as error:
            raise UsageError(f"references={settings.references} cannot be read: {error}") from error
    references = _read_references(references_file, settings.references)
    examples = tuple(_example(question, references, settings.references) for question in questions)
    prompts = read_prompts(fetch("prompts"))
    judges: dict[str, Judge] = {}
    for name in sorted({name for example in examples for name in _judges_of(example, settings)}):
        judges[name] = published_judge(
            prompts[name],
            references_sha256=sha256_hex(references_file),
            strict=settings.strict,
            anthropic=settings.anthropic_judge,
        )
    fragments = sorted({line for name in judges for line in prompts[name].fragments})
    return TaskData(examples=examples, baselines={}, judges=judges, fragments=tuple(fragments))


def _read_references(data: bytes, name: str) -> dict[float, tuple[str, ...]]:
    """Read reference answers by question. The file may write a question's number with a decimal point."""
    found: dict[float, tuple[str, ...]] = {}
    for number, line in enumerate(as_utf8(data).splitlines(), 1):
        if line.strip():
            try:
                row = decode_json(line, Reference)
                found[row.question_id] = row.choices[0].turns
            except (ValueError, IndexError) as error:
                raise UsageError(
                    f"references={name} is not a file of FastChat's reference answers: line {number}: {error}"
                ) from error
    return found


def _example(question: Question, references: Mapping[float, tuple[str, ...]], source: str) -> Example:
    guided = question.category in GUIDED
    answers = references.get(question.question_id, ()) if guided else ()
    if guided and len(answers) < len(question.turns):
        raise UsageError(
            f"references={source} has {len(answers)} of the {len(question.turns)} reference answers that question "
            f"{question.question_id} ({question.category}) is judged beside"
        )
    temperature = TEMPERATURES.get(question.category, OTHER_TEMPERATURE)
    if question.required_temperature is not None:
        temperature = question.required_temperature
    return Example(
        id=str(question.question_id),
        messages=(Message(role="user", content=question.turns[0]),),
        followups=question.turns[1:],
        references=answers[: len(question.turns)],
        sampling=Sampling(temperature=temperature, max_tokens=MAX_TOKENS),
        meta={"category": question.category},
    )


def _load_starter(settings: Settings) -> TaskData:
    items = read_items(FOLDER / "starter.jsonl", StarterItem)
    references: dict[float, tuple[str, ...]] = {number: item.references for number, item in enumerate(items, 1)}
    examples, baseline = [], {}
    for number, item in enumerate(items, 1):
        question = Question(question_id=number, category=item.category, turns=item.turns)
        example = msgspec.structs.replace(_example(question, references, "starter"), id=f"starter-{number:02d}")
        examples.append(example)
        baseline[example.id] = Generation(example_id=example.id, model=STARTER_BASELINE, outputs=item.baseline)
    protocol = PROTOCOLS[settings.kind]
    prompt = HousePrompt(FOLDER / protocol.template)
    judge = house_judge(protocol, prompt, strict=settings.strict)
    return TaskData(
        examples=tuple(examples),
        baselines={} if settings.mode == "single" else {STARTER_BASELINE: baseline},
        judges={judge.name: judge},
        fragments=prompt.fragments,
    )


def _judges_of(example: Example, settings: Settings) -> list[str]:
    guided = example.meta["category"] in GUIDED
    return [PROTOCOLS[settings.kind].prompt_name(guided=guided, turn=turn) for turn in settings.judged(example)]


def _cases(data: TaskData, generation: Generation, *, settings: Settings, starter: bool) -> tuple[Case, ...]:
    """Make a case for each turn: a rating, or a comparison with each baseline in both orders."""
    example = data.by_id.get(generation.example_id)
    if example is None or len(generation.outputs) <= len(example.followups):
        return ()
    kind = settings.kind
    cases: list[Case] = []
    for turn, published in zip(settings.judged(example), _judges_of(example, settings), strict=True):
        make = partial(Case, judge=PROTOCOLS[kind].house if starter else published, example=example, turn=turn)
        own = Answer(model=generation.model, turns=generation.outputs[:turn])
        if kind == "single":
            cases.append(make(id=rating_id(example, turn), answers=(own,)))
            continue
        for name, answers in data.baselines.items():
            if example.id in answers:
                other = Answer(model=name, turns=answers[example.id].outputs[:turn])
                first, second = (game_id(example, turn, name, candidate_first=order) for order in (True, False))
                cases.append(make(id=first, answers=(own, other), candidate=0))
                cases.append(make(id=second, answers=(other, own), candidate=1))
    return tuple(cases)
