"""Writes what ``arena-hard-auto`` writes and reads: ``model_answer/*.jsonl`` and ``model_judgment/<judge>/*.jsonl``.

Shapes: lmarena/arena-hard-auto@196f6b8 for the current pipeline, the parent of 9a1d386 for the legacy one. The files
lack the judge's prompts, whose wording is upstream's, and the times.
"""

from collections.abc import Mapping
from typing import Any

from judgebench.codec import canonical_hash
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.records import Example, ExampleScore, Generation, Judgement
from judgebench.task import ScoredRun
from judgebench.task.markdown import markdown

from .battles import SIDES
from .judges import GAMES, Pipeline
from .style import ENCODINGS, FEATURES


def write_arena_hard(run: ScoredRun, *, pipeline: Pipeline) -> dict[str, Any]:
    """Make the rows of the model's and its baselines' answers, and of the judgements of each judge model.

    Raise :class:`UsageError` if a judge judged a case several times: there is room for one judgement.
    """
    if any(judgement.repeat for judgement in run.judgements):
        raise UsageError("arena-hard-auto's judgements hold each game once; this run has repeats")
    styles = {row.example_id: row for row in run.example_scores}
    files: dict[str, Any] = {}
    baselines = sorted({judgement.answers[1 - judgement.candidate] for judgement in run.judgements} - {run.candidate})
    for model in (run.candidate, *baselines):
        answers = run.generations if model == run.candidate else run.data.baselines.get(model, {})
        side = SIDES[0] if model == run.candidate else SIDES[1]
        rows = [
            row
            for example in run.data.examples
            if (row := _answer(example, model, answers.get(example.id), styles.get(example.id), side, pipeline))
        ]
        if rows:
            # Two names may give one file; the rows say whose they are.
            files.setdefault(f"model_answer/{slug(model)}.jsonl", []).extend(rows)
    for judge_model in sorted({judgement.judge_model for judgement in run.judgements}):
        own = [judgement for judgement in run.judgements if judgement.judge_model == judge_model]
        path = f"model_judgment/{slug(judge_model)}/{slug(run.candidate)}.jsonl"
        files.setdefault(path, []).extend(_judgements(run, own, pipeline))
    return files


def _answer(
    example: Example, model: str, own: Generation | None, row: ExampleScore | None, side: str, pipeline: Pipeline
) -> dict[str, Any] | None:
    """Make a row of an answer file: without the text if only its style is known, and none if neither is."""
    text = own.outputs[-1] if own is not None and not own.error else None
    style = _style(row, side, text)
    if text is None and not style:
        return None
    length = style.pop("token_len", None)
    if pipeline == "current":
        answer: dict[str, Any] = {"uid": example.id, "model": model}
        if text is not None:
            answer["ans_id"] = canonical_hash([model, example.id, text])[7:29]
            answer["messages"] = [
                {"role": "user", "content": example.instruction},
                {"role": "assistant", "content": {"answer": text}},
            ]
        return {**answer, "metadata": style if length is None else {"token_len": length, **style}}
    answer = {"question_id": example.id, "model_id": model}
    if text is None:
        return {**answer, "metadata": style, "token_len_" + ENCODINGS["legacy"].partition("_")[0]: length}
    turn = {"content": text} if length is None else {"content": text, "token_len": length}
    return {
        **answer,
        "answer_id": canonical_hash([model, example.id, text])[7:29],
        "choices": [{"index": 0, "turns": [turn]}],
        "conv_metadata": style if length is None else {"token_len": length, **style},
    }


def _style(row: ExampleScore | None, side: str, text: str | None) -> dict[str, Any]:
    """Return the counts that were scored: by kind, as upstream stores them, if the text gives the same sums."""
    if row is None:
        return {}
    known = {name: row.covariates.get(side + name) for name in FEATURES}
    found: dict[str, Any] = {name: int(value) for name, value in known.items() if isinstance(value, float | int)}
    counted = markdown(text) if text is not None else None
    totals: Mapping[str, int] = dict(zip(FEATURES[1:], counted.totals, strict=True)) if counted else {}
    for name in FEATURES[1:]:
        if name in found:
            found[name] = getattr(counted, name) if totals.get(name) == found[name] else {"all": found[name]}
    return found


def _judgements(run: ScoredRun, judgements: list[Judgement], pipeline: Pipeline) -> list[dict[str, Any]]:
    by_example: dict[str, dict[str, Judgement]] = {}
    for judgement in judgements:
        ending = judgement.case_id.removeprefix(judgement.example_id)
        by_example.setdefault(judgement.example_id, {})[ending] = judgement
    rows = []
    for example in run.data.examples:
        if own := by_example.get(example.id):
            first = next(iter(own.values()))
            games = [_game(own.get(suffix), pipeline) for suffix, _ in GAMES]
            # A game that nobody played is left out at the end of the list, and null before it.
            rows.append(
                {
                    "uid" if pipeline == "current" else "question_id": example.id,
                    "category": first.judge,
                    "judge": first.judge_model,
                    "model": run.candidate,
                    "baseline": first.answers[1 - first.candidate],
                    "games": games if GAMES[1][0] in own else games[:1],
                }
            )
    return rows


def _game(judgement: Judgement | None, pipeline: Pipeline) -> dict[str, Any] | None:
    if judgement is None or judgement.failed:
        return None
    game: dict[str, Any] = {"score": judgement.verdict.label}
    if texts := [reply.text for reply in judgement.replies if reply.text is not None]:
        text = "\n".join(texts)
        game["judgment"] = {"answer": text} if pipeline == "current" else text
    return game
