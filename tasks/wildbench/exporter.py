"""Writes what WildBench's scripts write and read: score and pairwise result files, and model outputs.

Shapes and paths: allenai/WildBench@d6b8dca:src/openai_batch_eval/batch_results_format.py and ``eval_results/``. The
files lack the conversation and the prompts, whose wording is upstream's.
"""

import json
from typing import Any

from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.records import Example, Judgement
from judgebench.task import ScoredRun

from .judges import EMPTY, SHARES, read_verdict

LABELS = {share: label for label, share in SHARES.items()}


def write_wildbench(run: ScoredRun, *, version: str) -> dict[str, Any]:
    """Make the rows of the model's outputs, and of a result file for each judge and baseline.

    Raise :class:`UsageError` if a case was judged several times: a file holds one verdict on each session.
    """
    keys = [(judgement.case_id, judgement.judge_model) for judgement in run.judgements]
    if len(set(keys)) < len(keys):
        raise UsageError("WildBench's files hold one verdict on each session; this run has repeats")
    examples = {example.id: example for example in run.data.examples}
    files: dict[str, Any] = {}
    if outputs := [_output(run, example) for example in run.data.examples if _text(run, example.id) is not None]:
        files[f"result_dirs/wild_bench_v2/{slug(run.candidate)}.json"] = outputs
    for judgement in run.judgements:
        if judgement.failed:
            continue
        judge, example = f"eval={slug(judgement.judge_model)}", examples[judgement.example_id]
        if judgement.judge == "score":
            place, row = f"score.v2/{judge}", _score(run, judgement, example)
        else:
            place = f"pairwise.v2/{judge}/ref={slug(judgement.answers[1 - judgement.candidate])}"
            row = _pair(run, judgement, example)
        files.setdefault(f"eval_results/{version}/{place}/{slug(run.candidate)}.json", []).append(row)
    return files


def _text(run: ScoredRun, example_id: str) -> str | None:
    own = run.generations.get(example_id)
    return None if own is None or own.error else own.outputs[-1]


def _shown(text: str) -> str:
    """Return an answer as upstream stores it with a verdict."""
    return text if text.strip() else EMPTY


def _output(run: ScoredRun, example: Example) -> dict[str, Any]:
    return {
        "session_id": example.id,
        "chat_history": [message.content for message in example.messages],
        "output": [_text(run, example.id)],
        "generator": run.candidate,
    }


def _score(run: ScoredRun, judgement: Judgement, example: Example) -> dict[str, Any]:
    text, value = _text(run, example.id), judgement.verdict.value
    row: dict[str, Any] = {
        "session_id": example.id,
        "model_test": run.candidate,
        "score": judgement.verdict.label or value,
        **_parsed(judgement, "score"),
    }
    if text is not None:
        return {**row, "model_output": _shown(text)}
    if lengths := example.meta.get("stored", {}).get("score"):
        length, flag = lengths[0]
        row |= {"len": length, **({flag: True} if flag else {})}
    return row


def _pair(run: ScoredRun, judgement: Judgement, example: Example) -> dict[str, Any]:
    baseline, value = judgement.answers[1 - judgement.candidate], judgement.verdict.value
    label = None if value is None else LABELS[value]
    winner = None if label is None else "tie" if label == "A=B" else judgement.answers["AB".index(label[0])]
    row: dict[str, Any] = {
        "session_id": example.id,
        "model_A": judgement.answers[0],
        "model_B": judgement.answers[1],
        "winner": winner,
        "extent": None if label is None else label.count("+"),
        **_parsed(judgement, "choice"),
    }
    own, other = _text(run, example.id), run.data.baselines.get(baseline, {}).get(example.id)
    if own is not None and other is not None:
        return {**row, "model_outputs": {run.candidate: _shown(own), baseline: _shown(other.outputs[-1])}}
    if lengths := example.meta.get("stored", {}).get(baseline):
        (length, flag), (other_length, other_flag) = lengths
        row |= {"len_test": length, "flag_test": flag, "len_ref": other_length, "flag_ref": other_flag}
    return row


def _parsed(judgement: Judgement, key: str) -> dict[str, Any]:
    """Return what the judge said, if it is the JSON that it was asked for."""
    text = judgement.reply.text if judgement.reply else None
    if text is None or read_verdict(text, key, "strict").value != judgement.verdict.value:
        return {}
    return {"parsed_result": json.loads(text)}
