"""The leaderboard's tables from upstream's result files, for many models at once; the inputs of WB-Elo on the way.

A run of ``judgebench`` scores one model. These functions read the files of a whole leaderboard and give the numbers of
allenai/WildBench@d6b8dca:leaderboard/data_dir/{_create_tables,_merge_results}.py: micro and macro scores and rewards,
their means over the baselines, and ranks. A model that was not compared with a baseline has no reward over it; upstream
writes 0, which ranks before everybody who lost (``zero_fill`` does the same).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from judgebench.tasks.wildbench import formulas
from judgebench.tasks.wildbench.formulas import BASELINES, PUBLISHED_K, WEIGHTS
from judgebench.tasks.wildbench.judges import CUT, EMPTY, score_verdict

from judgebench.data.rows import MAX_FILE_BYTES
from judgebench.errors import RecordError
from judgebench.files import read_bytes
from judgebench.stats.arrays import FloatArray

READERS = 2
"""Threads that read files."""


class ScoreRecord(msgspec.Struct, frozen=True):
    """What the tables need of one stored score."""

    session_id: str
    score: str | float
    model_output: str


class PairRecord(msgspec.Struct, frozen=True):
    """What the tables need of one stored pair."""

    session_id: str
    winner: str
    extent: int
    model_outputs: dict[str, str]


@dataclass(frozen=True)
class Records:
    """One model's records as columns, in the order of the tasks; NaN where a task has none."""

    value: FloatArray
    """Scores, or rewards before the length rule."""
    used: FloatArray
    """1 for answers (and pairs) that are neither cut off nor empty."""
    length: FloatArray
    baseline_length: FloatArray | None = None


@dataclass(frozen=True)
class ScoreRow:
    """One model's line of the score table."""

    score: float
    adjusted_score: float
    macro: float
    per_group: dict[str, float]
    total: int
    avg_len: float | None


@dataclass(frozen=True)
class RewardRow:
    """One model's line of the table of one baseline and length margin."""

    endings: dict[str, int]
    reward: float
    macro: float
    per_group: dict[str, float]
    total: int
    avg_len: float | None


@dataclass(frozen=True)
class BoardRow:
    """One model's line of the leaderboard, in points; ``None`` where a baseline is missing."""

    model: str
    rewards: dict[str, float | None]
    macro_rewards: dict[str, float | None]
    mixture_of_rewards: float | None
    task_macro_reward: float | None
    mixture_per_group: dict[str, float | None]
    wb_score: float
    wb_score_macro: float
    length: float | None
    reward_score_avg: float | None
    rank_score_macro: int
    rank_task_macro_reward: int | None


# -- reading


def read_scores(path: Path, position: Mapping[str, int]) -> Records:
    """Read a model's stored scores; ``position`` gives each session's place in the official order."""
    rows = _decode(path, _scores)
    values = []
    for row in rows:
        verdict = score_verdict(row.score)
        if verdict.value is None:
            raise RecordError(path, 1, f"session {row.session_id}: {verdict.error}")
        values.append(verdict.value)
    texts = [row.model_output for row in rows]
    return _records([row.session_id for row in rows], values, position, texts)


def read_pairs(path: Path, baseline: str, position: Mapping[str, int]) -> Records | None:
    """Read a model's stored pairs with a baseline; return ``None`` if the file compares a model with itself."""
    rows = _decode(path, _pairs)
    ids = list(rows[0].model_outputs) if rows else []
    if len(ids) == 1:
        return None
    holding = [model for model in ids if baseline in model]
    if len(ids) != 2 or not holding:
        raise RecordError(path, 1, f"one of two models should be {baseline}; found {', '.join(ids)[:200] or 'none'}")
    other = holding[0]  # upstream's rule: the first id that contains the baseline's name
    own = ids[1 - ids.index(other)]
    reward = {(own, 2): 1.0, (own, 1): 0.5, (other, 1): -0.5, (other, 2): -1.0}
    values = [0.0 if row.winner == "tie" else reward[row.winner, row.extent] for row in rows]
    return _records(
        [row.session_id for row in rows],
        values,
        position,
        [row.model_outputs[own] for row in rows],
        [row.model_outputs[other] for row in rows],
    )


_scores = msgspec.json.Decoder(list[ScoreRecord])
_pairs = msgspec.json.Decoder(list[PairRecord])


T = TypeVar("T")


def _decode(path: Path, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(read_bytes(path, MAX_FILE_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise RecordError(path, 1, f"not a result file of WildBench: {error}") from error


def _records(
    sessions: Sequence[str],
    values: Sequence[float],
    position: Mapping[str, int],
    texts: Sequence[str],
    baseline_texts: Sequence[str] | None = None,
) -> Records:
    at = np.array([position[session] for session in sessions], dtype=int)

    def column(numbers: Sequence[float], missing: float) -> FloatArray:
        filled = np.full(len(position), missing)
        filled[at] = numbers
        return filled

    both = [texts] if baseline_texts is None else [texts, baseline_texts]
    used = [not any(text.endswith(CUT) or text in ("", EMPTY) for text in pair) for pair in zip(*both, strict=True)]
    lengths = [column([len(text) for text in own], np.nan) for own in both]
    return Records(column(values, np.nan), column(used, 0.0), *lengths)


# -- rows


def _per_group(values: FloatArray) -> dict[str, float]:
    """Return the groups that have an item."""
    return {group: value for group, value in zip(WEIGHTS, values.tolist(), strict=True) if value == value}


def _avg_len(records: Records) -> float | None:
    length = formulas.mean_length(records.length, records.used)
    return length if length == length else None


def score_row(records: Records, groups: FloatArray) -> ScoreRow:
    """Average a model's scores. ``groups`` is the membership of the tasks, shape (n, 5)."""
    averages = formulas.mean_scores(records.value, records.used, groups)
    values = records.value[np.isfinite(records.value)]
    return ScoreRow(
        score=values.sum().item() / len(values),
        adjusted_score=averages.micro,
        macro=averages.macro,
        per_group=_per_group(averages.per_group),
        total=len(values),
        avg_len=_avg_len(records),
    )


def reward_row(records: Records, groups: FloatArray, k: int) -> RewardRow:
    """Average a model's rewards over one baseline at one length margin."""
    assert records.baseline_length is not None
    value = formulas.after_length_rule(records.value, records.length, records.baseline_length, k)
    averages = formulas.mean_rewards(value, records.used, groups)
    return RewardRow(
        endings=formulas.endings(value, records.used),
        reward=averages.micro,
        macro=averages.macro,
        per_group=_per_group(averages.per_group),
        total=int(np.isfinite(value).sum()),
        avg_len=_avg_len(records),
    )


def leaderboard(
    scores: Mapping[str, ScoreRow], rewards: Mapping[str, Mapping[str, RewardRow]], *, zero_fill: bool = False
) -> list[BoardRow]:
    """Make the table of all models that have scores, best task-macro score first.

    ``rewards`` maps each baseline to its models. A baseline's own row over itself is 0 by definition; what else is
    missing is ``None``, unless ``zero_fill`` makes it 0 as upstream does. Ranks are 1-based and stable; a model
    without a reward has no rank in it.
    """
    points = {
        model: {
            baseline: _points(rewards.get(baseline, {}).get(model), 0.0 if zero_fill or model == baseline else None)
            for baseline in BASELINES
        }
        for model in scores
    }
    mixed = {
        model: {name: _mean([own[baseline][name] for baseline in BASELINES]) for name in ("micro", "macro", *WEIGHTS)}
        for model, own in points.items()
    }
    by_score = _ranks({model: 10 * row.macro for model, row in scores.items()})
    by_reward = _ranks({model: own["macro"] for model, own in mixed.items()})
    rows = []
    for model in sorted(scores, key=by_score.__getitem__):
        row, own = scores[model], mixed[model]
        wb_score_macro, macro = 10 * row.macro, own["macro"]
        rows.append(
            BoardRow(
                model=model,
                rewards={baseline: found["micro"] for baseline, found in points[model].items()},
                macro_rewards={baseline: found["macro"] for baseline, found in points[model].items()},
                mixture_of_rewards=own["micro"],
                task_macro_reward=macro,
                mixture_per_group={group: own[group] for group in WEIGHTS},
                wb_score=row.adjusted_score * 10,
                wb_score_macro=wb_score_macro,
                length=row.avg_len,
                reward_score_avg=None if macro is None else (wb_score_macro + macro) / 2,
                rank_score_macro=by_score[model],
                rank_task_macro_reward=by_reward.get(model),
            )
        )
    return rows


def _points(row: RewardRow | None, missing: float | None) -> dict[str, float | None]:
    """Return a row's rewards in points: ``micro``, ``macro`` and each group. Without a row, all are ``missing``."""
    if row is None:
        return dict.fromkeys(("micro", "macro", *WEIGHTS), missing)
    per_group = {group: row.per_group.get(group) for group in WEIGHTS}
    values = {"micro": row.reward, "macro": row.macro, **per_group}
    return {name: None if value is None else value * 100 for name, value in values.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return formulas.mean_over_baselines(known) if len(known) == len(values) else None


def _ranks(values: Mapping[str, float | None]) -> dict[str, int]:
    known = {model: value for model, value in values.items() if value is not None}
    ordered = sorted(known, key=lambda model: -known[model])
    return {model: rank for rank, model in enumerate(ordered, 1)}


def leaderboards(
    score_files: Mapping[str, Path],
    pair_files: Mapping[str, Mapping[str, Path]],
    position: Mapping[str, int],
    groups: FloatArray,
    margins: Sequence[int] = PUBLISHED_K,
) -> dict[int, list[BoardRow]]:
    """Make the leaderboard at each length margin from files: of scores by model, of pairs by baseline and model.

    ``position`` gives each session's place in the official order, ``groups`` its groups, shape (n, 5).
    """
    compared = [(baseline, model, path) for baseline, files in pair_files.items() for model, path in files.items()]
    with ThreadPoolExecutor(READERS) as pool:  # one file is read while another one is decoded
        pairs = list(pool.map(lambda one: read_pairs(one[2], one[0], position), compared))
        scores = list(pool.map(lambda path: score_row(read_scores(path, position), groups), score_files.values()))
    rows = dict(zip(score_files, scores, strict=True))
    boards = {}
    for k in margins:
        rewards: dict[str, dict[str, RewardRow]] = {baseline: {} for baseline in pair_files}
        for (baseline, model, _), records in zip(compared, pairs, strict=True):
            if records is not None:
                rewards[baseline][model] = reward_row(records, groups, k)
        boards[k] = leaderboard(rows, rewards)
    return boards


# -- WB-Elo


def score_table(models: Sequence[Records]) -> tuple[FloatArray, FloatArray]:
    """Return scores and lengths, shape (tasks, models), NaN where an answer has no score or is cut off or empty.

    They are what :func:`judgebench.stats.elo.votes_from_scores` makes WB-Elo's votes of.
    """
    scores = np.stack([np.where(records.used > 0, records.value, np.nan) for records in models], axis=1)
    lengths = np.stack([records.length for records in models], axis=1)
    return scores, np.where(np.isnan(scores), np.nan, lengths)
