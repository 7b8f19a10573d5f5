"""Arena-Hard's numbers: verdicts to battles, battles to win rates, with and without control for style.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py``, ``utils/math_utils.py`` (current pipeline); the parent of
9a1d386:``show_result.py``, ``utils_math.py`` (legacy). Every battle is against the baseline, so that Bradley–Terry's
optimum is the plain share of battles won; only control for style needs a fit.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from judgebench.judges.orders import candidate_share
from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.stats.bradley_terry import ABOVE, Anchor, predicted_win_rate
from judgebench.stats.intervals import Interval, bootstrap_mean, percentile_interval, resample_counts
from judgebench.stats.style_control import (
    ARENA_HARD_CURRENT,
    ARENA_HARD_LEGACY,
    StyleControlled,
    bootstrap_style_controlled,
    style_controlled,
    style_differences,
)
from judgebench.task import Generations, TaskData

from .judges import STRONG, Pipeline
from .style import FEATURES, TokenCounter, markdown

TASK = "arenahard"
LEVEL = 0.95
SEED = 0
ROUNDS = 1000
STYLE_ROUNDS = 400
UPSTREAM_ROUNDS = 100
RIDGES = (0.0, 0.1, 1.0, 10.0)
"""Penalties on coefficients of style, tried in this order where a table, or a resample of it, has no finite fit."""

SIDES = ("", "baseline_")
"""What the names of a score's features begin with: the model's, the baseline's."""

CONTROLS = {"both": [0, 1, 2, 3], "length": [0], "markdown": [1, 2, 3]}
"""Features that each kind of control uses, as places in ``FEATURES``."""

OPTIONS = {"current": ARENA_HARD_CURRENT, "legacy": ARENA_HARD_LEGACY}
UPSTREAM_LEVEL = {"current": 0.90, "legacy": 0.95}
"""Upstream prints the 5th and 95th percentile, or the 2.5th and 97.5th."""

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How verdicts become numbers."""

    pipeline: Pipeline
    weight: int = 3
    """Battles that a clear win counts as."""
    first_game_only: bool = False
    control: str = "both"
    upstream_compat: bool = False


# -- verdicts to battles


@dataclass
class _Tally:
    """What the judges said about one example."""

    won: float = 0.0
    tied: float = 0.0
    lost: float = 0.0
    unread: int = 0
    failed: int = 0
    unjudged: int = 0
    dropped: int = 0
    """Games that were read and count nothing, because the other game of the question was not."""
    unknown: list[str] = field(default_factory=list)

    @property
    def battles(self) -> float:
        return self.won + self.tied + self.lost

    def add(self, judgements: Sequence[Judgement], rules: Rules) -> None:
        """One judge's games: the current pipeline drops both if one is missing, the legacy one only that one."""
        by_side = {judgement.candidate: judgement for judgement in judgements}
        wanted = [by_side.get(side) for side in ((1,) if rules.first_game_only else (1, 0))]
        read = []
        for judgement in wanted:
            if judgement is None:
                self.unjudged += 1
            elif judgement.verdict.value is not None:
                read.append(judgement)
            elif judgement.failed:
                self.failed += 1
            else:
                self.unread += 1
                if judgement.verdict.label is not None:
                    self.unknown.append(judgement.verdict.label)
        if rules.pipeline == "current" and len(read) < len(wanted):
            self.dropped += len(read)
            return
        for judgement in read:
            self._count(judgement, rules.weight)

    def _count(self, judgement: Judgement, weight: int) -> None:
        assert judgement.verdict.value is not None
        share = candidate_share(judgement.verdict.value, judgement.candidate)
        battles = weight if judgement.verdict.label in STRONG else 1
        if share == 0.5:
            self.tied += battles
        else:
            self.won += battles * share
            self.lost += battles * (1 - share)

    def score(self, example: Example, styles: Mapping[str, float | None]) -> ExampleScore:
        """The model's share of the example's battles, weighted with their number."""
        return ExampleScore(
            example_id=example.id,
            metric="win_rate",
            value=(self.won + self.tied / 2) / self.battles if self.battles else None,
            weight=self.battles or 1.0,
            covariates={
                "won": self.won,
                "tied": self.tied,
                "lost": self.lost,
                "unread": float(self.unread),
                "failed": float(self.failed),
                "unjudged": float(self.unjudged),
                "dropped": float(self.dropped),
                "unknown_labels": " ".join(sorted(self.unknown)) or None,
                "category": example.meta["category"],
                "subcategory": example.meta.get("subcategory"),
                **styles,
            },
        )


def example_scores(
    data: TaskData,
    generations: Generations,
    judgements: Iterable[Judgement],
    rules: Rules,
    counter: TokenCounter,
    known_styles: Mapping[str, Mapping[str, float]],
) -> list[ExampleScore]:
    """One row per example that has an answer or a judgement. Several judges' battles are pooled, as upstream's are."""
    judged: dict[str, dict[tuple[str, int], list[Judgement]]] = {}
    candidate_of: dict[str, str] = {}
    baseline_of: dict[str, str] = {}
    for judgement in judgements:
        by_judge = judged.setdefault(judgement.example_id, {})
        by_judge.setdefault((judgement.judge_model, judgement.repeat), []).append(judgement)
        candidate_of[judgement.example_id] = judgement.answers[judgement.candidate]
        baseline_of[judgement.example_id] = judgement.answers[1 - judgement.candidate]
    style = partial(_style, counter=counter, known_styles=known_styles)
    scores = []
    for example in data.examples:
        own = generations.get(example.id)
        if own is None and example.id not in judged:
            continue
        tally = _Tally()
        for games in judged.get(example.id, {"": []}).values():
            tally.add(games, rules)
        other = next((name for name, given in data.baselines.items() if example.id in given), "")
        baseline = baseline_of.get(example.id, other)
        against = data.baselines.get(baseline, {}).get(example.id)
        model = own.model if own else candidate_of[example.id]
        text = own.outputs[-1] if own and own.outputs and not own.error else None
        styles = style(example, model, text)
        styles |= {
            f"baseline_{name}": value
            for name, value in style(example, baseline, against.outputs[-1] if against else None).items()
        }
        scores.append(tally.score(example, styles))
    return scores


def _style(
    example: Example,
    model: str,
    text: str | None,
    *,
    counter: TokenCounter,
    known_styles: Mapping[str, Mapping[str, float]],
) -> dict[str, float | None]:
    """Features of an answer: as its file says, else counted; ``None`` where neither is possible."""
    found: dict[str, float | None] = dict.fromkeys(FEATURES)
    if text is not None:
        counted = markdown(text)
        if counted is not None:
            found |= dict(zip(FEATURES[1:], map(float, counted.totals), strict=True))
    given = {**known_styles.get(text or "", {}), **example.meta.get("styles", {}).get(model, {})}
    # Which encoding a file's lengths were counted in is part of the name there.
    found |= {name: given[name] for name in FEATURES[1:] if name in given}
    found["token_len"] = given.get(counter.name)
    if found["token_len"] is None and text is not None:
        tokens = counter.count(text)
        found["token_len"] = None if tokens is None else float(tokens)
    return found


# -- battles to scores


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, rules: Rules) -> list[Score]:
    """Both win rates over all examples, by category, and the plain one by subcategory."""
    parts = _parts(data, scores, "category")
    rates = {name: _WinRate.of(own, total, rules) for name, (own, total) in parts.items()}
    styled = {name: _styled(own, rates[name], data, rules) for name, (own, _) in parts.items()}
    everything = _WinRate.of(list(scores), len(data.examples), rules)
    rows = [everything.score(None), _over_categories(styled, everything, rules)]
    for name in parts:
        rows += [rates[name].score(f"category={name}"), styled[name].score(f"category={name}", rules)]
    for name, reason in data.extras.unavailable.items():
        if name not in parts:
            total = sum(example.meta["category"] == name for example in data.extras.set_aside)
            for metric in ("win_rate", "win_rate_style_controlled"):
                rows.append(_absent(metric, total, f"not evaluated: {reason}", f"category={name}"))
    for name, (own, total) in _parts(data, scores, "subcategory").items():
        if name not in parts:
            rows.append(_WinRate.of(own, total, rules).score(f"subcategory={name}"))
    return rows


def _parts(data: TaskData, scores: Sequence[ExampleScore], key: str) -> dict[str, tuple[list[ExampleScore], int]]:
    """Example scores, and how many there should be, by category or subcategory."""
    totals = Counter(str(example.meta[key]) for example in data.examples if example.meta.get(key))
    return {name: ([s for s in scores if s.covariates[key] == name], total) for name, total in totals.items()}


@dataclass(frozen=True)
class _WinRate:
    """The share of battles won in one part of the examples."""

    shares: FloatArray
    weights: FloatArray
    battles: FloatArray
    """Battles won, tied and lost: shape (3,)."""
    n_missing: int
    games: dict[str, Any]
    """How games ended that count nothing."""
    missing_games: float
    rules: Rules

    @classmethod
    def of(cls, scores: Sequence[ExampleScore], total: int, rules: Rules) -> "_WinRate":
        valued = [score for score in scores if score.value is not None]
        counts = {
            f"{name}_games": int(sum(_number(score, name) or 0 for score in scores))
            for name in ("unread", "failed", "unjudged", "dropped")
        }
        labels = Counter(label for s in scores for label in str(s.covariates["unknown_labels"] or "").split())
        counts["unjudged_games"] += (total - len(scores)) * (1 if rules.first_game_only else 2)
        return cls(
            shares=np.array([score.value for score in valued], dtype=float),
            weights=np.array([score.weight for score in valued], dtype=float),
            battles=np.array([sum(_number(s, name) or 0 for s in valued) for name in ("won", "tied", "lost")]),
            n_missing=total - len(valued),
            games={**counts, "unknown_labels": dict(sorted(labels.items()))},
            missing_games=sum(counts.values()),
            rules=rules,
        )

    @property
    def weight(self) -> float:
        """Battles in all."""
        return float(self.weights.sum())

    def score(self, group: str | None) -> Score:
        """With our interval, or upstream's estimate and interval if they were asked for."""
        if not len(self.shares):
            missing = self.n_missing
            return _absent("win_rate", missing, "no question has a verdict", group, details=self.games)
        mean = bootstrap_mean(100 * self.shares, self.weights, rng=np.random.default_rng(SEED), rounds=ROUNDS)
        assert mean.estimate is not None
        value, stderr, interval = mean.estimate, mean.stderr, mean.interval
        method = f"share of battles won, ties as halves, a clear win as {self.rules.weight}; "
        if interval is not None:
            interval = replace(interval, method=f"bootstrap percentile over questions, {ROUNDS} rounds, seed {SEED}")
            if value in (0.0, 100.0):
                stderr, interval = None, _one_sided(value, len(self.shares))
        upstream = self._upstream()
        if self.rules.upstream_compat and upstream is not None:
            value, interval, stderr = upstream.estimate, upstream.interval, None
        return Score(
            task=TASK,
            metric="win_rate",
            value=value,
            unit="percent",
            stderr=stderr,
            **_bounds(interval),
            method=method + (interval.method if interval else "too few questions for an interval"),
            n=len(self.shares),
            n_missing=self.n_missing,
            group=group,
            details=self._details(upstream),
        )

    def _details(self, upstream: "_Upstream | None") -> dict[str, Any]:
        won = float(self.shares @ self.weights)
        most = self.missing_games * self.rules.weight
        return {
            "battles": dict(zip(("won", "tied", "lost"), self.battles.tolist(), strict=True)),
            **self.games,
            "if_missing_all_lost_or_won": [
                100 * won / (self.weight + most),
                100 * (won + most) / (self.weight + most),
            ],
            "upstream": None if upstream is None else upstream.details(),
        }

    def _upstream(self) -> "_Upstream | None":
        """Resampled battles; ``None`` where the shares were not made from whole battles (a median of judges)."""
        total = self.battles.sum()
        whole = total > 0 and (self.battles == np.round(self.battles)).all()
        if not whole or abs(self.battles @ [1, 0.5, 0] / total - self.shares @ self.weights / self.weight) > 1e-9:
            return None
        rng = np.random.default_rng(SEED)
        drawn = rng.multinomial(int(total), self.battles / total, size=ROUNDS)
        rates = 100 * (drawn @ [1, 0.5, 0]) / total
        point = float(100 * self.battles @ [1, 0.5, 0] / total)
        estimate = float(rates.mean()) if self.rules.pipeline == "current" else point
        return _Upstream(estimate, rates, self.rules.pipeline)


@dataclass(frozen=True)
class _Upstream:
    """What upstream's script would print, up to its random numbers."""

    estimate: float
    rates: FloatArray
    pipeline: str

    @property
    def interval(self) -> Interval | None:
        return percentile_interval(
            self.rates, UPSTREAM_LEVEL[self.pipeline], "upstream's bootstrap percentile over single battles"
        )

    def details(self) -> dict[str, Any] | None:
        interval = self.interval
        if interval is None:
            return None
        return {"value": self.estimate, **_bounds(interval), "method": interval.method}


def _number(score: ExampleScore, name: str) -> float | None:
    value = score.covariates[name]
    assert not isinstance(value, str)
    return value


def _one_sided(value: float, n: int) -> Interval:
    """The exact binomial interval of none, or all, of n questions: resampling equal shares would give no width."""
    beyond = 100 * (1 - ((1 - LEVEL) / 2) ** (1 / n))
    low, high = (0.0, beyond) if value == 0.0 else (100 - beyond, 100.0)
    return Interval(low, high, LEVEL, "exact binomial over questions, all of which ended alike")


def _bounds(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {"low": None, "high": None, "level": None}
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def _absent(metric: str, total: int, why: str, group: str | None, details: Mapping[str, Any] | None = None) -> Score:
    return Score(
        task=TASK,
        metric=metric,
        value=None,
        unit="percent",
        n=0,
        n_missing=total,
        group=group,
        reason=why,
        details=dict(details or {}),
    )


# -- control for style


@dataclass(frozen=True)
class StyleBattles:
    """Single battles of some models against one baseline, in any order. Shapes (battles,) and (battles, 4)."""

    model: IntArray
    """Index of the model."""
    share: FloatArray
    """The model's share of the win: 0, 0.5 or 1."""
    style: FloatArray
    baseline_style: FloatArray

    def differences(self, pipeline: Pipeline, control: str) -> FloatArray:
        """Relative differences in the features controlled for."""
        table = style_differences(self.style, self.baseline_style, OPTIONS[pipeline].formula)
        return table[:, CONTROLS[control]]

    def fit(self, pipeline: Pipeline, control: str, *, ridge: float = 0.0) -> StyleControlled:
        """The published tables' fit, to its minimum. Item 0 is the baseline, item 1 + k model k.

        Where a feature sorts its few battles by outcome there is no minimum, which is a ``ValueError``; a ``ridge`` on
        the coefficients makes one.

        All battles are standardised together, so that a model's number depends on the other models of the table. Run
        by itself, as here, a model's mean difference in style from the baseline is the zero of the scale.
        """
        return style_controlled(
            1 + self.model,
            np.zeros(len(self.model), dtype=np.int64),
            self.share,
            self.differences(pipeline, control),
            replace(OPTIONS[pipeline], l2=OPTIONS[pipeline].l2 or ridge),
            anchor=Anchor(0, 1000.0),
        )

    def fit_anyway(self, pipeline: Pipeline, control: str) -> tuple[StyleControlled, float]:
        """The fit with the smallest of ``RIDGES`` that has a minimum, and which that was."""
        for ridge in RIDGES[:-1]:
            try:
                return self.fit(pipeline, control, ridge=ridge), ridge
            except ValueError:
                continue
        return self.fit(pipeline, control, ridge=RIDGES[-1]), RIDGES[-1]

    def take(self, rows: IntArray) -> "StyleBattles":
        """Some of the battles, perhaps several times."""
        return StyleBattles(self.model[rows], self.share[rows], self.style[rows], self.baseline_style[rows])


def win_rates(fit: StyleControlled) -> list[float | None]:
    """Percent against the baseline per model; 0 or 100 where every battle was lost or won.

    ``None`` where no battle tells.
    """
    base = fit.ratings[0]
    rates: list[float | None] = []
    for item, rating in enumerate(fit.ratings[1:], 1):
        if rating is not None and base is not None:
            rates.append(float(100 * predicted_win_rate(rating, base)))
        else:
            rates.append({ABOVE: 100.0, None: None}.get(fit.unrated.get(item), 0.0))
    return rates


@dataclass(frozen=True)
class _Styled:
    """The style-controlled win rate of one category, or why there is none."""

    value: float | None
    replicates: FloatArray
    upstream: FloatArray
    n: int
    n_missing: int
    battles: float
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def score(self, group: str | None, rules: Rules) -> Score:
        if self.value is None:
            reason = self.reason or "no battle tells"
            return _absent("win_rate_style_controlled", self.n + self.n_missing, reason, group)
        interval = percentile_interval(
            self.replicates, LEVEL, f"bootstrap percentile over questions, {STYLE_ROUNDS} rounds, refitted"
        )
        if self.value in (0.0, 100.0):
            interval = _one_sided(self.value, self.n)
        estimate = self.value
        if rules.pipeline == "current" and len(self.upstream):
            estimate = float(np.median(self.upstream))
        upstream = _Upstream(estimate, self.upstream, rules.pipeline)
        value, stderr = self.value, float(self.replicates.std(ddof=1)) if len(self.replicates) > 1 else None
        if rules.upstream_compat and upstream.interval is not None:
            value, interval, stderr = upstream.estimate, upstream.interval, None
        controlled = {"both": "length and Markdown"}.get(rules.control, rules.control)
        return Score(
            task=TASK,
            metric="win_rate_style_controlled",
            value=value,
            unit="percent",
            stderr=stderr,
            **_bounds(interval),
            method=f"Bradley–Terry controlled for {controlled} ({rules.pipeline} pipeline, this model alone); "
            + (interval.method if interval else "too few questions for an interval"),
            n=self.n,
            n_missing=self.n_missing,
            group=group,
            details={**self.details, "upstream": upstream.details()},
        )


def _styled(scores: Sequence[ExampleScore], rate: _WinRate, data: TaskData, rules: Rules) -> _Styled:
    valued = [score for score in scores if score.value is not None]
    total = len(valued) + rate.n_missing
    needed = _needed(rules)
    known = [s for s in valued if None not in [_number(s, side + name) for side in SIDES for name in needed]]

    def none(reason: str) -> _Styled:
        return _Styled(None, np.zeros(0), np.zeros(0), 0, total, 0.0, reason)

    if not valued:
        return none("no question has a verdict")
    if not known:
        return none(_why_unknown(valued, data.extras.counter))
    if rate._upstream() is None:
        return none("the battles are not whole ones, as where verdicts are a median or shares")
    battles, question = _battles(known)
    fit, ridge = battles.fit_anyway(rules.pipeline, rules.control)
    value = win_rates(fit)[0]
    if value in (0.0, 100.0) or value is None:
        return _Styled(value, np.zeros(0), np.zeros(0), len(known), total - len(known), float(len(question)))
    return _Styled(
        value,
        _replicates(battles, question, rules),
        _upstream_replicates(fit),
        len(known),
        total - len(known),
        float(len(question)),
        details={**_fit_details(fit, battles, rules), "ridge": ridge},
    )


def _needed(rules: Rules) -> list[str]:
    """Features that the control reads; the current pipeline relates Markdown to length, so it always needs that."""
    places = CONTROLS[rules.control] if rules.pipeline == "legacy" else {0, *CONTROLS[rules.control]}
    return [FEATURES[place] for place in sorted(places)]


def _why_unknown(scores: Sequence[ExampleScore], counter: TokenCounter) -> str:
    if any(_number(score, "header_count") is None for score in scores):
        return "the run holds judgements without the model's answers, so their style is unknown"
    if any(_number(score, "baseline_header_count") is None for score in scores):
        return "the run holds judgements without the baseline's answers, so their style is unknown"
    return f"the answers' lengths in {counter.name} tokens are unknown: {counter.reason or 'they could not be counted'}"


def _battles(scores: Sequence[ExampleScore]) -> tuple[StyleBattles, IntArray]:
    """Single battles, and the question of each."""
    counts = np.array([[int(_number(s, name) or 0) for name in ("won", "tied", "lost")] for s in scores])
    question = np.repeat(np.arange(len(scores)), counts.sum(axis=1))
    share = np.repeat(np.tile([1.0, 0.5, 0.0], len(scores)), counts.ravel())
    style, baseline_style = (
        np.array([[_number(score, side + name) or 0.0 for name in FEATURES] for score in scores])[question]
        for side in SIDES
    )
    return StyleBattles(np.zeros(len(question), dtype=np.int64), share, style, baseline_style), question


def _replicates(battles: StyleBattles, question: IntArray, rules: Rules) -> FloatArray:
    """Win rates of resampled questions: all of a question's battles stay together."""
    last = int(question.max()) + 1
    rates = []
    for counts in resample_counts(last, STYLE_ROUNDS, np.random.default_rng(SEED)):
        rows = np.repeat(np.arange(len(question)), counts[question])
        rates.append(win_rates(battles.take(rows).fit_anyway(rules.pipeline, rules.control)[0])[0])
    return np.array(rates, dtype=float)


def _upstream_replicates(fit: StyleControlled) -> FloatArray:
    drawn = bootstrap_style_controlled(fit, rng=np.random.default_rng(SEED), rounds=UPSTREAM_ROUNDS).ratings.ratings
    return 100 * predicted_win_rate(drawn[:, 1], drawn[:, 0]) if drawn.shape[1] == 2 else np.zeros(0)


def _fit_details(fit: StyleControlled, battles: StyleBattles, rules: Rules) -> dict[str, Any]:
    """Coefficients per standard deviation, and the win rate that the same fit gives two answers of equal style."""
    differences = battles.differences(rules.pipeline, rules.control)
    spread = differences.std(axis=0, ddof=fit.options.std_ddof) if len(differences) > 1 else np.ones(1)
    beta = np.array([coefficient or 0.0 for coefficient in fit.coefficients])
    shift = -(beta * differences.mean(axis=0) / np.where(spread > 0, spread, 1)).sum()
    logit = fit.strengths[1] - fit.strengths[0] + shift
    names = [FEATURES[place] for place in CONTROLS[rules.control]]
    return {
        "coefficients": dict(zip(names, fit.coefficients, strict=True)),
        "at_equal_style": float(100 / (1 + np.exp(-logit))),
        "mean_differences": dict(zip(names, differences.mean(axis=0).tolist(), strict=True)),
    }


def _over_categories(styled: Mapping[str, _Styled], rate: _WinRate, rules: Rules) -> Score:
    """One category's number, or the mean of several weighted with their battles: each has a baseline of its own."""
    found = [one for one in styled.values() if one.value is not None]
    total = len(rate.shares) + rate.n_missing
    if not found:
        reason = next((one.reason for one in styled.values() if one.reason), "no question has a verdict")
        return _absent("win_rate_style_controlled", total, reason, None)
    share = np.array([one.battles for one in found])
    share /= share.sum()
    rounds = min(len(one.replicates) for one in found)
    upstream = min(len(one.upstream) for one in found)
    together = _Styled(
        float(share @ [one.value for one in found]),
        share @ np.array([one.replicates[:rounds] for one in found]),
        share @ np.array([one.upstream[:upstream] for one in found]),
        sum(one.n for one in found),
        total - sum(one.n for one in found),
        0.0,
        details=found[0].details if len(found) == 1 else {},
    )
    return together.score(None, rules)
