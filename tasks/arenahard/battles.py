"""Example scores: the battles that each example's games amount to, and the style of both answers.

What the battles of all examples come to is in ``metrics.py`` and ``controlled.py``.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py`` (``load_judgments``); the parent of its commit 9a1d386:
``show_result.py`` (``get_battles_from_judgment``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

import numpy as np

from judgebench.judges.orders import candidate_share
from judgebench.records import Example, ExampleScore, Judgement
from judgebench.stats.arrays import FloatArray
from judgebench.task import Generations, TaskData
from judgebench.task.markdown import markdown
from judgebench.task.metric import by_example

from .judges import STRONG, Pipeline
from .style import FEATURES, TokenCounter

COUNTS = ("won", "tied", "lost")
NOT_COUNTED = ("unread", "failed", "unjudged", "dropped")
"""Games that count nothing. A dropped one was read, but the other game of the question was not."""

SIDES = ("", "baseline_")
"""What the names of a score's features begin with: the model's, the baseline's."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How verdicts become numbers."""

    pipeline: Pipeline
    weight: int = 3
    """Battles that a clear win counts as."""
    first_game_only: bool = False
    control: str = "both"
    upstream_compat: bool = False


@dataclass(frozen=True)
class Extras:
    """What the scores need in addition to the run."""

    counter: TokenCounter
    known_styles: Mapping[str, Mapping[str, float]]
    """Style counts that the official baseline files contain, by text."""
    unavailable: Mapping[str, str]
    """Categories that cannot be judged here, with the reason."""
    set_aside: tuple[Example, ...]
    """The examples of those categories. A run leaves them out; an imported file may hold judgements of them."""


@dataclass
class _Tally:
    """What the judges said about one example."""

    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*COUNTS, *NOT_COUNTED), 0.0))
    unknown: list[str] = field(default_factory=list)

    @property
    def battles(self) -> float:
        return sum(self.counts[name] for name in COUNTS)

    def add(self, judgements: Sequence[Judgement], rules: Rules) -> None:
        """Count one judge's games. The current pipeline drops both if one is missing, the legacy one only that one."""
        by_side = {judgement.candidate: judgement for judgement in judgements}
        wanted = [by_side.get(side) for side in ((1,) if rules.first_game_only else (1, 0))]
        read = []
        for judgement in wanted:
            if judgement is None:
                self.counts["unjudged"] += 1
            elif judgement.verdict.value is not None:
                read.append(judgement)
            elif judgement.failed:
                self.counts["failed"] += 1
            else:
                self.counts["unread"] += 1
                if judgement.verdict.label is not None:
                    self.unknown.append(judgement.verdict.label)
        if rules.pipeline == "current" and len(read) < len(wanted):
            self.counts["dropped"] += len(read)
            return
        for judgement in read:
            self._count(judgement, rules.weight)

    def _count(self, judgement: Judgement, weight: int) -> None:
        assert judgement.verdict.value is not None
        share = candidate_share(judgement.verdict.value, judgement.candidate)
        battles = weight if judgement.verdict.label in STRONG else 1
        if share == 0.5:
            self.counts["tied"] += battles
        else:
            self.counts["won"] += battles * share
            self.counts["lost"] += battles * (1 - share)

    def score(self, example: Example, styles: Mapping[str, float | None]) -> ExampleScore:
        """Return the model's share of the example's battles, weighted with their number."""
        return ExampleScore(
            example_id=example.id,
            metric="win_rate",
            value=(self.counts["won"] + self.counts["tied"] / 2) / self.battles if self.battles else None,
            weight=self.battles or 1.0,
            covariates={
                **self.counts,
                "unknown_labels": " ".join(sorted(self.unknown)) or None,
                "category": example.meta["category"],
                "subcategory": example.meta.get("subcategory"),
                **styles,
            },
        )


def example_scores(
    data: TaskData, generations: Generations, judgements: Iterable[Judgement], *, rules: Rules
) -> list[ExampleScore]:
    """Make one row per example with an answer or a judgement. Several judges' battles are pooled, as upstream's."""
    judged = by_example(judgements)
    style = partial(_style, extras=data.extras)
    scores = []
    for example in data.examples:
        own, mine = generations.get(example.id), judged.get(example.id, [])
        if own is None and not mine:
            continue
        by_judge: dict[tuple[str, int], list[Judgement]] = {}
        for judgement in mine:
            by_judge.setdefault((judgement.judge_model, judgement.repeat), []).append(judgement)
        tally = _Tally()
        for games in by_judge.values() or [[]]:
            tally.add(games, rules)
        if mine:
            baseline = mine[-1].answers[1 - mine[-1].candidate]
        else:
            baseline = next((name for name, given in data.baselines.items() if example.id in given), "")
        against = data.baselines.get(baseline, {}).get(example.id)
        model = own.model if own else mine[-1].answers[mine[-1].candidate]
        text = own.outputs[-1] if own and own.outputs and not own.error else None
        other = style(example, baseline, against.outputs[-1] if against else None)
        styles = style(example, model, text) | {SIDES[1] + name: value for name, value in other.items()}
        scores.append(tally.score(example, styles))
    return scores


def _style(example: Example, model: str, text: str | None, *, extras: Extras) -> dict[str, float | None]:
    """Return the features of an answer: those in its file, else counted ones; ``None`` if neither is possible."""
    found: dict[str, float | None] = dict.fromkeys(FEATURES)
    if text is not None:
        counted = markdown(text)
        if counted is not None:
            found |= dict(zip(FEATURES[1:], map(float, counted.totals), strict=True))
    given = {**extras.known_styles.get(text or "", {}), **example.meta.get("styles", {}).get(model, {})}
    # Which encoding a file's lengths were counted in is part of the name there.
    found |= {name: given[name] for name in FEATURES[1:] if name in given}
    found["token_len"] = given.get(extras.counter.name)
    if found["token_len"] is None and text is not None:
        tokens = extras.counter.count(text)
        found["token_len"] = None if tokens is None else float(tokens)
    return found


def number(score: ExampleScore, name: str) -> float | None:
    """Return one of a score's counts or features."""
    value = score.covariates[name]
    assert not isinstance(value, str)
    return value


def numbers(scores: Sequence[ExampleScore], names: Sequence[str]) -> FloatArray:
    """Return at least two of them for all scores, NaN where unknown: shape (scores, names)."""
    of_score = itemgetter(*names)
    return np.array([of_score(score.covariates) for score in scores], dtype=float).reshape(len(scores), len(names))


def whole_battles(scores: Sequence[ExampleScore]) -> bool:
    """Say whether these shares come from won, tied and lost battles and not, say, from a median of judges."""
    counts = np.nan_to_num(numbers(scores, COUNTS))
    total, shares = counts.sum(axis=1), np.array([score.value for score in scores], dtype=float)
    whole = (total > 0) & (counts == np.floor(counts)).all(axis=1)
    return bool(np.all(whole & (np.abs(shares * total - counts @ [1, 0.5, 0]) <= 1e-9 * total)))
