"""Writes what FastChat writes and reads: ``model_answer/*.jsonl`` and ``model_judgment/*_{single,pair}.jsonl``.

Shapes: lm-sys/FastChat@0e6d3e4:fastchat/llm_judge/{common.py,gen_model_answer.py}. The files lack the prompts, whose
wording is upstream's, and the times.
"""

from collections.abc import Sequence
from typing import Any

from judgebench.codec import canonical_hash
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.judges.orders import candidate_share
from judgebench.records import Generation, Judgement
from judgebench.task import Generations, ScoredRun

from .importer import FAILED
from .metrics import SUPERSEDED

NO_RATING = -1
"""What upstream stores where a reply holds no rating."""
WINNERS = {1.0: "model_1", 0.0: "model_2", 0.5: "tie"}
"""A game's stored result, by the share of the win of ``model_1``."""


def write_fastchat(run: ScoredRun) -> dict[str, Any]:
    """Make the rows of the answer files, and of a judgement file for each judge model.

    Raise :class:`UsageError` if one judge judged a case several times, which FastChat takes for corrections.
    """
    if any(judgement.repeat for judgement in run.judgements):
        raise UsageError("FastChat takes the last judgement of a case; this run has several by one judge")
    files: dict[str, Any] = {}
    for model, answers in {run.candidate: run.generations, **run.data.baselines}.items():
        if rows := _answers(run, model, answers):
            # Two names may give one file; the rows say whose they are.
            files.setdefault(f"model_answer/{slug(model)}.jsonl", []).extend(rows)
    for judge_model in sorted({judgement.judge_model for judgement in run.judgements}):
        own = sorted((j for j in run.judgements if j.judge_model == judge_model), key=_age)
        single = [_rating(judgement) for judgement in own if len(judgement.answers) == 1]
        pairs = _pairs([judgement for judgement in own if len(judgement.answers) == 2])
        for kind, rows in (("single", single), ("pair", pairs)):
            if rows:
                files.setdefault(f"model_judgment/{slug(judge_model)}_{kind}.jsonl", []).extend(rows)
    return files


def _age(judgement: Judgement) -> tuple[bool, str]:
    """Sort superseded records first, in their order: readers take the last of each case."""
    _, mark, number = judgement.case_id.partition(SUPERSEDED)
    return not mark, number.zfill(9)


def _question(example_id: str) -> int | str:
    """Write an id as a number, as upstream does; the ids of the starter set are not numbers."""
    return int(example_id) if example_id.isdecimal() else example_id


def _answers(run: ScoredRun, model: str, answers: Generations) -> list[dict[str, Any]]:
    return [
        {
            "question_id": _question(example.id),
            "answer_id": _answer_id(own),
            "model_id": model,
            "choices": [{"index": 0, "turns": list(own.outputs)}],
        }
        for example in run.data.examples
        if (own := answers.get(example.id)) is not None and not own.error
    ]


def _answer_id(generation: Generation) -> str:
    return canonical_hash([generation.model, generation.example_id, generation.outputs])[7:29]


def _rating(judgement: Judgement) -> dict[str, Any]:
    value = judgement.verdict.value
    return {
        "question_id": _question(judgement.example_id),
        "model": judgement.answers[0],
        "judge": [judgement.judge_model, judgement.judge],
        "judgment": _words(judgement),
        "score": NO_RATING if value is None else value,
        "turn": judgement.turn,
    }


def _words(judgement: Judgement) -> str | None:
    """Return what the judge said, or null if that is unknown: upstream's readers need the field."""
    if judgement.failed:
        return FAILED
    return judgement.reply.text if judgement.reply is not None else None


def _pairs(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Write the two games of a pair in one row. The candidate is ``model_1``, which the first game shows first."""
    rows: dict[tuple[str, int, str, str], dict[str, Any]] = {}
    for judgement in judgements:
        candidate, other = judgement.answers[judgement.candidate], judgement.answers[1 - judgement.candidate]
        record = judgement.case_id.partition(SUPERSEDED)[2]
        row = rows.setdefault(
            (judgement.example_id, judgement.turn, other, record),
            {
                "question_id": _question(judgement.example_id),
                "model_1": candidate,
                "model_2": other,
                "g1_winner": "error",
                "g2_winner": "error",
                "g1_judgment": None,
                "g2_judgment": None,
                "judge": [judgement.judge_model, judgement.judge],
                "turn": judgement.turn,
            },
        )
        game = "g1" if judgement.candidate == 0 else "g2"
        value = judgement.verdict.value
        share = None if value is None else candidate_share(value, judgement.candidate)
        row[f"{game}_winner"] = "error" if share is None else WINNERS[share]
        row[f"{game}_judgment"] = _words(judgement)
    return list(rows.values())
