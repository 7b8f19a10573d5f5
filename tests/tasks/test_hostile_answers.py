"""Some of 2,000 hostile answers to each verified task, through the real pool, with honest answers between them.

The run ends, every check has a verdict with a reason, no honest answer notices, and nothing is left behind.
"""

import gc
import threading
from functools import cache
from itertools import chain
from pathlib import Path

import msgspec
import psutil
import pytest

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.grading.pool import GradingPool
from judgebench.records import Check, Example, Generation
from judgebench.run.loading import load_task
from judgebench.task import Task, TaskData
from tests.campaigns import ALL
from tests.shared_data import SHARED, SharedData
from tests.tasks.hostile import hostile_answers

VERIFIED = [name for name in ("ifeval", "gsm8k", "math") if name in tasks.names()]
MEMORY_MARGIN = 64 * 2**20
"""What the interpreter's allocator may keep of the messages that were sent."""
STEPS = {"math": 37, "ifeval": 7, "gsm8k": 7}
"""Every how many answers are put to a task: a timeout is tried twice at 5 CPU seconds each, and one in sixty of these
answers runs into it where MATH parses it. No divisor of the number of kinds, so that all kinds come up. The whole
campaign is run by hand (benchmarks/README.md).
"""
HONEST = "A plain answer, in two sentences. It wants nothing of the reader."


@cache
def hostile() -> tuple[tuple[str, str], ...]:
    """Kinds and answers, made once."""
    return tuple(hostile_answers())


@pytest.fixture(params=VERIFIED)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Task, TaskData]:
    """Each verified task in turn, with all its official examples where the shared data are there."""
    own = SharedData(request.param)
    mirrors = [own.path, SHARED / "upstream"] if own.is_here else []
    finder = SourceFinder(tmp_path, mirrors, offline=True)
    one = load_task(tasks.TaskSpec(request.param), finder, starter=not own.is_here)
    return one.task, one.data


def checks_of(task: Task, data: TaskData, example: Example, text: str, prefix: str) -> list[Check]:
    """The checks of one answer, their ids its own."""
    generation = Generation(example_id=example.id, model="m", outputs=(text,))
    return [msgspec.structs.replace(check, id=f"{prefix}-{check.id}") for check in task.checks(data, generation)]


def honest(example: Example) -> str:
    """The official solution, where there is one, with the result said once more."""
    result = example.meta.get("gold") or example.meta.get("answer")
    return f"{example.references[0]}\nThe answer is {result}." if example.references else HONEST


def as_recorded(text: str) -> str:
    """Without halves of characters, which no record can hold: readers refuse or replace them."""
    return text.encode(errors="replace").decode()


def memory() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def test_hostile_answers_harm_nobody(loaded: tuple[Task, TaskData]) -> None:
    """After every hostile answer comes an honest one, right and wrong ones in turn: its verdicts are those that it has
    where no hostile answer is near. Afterwards there are as many processes and threads as before, and no more memory.
    """
    task, data = loaded
    texts = [as_recorded(text) for _, text in hostile()[:: 1 if ALL else STEPS[task.name]]]
    examples = [data.examples[number % len(data.examples)] for number in range(len(texts))]
    bad = [
        checks_of(task, data, example, text, f"hostile-{number}")
        for number, (example, text) in enumerate(zip(examples, texts, strict=True))
    ]
    good = [
        checks_of(
            task,
            data,
            example,
            honest(example) if number % 2 else HONEST,
            f"good-{number}",
        )
        for number, example in enumerate(examples)
    ]
    with GradingPool(2) as pool:
        alone = pool.verify(data.verifiers, list(chain(*good)))
    assert {verdict.value for verdict in alone} == {0.0, 1.0}
    children, threads, before = psutil.Process().children(recursive=True), threading.active_count(), memory()

    mixed = [check for pair in zip(bad, good, strict=True) for check in chain(*pair)]
    with GradingPool(2) as pool:
        verdicts = dict(zip((check.id for check in mixed), pool.verify(data.verifiers, mixed), strict=True))

    assert [verdicts[check.id] for check in chain(*good)] == alone
    for check in chain(*bad):
        assert verdicts[check.id].value in (0.0, 1.0), check.id
        assert verdicts[check.id].label, check.id
    assert psutil.Process().children(recursive=True) == children
    assert threading.active_count() == threads
    del verdicts
    assert memory() < before + MEMORY_MARGIN
