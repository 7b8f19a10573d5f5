"""WildBench's arithmetic: task groups and their weights, rescaling, rewards, the length rule, macro averages.

All functions take arrays over sessions. The sums that intervals need are made in ``metrics.py``.

Source: allenai/WildBench@d6b8dca:leaderboard/data_dir/_create_tables.py.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from judgebench.stats.arrays import FloatArray

GROUP_OF_TAG = {
    "Creative Writing": "Creative Tasks",
    "Editing": "Creative Tasks",
    "Brainstorming": "Creative Tasks",
    "Role playing": "Creative Tasks",
    "Others": "Creative Tasks",
    "Reasoning": "Planning & Reasoning",
    "Planning": "Planning & Reasoning",
    "Math": "Math & Data Analysis",
    "Data Analysis": "Math & Data Analysis",
    "Information seeking": "Information/Advice seeking",
    "Advice seeking": "Information/Advice seeking",
    "Coding & Debugging": "Coding & Debugging",
}
WEIGHTS = {
    "Creative Tasks": 0.5,
    "Planning & Reasoning": 1.25,
    "Math & Data Analysis": 1.0,
    "Information/Advice seeking": 0.75,
    "Coding & Debugging": 1.25,
}
"""Weight of each task group, in the order in which they are added up."""
TOTAL_WEIGHT = 4.75
"""The divisor, also where a group has no item."""

BASELINES = ("gpt-4-turbo-2024-04-09", "claude-3-haiku-20240307", "Llama-2-70b-chat-hf")
DEFAULT_K = 500
PUBLISHED_K = (-1, DEFAULT_K, 1000, 1500)
"""Length margins of the published tables, in characters; -1 is none."""
ENDINGS = {"win_much": 1.0, "win": 0.5, "tie": 0.0, "lose": -0.5, "lose_much": -1.0}
"""Reward of each whole verdict, by upstream's name of it."""


def groups_of(primary_tag: str, secondary_tags: Iterable[str]) -> tuple[str, ...]:
    """Return the groups of a task, each once; raise KeyError for an unknown tag."""
    found = {GROUP_OF_TAG[tag] for tag in (primary_tag, *secondary_tags)}
    return tuple(group for group in WEIGHTS if group in found)


def membership(groups: Sequence[Iterable[str]]) -> FloatArray:
    """Return which tasks belong to which group: shape (n, 5), in the order of :data:`WEIGHTS`."""
    return np.array([[float(group in own) for group in WEIGHTS] for own in groups]).reshape(len(groups), len(WEIGHTS))


def rescaled(mean: FloatArray) -> FloatArray:
    """Put a mean score of 1 to 10 on the scale of -8 to 10, where a score of 5 is 0."""
    return (mean - 5) * 2


def macro(per_group: FloatArray) -> FloatArray:
    """Average groups by weight, shape (…, 5) to (…). A group without items (NaN) has no term; NaN if none has any."""
    total = np.zeros(per_group.shape[:-1])
    for position, weight in enumerate(WEIGHTS.values()):
        values = per_group[..., position]
        total = total + np.where(np.isnan(values), 0.0, values * weight)
    return np.where(np.isnan(per_group).all(axis=-1), np.nan, total / TOTAL_WEIGHT)


def after_length_rule(reward: FloatArray, length: FloatArray, baseline_length: FloatArray, k: int) -> FloatArray:
    """Turn slight wins of an answer longer by more than ``k`` characters into ties; rewards are 1, 0.5, 0, -0.5 and -1.

    A win by a wide margin is never touched; a negative ``k`` changes nothing. NaN where a length is needed and unknown.
    """
    if k < 0:
        return reward
    slight = (np.abs(reward) > 0) & (np.abs(reward) < 1)
    winner_is_longer_by = np.where(reward > 0, length - baseline_length, baseline_length - length)
    changed = np.where(winner_is_longer_by > k, 0.0, reward)
    return np.where(slight, np.where(np.isnan(winner_is_longer_by), np.nan, changed), reward)


class Averages(NamedTuple):
    """The averages of one measure."""

    micro: float
    per_group: FloatArray
    """Shape (5,); NaN for a group without items."""
    macro: float


def mean_scores(score: FloatArray, used: FloatArray, groups: FloatArray) -> Averages:
    """Average rescaled scores. ``score`` is NaN without a record; ``used`` is 0 for empty and cut-off answers.

    The micro score is over all records, the groups are over the used ones only.
    """
    stored = np.isfinite(score)
    value = np.where(stored, score, 0.0)
    weight = np.where(stored, used, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        micro = rescaled(value.sum() / stored.sum())
        per_group = rescaled(((value * weight) @ groups) / (weight @ groups))
    return Averages(float(micro), per_group, float(macro(per_group)))


def mean_rewards(reward: FloatArray, used: FloatArray, groups: FloatArray) -> Averages:
    """Average rewards over one baseline. The micro reward sums the used pairs and divides by *all*, as upstream."""
    stored = np.isfinite(reward)
    weight = np.where(stored, used, 0.0)
    value = np.where(stored, reward, 0.0) * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        micro = value.sum() / stored.sum()
        per_group = (value @ groups) / (weight @ groups)
    return Averages(float(micro), per_group, float(macro(per_group)))


def endings(reward: FloatArray, used: FloatArray) -> dict[str, int]:
    """Count how the used pairs ended, after the length rule: upstream's columns."""
    counted = reward[used > 0]
    return {name: int((counted == value).sum()) for name, value in ENDINGS.items()}


def mean_over_baselines(values: Sequence[float]) -> float:
    """Average with equal weights, added up in upstream's order: haiku, llama, gpt-4-turbo (the first one last)."""
    return sum((*values[1:], values[0])) / len(values)


def mean_length(length: FloatArray, used: FloatArray) -> float:
    """Average the characters of the used answers; NaN without any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(used > 0, length, 0.0).sum() / used.sum())
