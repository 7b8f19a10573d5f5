"""MY-TASK: how many questions a model answers with the right number. No judge takes part."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from judgebench.grading.pool import NOTHING, Verifier
from judgebench.records import Check, Example, Generation, Message, Sampling, Verdict
from judgebench.task import Fetch, Task, TaskData, parse_options, parse_version
from judgebench.task.accuracy import Accuracy
from judgebench.task.answers import import_answers
from judgebench.task.items import read_items

NAME = "MY-TASK"
ITEMS = Path(__file__).parent / "items.jsonl"
STARTER_ITEMS = 12
RULE_VERSION = "1"
"""Raise it when ``right`` changes: verdicts by another rule belong to another protocol."""


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of items.jsonl."""

    id: str = ""
    """By default the number of its row, from 0."""
    question: str
    answer: str
    category: str = ""


def right(output: str, answer: str) -> Verdict:
    """The rule: the last number of the output is the answer. A process of its own runs it on hostile output, too."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", output[-1000:].replace(",", ""))
    extracted = numbers[-1] if numbers else NOTHING
    is_right = extracted == answer
    return Verdict(
        value=float(is_right),
        label="right" if is_right else "wrong",
        details={"extracted": extracted, "answer": answer, "right": is_right},
    )


ACCURACY = Accuracy(
    task=NAME,
    verifiers={"accuracy": "right"},
    # A check whose process was ended has no details; it counts as wrong.
    read=lambda metric, verdict: (verdict.details.get("extracted", NOTHING), verdict.details.get("right", False)),
    votes={"accuracy": str},
    groups=lambda example: [f"category={example.meta['category']}"] if example.meta["category"] else [],
)


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """What judgebench calls; every field is explained in ``judgebench.task.Task``."""
    return Task(
        name=NAME,
        version=parse_version(version, ("1",), NAME),
        options=parse_options(options, {}, NAME),
        metrics=ACCURACY.metrics,
        sampling=Sampling(temperature=0.0, max_tokens=512),
        official_examples=len(ITEMS.read_bytes().splitlines()),
        starter=starter,
        load=partial(load, starter=starter),
        checks=checks,
        score=ACCURACY.score,
        summarise=ACCURACY.summarise,
        metric_sums=ACCURACY.metric_sums,
        importers={"outputs": import_answers},
        repeats=True,
        about="How many questions a model answers with the right number.",
    )


def load(fetch: Fetch, *, starter: bool) -> TaskData:
    """Read the items. For a file that is downloaded, name it in sources.toml and read ``fetch("its name")``."""
    items = read_items(ITEMS, Item)
    examples = tuple(
        Example(
            id=item.id,
            messages=(Message(role="user", content=f"{item.question}\nEnd your answer with the number alone."),),
            references=(item.answer,),
            meta={"category": item.category},
        )
        for item in items[: STARTER_ITEMS if starter else None]
    )
    return TaskData(
        examples=examples,
        baselines={},
        verifiers={"right": Verifier(function=right, fingerprint=f"{NAME} rule {RULE_VERSION}")},
    )


def checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    """One check for each answer."""
    (answer,) = data.by_id[generation.example_id].references
    return (
        Check(
            id=generation.example_id,
            example_id=generation.example_id,
            verifier="right",
            arguments={"output": generation.outputs[-1], "answer": answer},
        ),
    )
