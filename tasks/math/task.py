r"""MATH: how many competition problems a model solves, by three rules that compare its result with the reference.

One example, in our own words: "Solve the equation $3x - 4 = 11$." The model reasons and ends with ``$\boxed{5}$``; the
reference solution ends in ``\boxed{5}`` as well. No judge takes part. The rules look for different things and have
different ideas of equality. They disagree on several percent of all answers, so a number without the name of its rule
says little.

Papers: Hendrycks et al. 2021, arXiv 2103.03874; MATH-500: Lightman et al. 2023, arXiv 2305.20050; the worked examples:
Lewkowycz et al. 2022, arXiv 2206.14858.
Followed: math-verify 0.9.0 (``huggingface/Math-Verify@5d148cfaaf99214c2e4ffb4bc497ab042c592a7a``),
EleutherAI/lm-evaluation-harness 0.4.13 ``lm_eval/tasks/minerva_math/`` (3.1) and ``lm_eval/tasks/hendrycks_math/``.
"""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version as version_of

from judgebench.grading.pool import NOTHING, Verifier
from judgebench.records import Check, Example, Generation, Judgement, Message, Sampling
from judgebench.task import Fetch, Ruling, Task, TaskData, differing, one_of, parse_options, parse_version
from judgebench.task.accuracy import Accuracy
from judgebench.task.answers import import_answers

from . import hendrycks, limits, prompts
from .dataset import Problem, read_five_hundred, read_full, starter_rows
from .hendrycks import verify_boxed
from .interchange import lm_eval_task
from .mathverify import verify_output
from .minerva import verify_closing

TASK = "math"
VERSIONS = {"500": 500, "full": 5000}
"""Version to its number of problems; the first is the default."""
MAX_TOKENS = {"chat": 2048, "minerva4": 256}
"""lm-eval's default for its prompt; for our own, room to reason."""
SHOTS = {"chat": 0, "minerva4": 4}
RULES_VERSION = "2"
"""Raise it when a rule, a limit or a prompt of our own changes."""
PACKAGES = ("math-verify", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")


def vote(extracted: str) -> str:
    """The form of an answer that counts as a vote."""
    try:
        return hendrycks.normalise(extracted, lenient=True)
    except hendrycks.Unreadable:
        return extracted


def _groups(example: Example) -> tuple[str, ...]:
    return f"subject={example.meta['subject']}", f"level={example.meta['level']}"


RULES = {"math_verify": verify_output, "minerva": verify_closing, "hendrycks_boxed": verify_boxed}
"""The rule behind each metric; the first ranks."""
ACCURACY = Accuracy(
    task=TASK,
    verifiers={rule: rule for rule in RULES},
    read=lambda rule, verdict: (verdict.details.get("answer", NOTHING), verdict.value == 1),
    votes=dict.fromkeys(RULES, vote),
    groups=_groups,
)


def rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """What a rule took as the answer, beside the reference answer."""
    verdict = judgement.verdict
    note = "" if verdict.label in ("equal", "not_equal") else (verdict.label or "").replace("_", " ")
    return (
        Ruling(
            rule=judgement.judge,
            held=None if verdict.value is None else verdict.value == 1,
            wanted=str(example.meta.get("answer", "")),
            found=str(verdict.details.get("answer", "")),
            note=note,
        ),
    )


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """MATH-500 (``@500``, default) or all of MATH's test set (``@full``)."""
    version = parse_version(version, VERSIONS, TASK)
    chosen = parse_options(options, {"prompt": one_of(*SHOTS)}, TASK)
    prompt = chosen.get("prompt", "chat")
    lm_eval = lm_eval_task(version, SHOTS[prompt])
    return Task(
        name=TASK,
        version=version,
        versions=tuple(VERSIONS),
        options=differing(chosen, {"prompt": "chat"}),
        metrics=ACCURACY.metrics,
        sampling=Sampling(temperature=0.0, max_tokens=MAX_TOKENS[prompt], stop=prompts.STOPS[prompt]),
        official_examples=VERSIONS[version],
        starter=starter,
        load=partial(_load, version=version, prompt=prompt, starter=starter),
        checks=_checks,
        score=ACCURACY.score,
        groups=ACCURACY.groups,
        summarise=ACCURACY.summarise,
        metric_sums=ACCURACY.metric_sums,
        rulings=rulings,
        importers={"lm_eval": lm_eval.read, "outputs": import_answers},
        exporters={"lm_eval": lm_eval.write},
        repeats=True,
        about="How many competition problems a model solves, by Math-Verify, the Minerva rule and the last box.",
        option_help={"prompt": "chat (zero-shot, our words, default) or minerva4 (lm-eval's four worked examples)"},
    )


def _load(fetch: Fetch, *, version: str, prompt: str, starter: bool) -> TaskData:
    few_shot = prompt == "minerva4"
    if starter:
        shots, rows = starter_rows()
    else:
        rows = list(read_full(fetch("test")) if version == "full" else read_five_hundred(fetch("math500")))
        shots = list(prompts.read_exemplars(fetch("fewshot-minerva4"))) if few_shot else []
    return TaskData(
        examples=tuple(
            _example(row, prompts.minerva(row.problem, shots) if few_shot else prompts.chat(row.problem))
            for row in rows
        ),
        baselines={},
        verifiers={name: Verifier(function=rule, fingerprint=_fingerprint(name)) for name, rule in RULES.items()},
    )


def _example(row: Problem, messages: tuple[Message, ...]) -> Example:
    meta = {
        "question": row.problem,
        "answer": row.answer,
        "subject": row.subject,
        "level": row.level,
    }
    return Example(id=row.id, messages=messages, references=(row.solution,), meta=meta)


def _fingerprint(rule: str) -> str:
    if rule == "hendrycks_boxed":
        return f"{rule} rules {RULES_VERSION}"
    packages = ", ".join(f"{name} {version_of(name)}" for name in PACKAGES)
    return f"{rule} rules {RULES_VERSION}, {packages}, {limits.SUMMARY}"


def _checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    example = data.by_id.get(generation.example_id)
    if example is None or generation.error or not generation.outputs:
        return ()
    output = generation.outputs[-1]
    references = {
        "math_verify": {"solution": example.references[0]},
        "minerva": {"gold": example.meta["answer"]},
        "hendrycks_boxed": {"gold": example.meta["answer"]},
    }
    return tuple(
        Check(
            id=f"{example.id}#{rule}", example_id=example.id, verifier=rule, arguments={"output": output, **reference}
        )
        for rule, reference in references.items()
    )
