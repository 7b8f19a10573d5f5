"""MY-TASK: which of its criteria each answer meets. The judge is asked about one criterion at a time."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from judgebench.data.prompts import HousePrompt
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.text import TextJudge
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Message, Sampling, Verdict
from judgebench.task import Fetch, Generations, Task, TaskData, parse_options, parse_version
from judgebench.task.answers import import_answers
from judgebench.task.items import read_items
from judgebench.task.metric import Metric, by_example, single_row

NAME = "MY-TASK"
FOLDER = Path(__file__).parent
ITEMS = FOLDER / "items.jsonl"
STARTER_ITEMS = 12
LABELS = {"[[yes]]": 1.0, "[[no]]": 0.0}


def all_met(rows: Sequence[ExampleScore]) -> float | None:
    """1 if an answer meets every criterion, else 0."""
    row = next(iter(rows), None)
    met = None if row is None else row.covariates.get("all_met")
    return float(met) if isinstance(met, float | int) else None


SCORE = Metric(name="score", value_of=single_row("score"))
ALL_MET = Metric(name="all_met", value_of=all_met)


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer should do, and the points for it."""

    text: str
    points: float = 1.0


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of items.jsonl."""

    id: str = ""
    """By default the number of its row, from 0."""
    question: str
    criteria: tuple[Criterion, ...]


def read(text: str) -> Verdict:
    """Read the last label in a judge's reply. Without one the verdict is unread, which is counted and never guessed."""
    lowered = text.lower()
    label = max(LABELS, key=lowered.rfind)
    if label not in lowered:
        return Verdict(value=None, error=f"the reply holds none of {', '.join(LABELS)}")
    return Verdict(value=LABELS[label], label=label)


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """What judgebench calls; every field is explained in ``judgebench.task.Task``."""
    return Task(
        name=NAME,
        version=parse_version(version, ("1",), NAME),
        options=parse_options(options, {}, NAME),
        metrics=(SCORE, ALL_MET),
        # The judge that is asked without --judge, such as {"house": "openai:NAME"}.
        judge_models={},
        sampling=Sampling(temperature=0.0, max_tokens=1024),
        official_examples=len(ITEMS.read_bytes().splitlines()),
        starter=starter,
        load=partial(load, starter=starter),
        cases=cases,
        score=score,
        importers={"outputs": import_answers},
        about="Which of its criteria each answer meets: points met over points to be had.",
    )


def load(fetch: Fetch, *, starter: bool) -> TaskData:
    """Read the items. For a file that is downloaded, name it in sources.toml and read ``fetch("its name")``."""
    items = read_items(ITEMS, Item)
    prompt = HousePrompt(FOLDER / "judge.j2")

    def shown(case: Case) -> dict[str, str]:
        criterion = case.example.meta["criteria"][criterion_of(case.id)]["text"]
        return {"instruction": case.example.instruction, "answer": case.answers[0].text, "criterion": criterion}

    def messages(case: Case) -> tuple[Message, ...]:
        return prompt.messages(**shown(case))

    judge = TextJudge(
        name="house",
        messages=messages,
        prompt_sha256=prompt.sha256,
        sampling=Sampling(temperature=0.0, max_tokens=512),
        reading=f"the last of {', '.join(LABELS)}",
        read_text=read,
        labels=tuple(LABELS),
        reminds=True,
        # What a prompt given by --judge-prompt can show.
        texts=CaseTexts(answers=1, names={"criterion": "the criterion to check"}, of=shown),
    )
    examples = tuple(
        Example(
            id=item.id,
            messages=(Message(role="user", content=item.question),),
            meta={"criteria": msgspec.to_builtins(item.criteria)},
        )
        for item in items[: STARTER_ITEMS if starter else None]
    )
    return TaskData(examples=examples, baselines={}, judges={judge.name: judge}, fragments=prompt.fragments)


def cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """One for each criterion."""
    answer = Answer(model=generation.model, turns=generation.outputs)
    example = data.by_id[generation.example_id]
    return tuple(
        Case(id=f"{example.id}#{number}", judge="house", example=example, answers=(answer,))
        for number in range(len(example.meta["criteria"]))
    )


def criterion_of(case_id: str) -> int:
    """Which criterion a case is about, from 0."""
    return int(case_id.rpartition("#")[2])


def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
    """Points met over positive points, at least 0. An example has no value until all its criteria have a verdict."""
    judged = by_example(judgements)
    rows = []
    for example in data.examples:
        points = [criterion["points"] for criterion in example.meta["criteria"]]
        met = {criterion_of(one.case_id): one.verdict.value for one in judged.get(example.id, ())}
        known = [met.get(number) for number in range(len(points))]
        if None in known:
            rows.append(ExampleScore(example_id=example.id, metric="score", value=None))
            continue
        won = sum(value * worth for value, worth in zip(known, points, strict=True) if value is not None)
        most = sum(worth for worth in points if worth > 0)
        kept = all((value == 1.0) == (worth > 0) for value, worth in zip(known, points, strict=True))
        rows.append(
            ExampleScore(
                example_id=example.id,
                metric="score",
                value=min(1.0, max(0.0, won / most)),
                covariates={"all_met": float(kept)},
            )
        )
    return rows
