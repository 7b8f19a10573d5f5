"""Writes what ``alpaca_eval`` writes and reads: ``annotations.json``, ``model_outputs.json`` and a leaderboard row.

Fields: tatsu-lab/alpaca_eval@cd543a1 ``results/*/*/annotations.json`` and ``leaderboards/data_AlpacaEval_2/*.csv``.
"""

from collections.abc import Mapping
from typing import Any

from judgebench.data.csv_cells import csv_bytes
from judgebench.errors import UsageError
from judgebench.records import Completion, Score
from judgebench.task import ScoredRun
from judgebench.task.metric import by_example

from .judges import EVALUATORS

DRAW = 0.5


def write_alpaca_eval(run: ScoredRun) -> dict[str, Any]:
    """Make the rows of the three files, in the run's order.

    Raise :class:`UsageError` for a panel, since an annotation has one annotator. A pair judged in both orders gives one
    annotation, whose preference is the mean, without the judge's words.
    """
    judges = sorted({(judgement.judge, judgement.judge_model) for judgement in run.judgements})
    if len(judges) > 1 or any(judgement.repeat for judgement in run.judgements):
        raise UsageError("alpaca_eval's annotations have one verdict of one annotator; this run has a jury or repeats")
    files: dict[str, Any] = {"model_outputs.json": _outputs(run)}
    if judges:
        files["annotations.json"] = _annotations(run, _annotator(*judges[0]))
        row = _row(run)
        files["leaderboard.csv"] = csv_bytes([row], tuple(row))
    return files


def _annotator(judge: str, judge_model: str) -> str:
    """Name the published evaluator with this judge and model; without one, name both."""
    for annotator, evaluator in EVALUATORS.items():
        if (evaluator.like or annotator) == judge and judge_model in (evaluator.spec, evaluator.model):
            return annotator
    told = judge_model.removeprefix("annotator:")
    return told if told == judge else f"{judge} played by {told}"


def _outputs(run: ScoredRun) -> list[dict[str, Any]]:
    return [
        {
            "instruction": example.instruction,
            "dataset": example.meta.get("dataset", ""),
            "output": run.generations[example.id].outputs[-1],
            "generator": run.candidate,
        }
        for example in run.data.examples
        if example.id in run.generations and not run.generations[example.id].error
    ]


def _annotations(run: ScoredRun, annotator: str) -> list[dict[str, Any]]:
    ((baseline, answers),) = run.data.baselines.items()
    shares = {row.example_id: row.value for row in run.example_scores}
    judged = by_example(run.judgements)
    rows = []
    for example in run.data.examples:
        if example.id not in judged:
            continue
        share, own, other = shares.get(example.id), run.generations.get(example.id), answers.get(example.id)
        row: dict[str, Any] = {"instruction": example.instruction, "dataset": example.meta.get("dataset", "")}
        if other is not None:
            row["output_1"] = other.outputs[-1]
        if own is not None and not own.error:
            row["output_2"] = own.outputs[-1]
        row |= {
            "generator_1": baseline,
            "generator_2": run.candidate,
            "annotator": annotator,
            "preference": None if share is None else 1 + share,
        }
        if len(judged[example.id]) == 1 and annotator in EVALUATORS:
            row["raw_completion"] = _raw(judged[example.id][0].reply)
        rows.append(row)
    return rows


def _raw(reply: Completion | None) -> dict[str, Any] | None:
    """Write a reply as the choice object that an endpoint sends."""
    if reply is None or reply.error:
        return None
    choice: dict[str, Any] = {"finish_reason": reply.finish_reason, "message": {"content": reply.text}}
    if reply.top_logprobs is not None:
        choice["logprobs"] = {
            "content": [
                {"top_logprobs": [{"token": token, "logprob": logprob} for token, logprob in position]}
                for position in reply.top_logprobs
            ]
        }
    used = reply.usage.prompt_tokens + reply.usage.completion_tokens
    return {**choice, "total_tokens": used} if used else choice


def _row(run: ScoredRun) -> dict[str, Any]:
    """Make the run's row of upstream's leaderboard, by upstream's rules; shares and errors are in percent."""
    whole = {score.metric: score for score in run.scores if score.group is None}
    shares = [row.value for row in run.example_scores if row.value is not None]
    return {
        "": run.candidate,
        "win_rate": _by_upstream(whole, "win_rate"),
        "standard_error": whole["win_rate"].stderr if "win_rate" in whole else None,
        "n_wins": sum(share > DRAW for share in shares),
        "n_wins_base": sum(share < DRAW for share in shares),
        "n_draws": sum(share == DRAW for share in shares),
        "n_total": len(shares),
        "discrete_win_rate": _by_upstream(whole, "discrete_win_rate"),
        "mode": "community",
        "avg_length": None if (length := _by_upstream(whole, "avg_length")) is None else int(length),
        "length_controlled_winrate": _by_upstream(whole, "lc_win_rate"),
        # Upstream's column of this name is no uncertainty of the rate.
        "lc_standard_error": _by_upstream(whole, "lc_standard_error"),
    }


def _by_upstream(whole: Mapping[str, Score], metric: str) -> float | None:
    score = whole.get(metric)
    if score is None or score.upstream is None:
        return None if score is None else score.value
    return score.upstream.value
