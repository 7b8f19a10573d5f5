"""The judge of a benchmark that is a file: the house prompt and rule of its kind, or those that the file gives."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from judgebench.data.resources import resource
from judgebench.judges import Judge
from judgebench.judges.judge_files import read_rule, read_sampling
from judgebench.judges.own_judges import OwnJudge
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import VerdictRule
from judgebench.kinds.items import COLUMN, transcript
from judgebench.kinds.task_files import Prompt, TaskFile
from judgebench.records import Case, Message, Sampling, Verdict
from judgebench.task import Fetch, Task, TaskData
from judgebench.task.own_judging import judged_by

BY_LABELS = '`reads = "logprob"`'
"""How a benchmark reads the probabilities of a judge's labels, which needs no reply that keeps to a form."""


def house_prompt(kind: str) -> Path:
    """The file of a kind's house prompt."""
    return resource("templates") / "kinds" / f"{kind}.j2"


def judge_name(file: TaskFile) -> str:
    """What the judge is called in judgements and protocols: as its prompt, of which a published one belongs to the
    benchmark, and the kind's is ``house_rating`` or the like.
    """
    prompt, given = file.keys.prompt, file.judge_file
    if file.keys.code is not None:
        return f"{file.name}_judge"
    if prompt is None:
        of_file = given is not None and given.judge.prompt is not None
        return Path(str(file.keys.judge)).stem if of_file else f"house_{file.keys.kind}"
    name = prompt if isinstance(prompt, str) else prompt.file
    return f"{file.name}_{name}" if name in file.pinned else Path(name).stem


def judge_models(file: TaskFile) -> dict[str, str]:
    """The judge that is asked without ``--judge``."""
    return {} if file.judge_model is None else {judge_name(file): file.judge_model}


def shown_columns(file: TaskFile) -> tuple[str, ...]:
    """The columns of the prompts that the judge's prompt shows."""
    table = file.keys.prompt
    slots = table.slots.values() if isinstance(table, Prompt) else ()
    return tuple(name.removeprefix(COLUMN) for name in slots if name.startswith(COLUMN))


def slot_texts(
    file: TaskFile,
    names: Mapping[str, str],
    of: Callable[[Case], Mapping[str, Any]],
    scale: tuple[float, float] | None = None,
) -> CaseTexts:
    """What a prompt can show of single answers: the texts of the kind, the conversation, and columns of the prompts."""
    columns = shown_columns(file)
    return CaseTexts(
        answers=1,
        names={
            "conversation": "all messages and the answer, one `role: content` paragraph each",
            **names,
            **{COLUMN + name: f"the column {name} of the prompts" for name in columns},
        },
        of=lambda case: {
            "conversation": conversation(case),
            **of(case),
            **{COLUMN + name: str(case.example.meta.get(name, "")) for name in columns},
        },
        scale=scale,
    )


def conversation(case: Case) -> str:
    """All messages with the answers to them, one paragraph for each: its role, and what it says."""
    example, (answer, *_) = case.example, case.answers
    messages = [*example.messages]
    for number, text in enumerate(answer.turns):
        messages += [Message(role="user", content=example.followups[number - 1])] if number else []
        messages.append(Message(role="assistant", content=text))
    return transcript(messages)


def with_judge(
    file: TaskFile,
    task: Task,
    data: TaskData,
    texts: CaseTexts,
    rule: VerdictRule,
    fetch: Fetch | None = None,
    *,
    house: str | None = None,
) -> TaskData:
    """The task's data with its judge, which sees ``texts`` and is read by ``rule`` unless the file says otherwise.

    ``house`` names a house prompt other than the kind's. Raises :class:`~judgebench.errors.UsageError` if the file's
    prompt or rule does not fit.
    """
    given = file.judge_file.judge if file.judge_file is not None else None
    prompt, where = file.prompt(fetch) or (
        (given.prompt, file.judge_file.prompt_path) if file.judge_file and given and given.prompt else (None, "")
    )
    if prompt is None:
        text = house_prompt(house or file.keys.kind).read_text("utf-8")
        prompt, where = text, f"of the kind {file.keys.kind} (give your own by the key prompt)"
    read = rule_of(file, rule)
    told = read_sampling(file.path, file.text, file.keys.judge_sampling, "judge_sampling")
    sampling = {**(given.sampling if given else {}), **told}
    own = OwnJudge(name=file.path.name, prompt=prompt, verdict=read, sampling=sampling)
    bare = dataclasses.replace(data, judges={judge_name(file): _unplayed(judge_name(file), texts)})
    made = judged_by(own, task, bare, where, prompt=file.slot_prompt(fetch))
    other = BY_LABELS if read.kind == "label" and not file.pinned and file.keys.code is None else ""
    of_file = {name: _of_file(judge, file.keys.reasks, other) for name, judge in made.judges.items()}
    return dataclasses.replace(made, judges=of_file)


def _of_file(judge: Judge, reasks: int, other: str) -> Judge:
    return dataclasses.replace(judge, reasks=reasks, other_reading=other) if isinstance(judge, TextJudge) else judge


def rule_of(file: TaskFile, default: VerdictRule) -> VerdictRule:
    """How a verdict is read: the default, or what the judge file and the keys ``reads`` and ``verdict`` say."""
    if file.judge_file is not None and file.judge_file.judge.verdict is not None:
        default = file.judge_file.judge.verdict
    reads, table = file.keys.reads, dict(file.keys.verdict)
    if reads is None and not table:
        return default
    if reads is not None and "read" in table:
        raise file.fault("verdict.read", "says the same as the key reads; leave one out")
    found: dict[str, Any] = msgspec.to_builtins(default)
    if reads is not None:
        kind, colon, pattern = reads.partition(":")
        if kind == "regex" and colon:
            found["regex"] = pattern
        elif kind != default.kind:
            found = {"read": reads, **_kept(default, kind)}
        else:
            found["read"] = reads
    return read_rule(file.path, file.text, {**found, **table})


def _kept(default: VerdictRule, kind: str) -> dict[str, Any]:
    """What of a default rule also holds for another reading: the scale of ratings, or the labels without brackets."""
    if kind in ("rating", "json") and default.scale is not None:
        return {"scale": default.scale}
    if kind in ("json", "logprob", "list") and default.labels:
        return {"labels": {label.strip("[]"): value for label, value in default.labels.items()}}
    return {"labels": default.labels} if kind == "label" else {}


def _unplayed(name: str, texts: CaseTexts) -> TextJudge:
    """A judge that only says what its cases show; a prompt and a rule take its place."""

    def shown(case: Case) -> tuple[Message, ...]:
        return (Message(role="user", content=str(sorted(texts.of(case).items()))),)

    return TextJudge(
        name=name,
        messages=shown,
        prompt_sha256="",
        sampling=Sampling(),
        reading="",
        read_text=lambda text: Verdict(value=None, error="no rule was given"),
        texts=texts,
    )
