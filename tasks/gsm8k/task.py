"""GSM8K: how many of 1,319 grade-school word problems a model solves, by the number that its answer ends with.

One example, in our own words: "A crate holds 6 rows of 7 jars. Work out the total.", whose answer ends in
``#### 42``. The model sees worked examples (or a description of the form, ``@chat``) and writes its steps and the
result. Rules extract the result from the text and compare it with the official one. No judge takes part.

Paper: Cobbe et al. 2021, arXiv 2110.14168; the eight exemplars: Wei et al. 2022, arXiv 2201.11903.
Followed: EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/tasks/gsm8k/`` (tasks gsm8k 3.0, gsm8k_cot 3.0,
gsm8k_cot_llama 4.0).
"""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from judgebench.grading.pool import Verifier
from judgebench.records import Check, Example, Generation, Message, Sampling
from judgebench.task import Fetch, Task, TaskData, parse_options, parse_version
from judgebench.task.answers import import_answers
from judgebench.task.lm_eval import LmEvalTask

from . import prompts
from .extraction import gold_of, verify
from .metrics import ACCURACY, TASK, rulings
from .prompts import STOPS, Fixed, Problem

VERSIONS = tuple(STOPS)
MAX_TOKENS = {"cot8": 256, "5shot": 256, "cot-llama": 256, "chat": 2048}
"""lm-eval's default for its prompts; for our own, room to reason."""
ENDINGS = {"cot8": "The answer is {gold}.", "cot-llama": "The final answer is {gold}"}
"""How the fixed worked examples of these versions end."""
RULES_VERSION = "2"
"""Raise it when a rule of extraction or a prompt of our own changes."""

_NO_INSTRUCTION = (
    "only the exemplars of lm-eval's task file gsm8k-cot-llama.yaml are there, not the instruction that precedes each "
    "problem. Run once without --offline, or put the file into a mirror"
)


def _lm_eval(name: str, version: float, n_shot: int, *others: str) -> LmEvalTask:
    return LmEvalTask(
        benchmark=TASK,
        name=name,
        version=version,
        n_shot=n_shot,
        metrics={
            "exact_match,strict-match": "exact_match_strict",
            "exact_match,flexible-extract": "exact_match_flexible",
        },
        document=lambda example: {"question": example.meta["question"], "answer": example.references[0]},
        key=lambda document: document.get("question"),
        # The two tasks with fixed exemplars hold the number alone.
        target=lambda example: example.references[0] if name == "gsm8k" else example.meta["gold"],
        others=others,
        repeats=True,
    )


LM_EVAL = {
    "cot8": _lm_eval("gsm8k_cot", 3.0, 8, "gsm8k_cot_self_consistency"),
    "5shot": _lm_eval("gsm8k", 3.0, 5),
    "cot-llama": _lm_eval("gsm8k_cot_llama", 4.0, 8),
    "chat": _lm_eval("judgebench_gsm8k_chat", 1.0, 0),
}
"""lm-eval's task for each version. It has none with the prompt of ``@chat``: the name is ours."""


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """GSM8K after eight fixed worked examples (``@cot8``, default), five drawn ones (``@5shot``), eight as turns of a
    conversation (``@cot-llama``), or none (``@chat``).
    """
    version = parse_version(version, VERSIONS, TASK)
    return Task(
        name=TASK,
        version=version,
        versions=VERSIONS,
        options=parse_options(options, {}, TASK),
        metrics=ACCURACY.metrics,
        sampling=Sampling(temperature=0.0, max_tokens=MAX_TOKENS[version], stop=STOPS[version]),
        official_examples=1319,
        starter=starter,
        load=partial(_load, version=version, starter=starter),
        checks=partial(_checks, version=version),
        score=ACCURACY.score,
        groups=ACCURACY.groups,
        summarise=ACCURACY.summarise,
        metric_sums=ACCURACY.metric_sums,
        rulings=rulings,
        importers={"lm_eval": LM_EVAL[version].read, "outputs": import_answers},
        exporters={"lm_eval": LM_EVAL[version].write},
        hub=("openai/gsm8k", "gsm8k"),
        repeats=True,
        seeds={"fewshot": prompts.SHOT_SEED} if version == "5shot" else {},
        about="How many of 1,319 grade-school word problems a model solves, by the number its answer ends with.",
    )


def _load(fetch: Fetch, *, version: str, starter: bool) -> TaskData:
    lacks = None
    rows: Sequence[Problem]
    shots: Sequence[Problem]
    if starter:
        shots, rows = prompts.starter_rows()
        fixed = Fixed(
            prompts.starter_exemplars(shots, ENDINGS[version]) if version in ENDINGS else (),
            prompts.STARTER_INSTRUCTION,
        )
    else:
        rows = _rows(fetch("test"))
        shots = _rows(fetch("train")) if version == "5shot" else []
        fixed = (
            prompts.read_fixed(fetch(f"fewshot-{version}"), f"fewshot-{version}") if version in ENDINGS else _NOTHING
        )
        if version == "cot-llama" and fixed.template is None:
            lacks = _NO_INSTRUCTION
    asked = _asked(version, rows, shots, fixed)
    examples = tuple(
        Example(
            id=f"starter-{number:02d}" if starter else str(number),
            messages=messages,
            references=(row.answer,),
            meta={"question": row.question, "gold": gold_of(row.answer)},
        )
        for number, (row, messages) in enumerate(zip(rows, asked, strict=True), start=int(starter))
    )
    verifier = Verifier(function=verify, fingerprint=f"gsm8k@{version} rules {RULES_VERSION}")
    return TaskData(examples=examples, baselines={}, verifiers={TASK: verifier}, lacks=lacks)


_NOTHING = Fixed((), None)


def _rows(data: bytes) -> list[Problem]:
    return [msgspec.json.decode(line, type=Problem) for line in data.splitlines()]


def _asked(version: str, rows: Sequence[Problem], shots: Sequence[Problem], fixed: Fixed) -> list[tuple[Message, ...]]:
    """The conversation of each row."""
    if version == "5shot":
        # The starter set has fewer worked examples than a draw takes: all of them stand before each problem.
        few = len(shots) < prompts.SHOTS
        drawn = [list(range(len(shots)))] * len(rows) if few else prompts.drawn_shots(len(rows), len(shots))
        return [
            prompts.five_shot(row.question, [shots[index] for index in indices])
            for row, indices in zip(rows, drawn, strict=True)
        ]
    if version == "cot8":
        return [prompts.cot8(row.question, fixed.exemplars) for row in rows]
    if version == "cot-llama":
        # Without the instruction the run asks nothing, but the question alone still tells the examples apart.
        return [prompts.cot_llama(row.question, fixed.exemplars, fixed.template or "{{question}}") for row in rows]
    return [prompts.chat(row.question) for row in rows]


def _checks(data: TaskData, generation: Generation, *, version: str) -> tuple[Check, ...]:
    example = data.by_id.get(generation.example_id)
    if example is None or generation.error or not generation.outputs:
        return ()
    arguments = {"output": generation.outputs[-1], "answer": example.references[0], "version": version}
    return (Check(id=f"{example.id}#{TASK}", example_id=example.id, verifier=TASK, arguments=arguments),)
