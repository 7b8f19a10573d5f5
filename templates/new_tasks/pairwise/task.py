"""MY-TASK: how often a judge prefers a model's answer to a baseline's. The judge sees each pair in both orders."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from judgebench.data.prompts import HousePrompt
from judgebench.judges.orders import candidate_share, games, seeded_switch
from judgebench.judges.replies import first_label
from judgebench.judges.text import TextJudge
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Message, Sampling, Verdict
from judgebench.task import Fetch, Generations, Task, TaskData, one_of, parse_options, parse_version
from judgebench.task.answers import import_answers, text_answers
from judgebench.task.items import read_items
from judgebench.task.metric import Metric, by_example, single_row

NAME = "MY-TASK"
FOLDER = Path(__file__).parent
ITEMS = FOLDER / "items.jsonl"
STARTER_ITEMS = 12
BASELINE = "baseline"
LABELS = {"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5}
"""What a judge may say, and the share of the win that it gives to the answer shown first."""
WIN_RATE = Metric(name="win_rate", value_of=single_row("win_rate"), win_share=True)


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of items.jsonl."""

    id: str = ""
    """By default the number of its row, from 0."""
    question: str
    baseline: str
    """The answer to compare with."""


def read(text: str) -> Verdict:
    """Read the label in a judge's reply. Anything else is an unread verdict, which is counted and never guessed."""
    label = first_label(text, list(LABELS))
    if label is None:
        return Verdict(value=None, error=f"the reply holds none of {', '.join(LABELS)}")
    return Verdict(value=LABELS[label], label=label)


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """What judgebench calls; every field is explained in ``judgebench.task.Task``."""
    settings = parse_options(options, {"order": one_of("both", "seeded")}, NAME)
    return Task(
        name=NAME,
        version=parse_version(version, ("1",), NAME),
        options=settings,
        metrics=(WIN_RATE,),
        # The judge that is asked without --judge, such as {"house": "openai:NAME"}.
        judge_models={},
        sampling=Sampling(temperature=0.0, max_tokens=1024),
        official_examples=len(ITEMS.read_bytes().splitlines()),
        starter=starter,
        load=partial(load, starter=starter),
        cases=partial(cases, order=settings.get("order", "both")),
        score=score,
        pairwise_metrics={"win_rate": (0.0, 1.0)},
        importers={"outputs": import_answers},
        about="How often a judge prefers a model's answer to a baseline's.",
        option_help={
            "order": "both (default), or seeded: each pair is judged once, in an order drawn from the question"
        },
    )


def load(fetch: Fetch, *, starter: bool) -> TaskData:
    """Read the items. For a file that is downloaded, name it in sources.toml and read ``fetch("its name")``."""
    items = read_items(ITEMS, Item)[: STARTER_ITEMS if starter else None]
    prompt = HousePrompt(FOLDER / "judge.j2")
    judge = TextJudge(
        name="house",
        messages=prompt.pair,
        prompt_sha256=prompt.sha256,
        sampling=Sampling(temperature=0.0, max_tokens=1024),
        reading=f"the first of {', '.join(LABELS)}",
        read_text=read,
        labels=tuple(LABELS),
        reminds=True,
    )
    return TaskData(
        examples=tuple(Example(id=item.id, messages=(Message(role="user", content=item.question),)) for item in items),
        baselines={BASELINE: text_answers(BASELINE, {item.id: item.baseline for item in items})},
        judges={judge.name: judge},
        fragments=prompt.fragments,
    )


def cases(data: TaskData, generation: Generation, *, order: str) -> tuple[Case, ...]:
    """A game in each order, or one in the order that the question draws."""
    example = data.by_id[generation.example_id]
    # The baseline may be another one, which the user named with --baseline.
    (baseline,) = data.baselines.values()
    if example.id not in baseline:
        return ()
    other = baseline[example.id]
    return games(
        example,
        "house",
        Answer(model=generation.model, turns=generation.outputs),
        Answer(model=other.model, turns=other.outputs),
        order=order,
        switch=seeded_switch,
    )


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """The candidate's mean share of the games of an example, which has no value if one of them has none."""
    judged = by_example(judgements)
    rows = []
    for example in data.examples:
        verdicts = [(judgement.verdict.value, judgement.candidate) for judgement in judged.get(example.id, ())]
        shares = [candidate_share(value, candidate) for value, candidate in verdicts if value is not None]
        known = shares and len(shares) == len(verdicts)
        rows.append(
            ExampleScore(example_id=example.id, metric="win_rate", value=sum(shares) / len(shares) if known else None)
        )
    return rows
