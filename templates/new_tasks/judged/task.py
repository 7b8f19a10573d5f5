"""MY-TASK: how good a judge finds a model's answers, from 1 to 10."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from judgebench.data.prompts import HousePrompt
from judgebench.judges.replies import RATING_BRACKETS, bracketed_rating
from judgebench.judges.text import TextJudge
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
from judgebench.stats.clustered import cluster_totals
from judgebench.task import Fetch, Generations, Task, TaskData, parse_options, parse_version
from judgebench.task.answers import import_answers
from judgebench.task.items import read_items
from judgebench.task.metric import Metric, MetricSums, grouped, single_row

NAME = "MY-TASK"
FOLDER = Path(__file__).parent
ITEMS = FOLDER / "items.jsonl"
STARTER_ITEMS = 12
LOWEST, HIGHEST = 1, 10
RATING = Metric(name="rating", unit="rating", bounds=(LOWEST, HIGHEST), value_of=single_row("rating"))


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of items.jsonl."""

    id: str = ""
    """By default the number of its row, from 0."""
    question: str
    category: str = ""


def read(text: str) -> Verdict:
    """Read ``[[7]]`` in a judge's reply. Anything else is an unread verdict, which is counted and never guessed."""
    rating = bracketed_rating(text)
    if isinstance(rating, str):
        return Verdict(value=None, error=rating)
    if not LOWEST <= rating <= HIGHEST:
        return Verdict(value=None, error=f"{rating:g} is not a rating from {LOWEST} to {HIGHEST}")
    return Verdict(value=rating)


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """What judgebench calls; every field is explained in ``judgebench.task.Task``."""
    return Task(
        name=NAME,
        version=parse_version(version, ("1",), NAME),
        options=parse_options(options, {}, NAME),
        metrics=(RATING,),
        # The judge that is asked without --judge, such as {"house": "openai:NAME"}.
        judge_models={},
        sampling=Sampling(temperature=0.0, max_tokens=1024),
        official_examples=len(ITEMS.read_bytes().splitlines()),
        starter=starter,
        load=partial(load, starter=starter),
        cases=cases,
        score=score,
        summarise=summarise,
        metric_sums=metric_sums,
        importers={"outputs": import_answers},
        about="How good a judge finds a model's answers, from 1 to 10.",
    )


def load(fetch: Fetch, *, starter: bool) -> TaskData:
    """Read the items. For a file that is downloaded, name it in sources.toml and read ``fetch("its name")``."""
    items = read_items(ITEMS, Item)
    prompt = HousePrompt(FOLDER / "judge.j2")

    def messages(case: Case) -> tuple[Message, ...]:
        return prompt.messages(instruction=case.example.instruction, answer=case.answers[0].text)

    judge = TextJudge(
        name="house",
        messages=messages,
        prompt_sha256=prompt.sha256,
        sampling=Sampling(temperature=0.0, max_tokens=1024),
        reading=f"the number in double brackets, from {LOWEST} to {HIGHEST}",
        read_text=read,
        labels=RATING_BRACKETS,
        reminds=True,
    )
    examples = tuple(
        Example(id=item.id, messages=(Message(role="user", content=item.question),), meta={"category": item.category})
        for item in items[: STARTER_ITEMS if starter else None]
    )
    return TaskData(examples=examples, baselines={}, judges={judge.name: judge}, fragments=prompt.fragments)


def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """The judge sees each answer once."""
    answer = Answer(model=generation.model, turns=generation.outputs)
    example = data.by_id[generation.example_id]
    return (Case(id=example.id, judge="house", example=example, answers=(answer,)),)


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """Give every example a row; the value of an example without a verdict is ``None``."""
    ratings = {judgement.example_id: judgement.verdict.value for judgement in judgements}
    return [
        ExampleScore(example_id=example.id, metric="rating", value=ratings.get(example.id)) for example in data.examples
    ]


def summarise(data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
    """The mean over all examples, and that of each category."""
    scores = [RATING.mean_score(NAME, data.examples, rows)]
    for group, examples in categories(data.examples).items():
        own = of(examples, rows)
        known = [row.value for row in own if row.value is not None]
        missing = len(examples) - len(known)
        if known:
            sums = cluster_totals(known)
            scores.append(RATING.score(NAME, sums, "mean", "items", n=len(known), n_missing=missing, group=group))
        else:
            scores.append(RATING.absent(NAME, "no example has a value", n_missing=missing, group=group))
    return scores


def metric_sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
    """The same numbers as sums over items, which pair two runs."""
    groups = {group: of(own, rows) for group, own in categories(examples).items()}
    return {
        ("rating", None): RATING.mean_sums(examples, rows),
        **{("rating", group): RATING.mean_sums(examples, own) for group, own in groups.items() if own},
    }


def categories(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The examples of each category, if there are categories."""
    named = (example for example in examples if example.meta["category"])
    return grouped(named, lambda example: f"category={example.meta['category']}")


def of(examples: Sequence[Example], rows: Sequence[ExampleScore]) -> list[ExampleScore]:
    """The rows of some examples."""
    ids = {example.id for example in examples}
    return [row for row in rows if row.example_id in ids]
