"""Rates the models of games: Bradley-Terry, with style held equal, online Elo, ranks, and what the ratings leave out.

The statistics themselves are in ``stats``; nothing here asks a judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from judgebench.arena.games import Games
from judgebench.arena.records import Circle, Circles, Rated, Style
from judgebench.display import reasons
from judgebench.errors import UsageError
from judgebench.stats.arrays import FloatArray
from judgebench.stats.benchmark_quality import separability
from judgebench.stats.bradley_terry import SCALE, Anchor, Spread, predicted_win_rate, ranks
from judgebench.stats.elo import Votes, online_elo, shuffled_elo
from judgebench.stats.many_runs import Contrast, compare_by_covariance, rank_intervals
from judgebench.stats.style_control import (
    PRESETS,
    StyleControlled,
    StyleOptions,
    clustered_covariance,
    clustered_style_spreads,
    style_controlled,
    style_differences,
)
from judgebench.stats.transitivity import cycles, fit_test, item_cycles, named_cycles, win_matrix

PLAIN = StyleOptions()
"""Bradley-Terry without a penalty."""
SEED = 0
ORDERS = 128
"""Random orders of the games behind an Elo rating."""
MOST_CIRCLES = 20
NO_WIDTH = 1e-6
"""Points below which an interval is as wide as rounding makes it."""
LARGEST_TABLE = 500_000_000
"""Questions times pairs of models up to which circles within questions are counted."""
MOST_COMPARED = 150
"""From so many models on, ranks of all pairs together are not computed: there are too many pairs."""
SPREADS = "sandwich, clustered"
METHOD = "Bradley-Terry, a tie half a win; sandwich intervals with questions as clusters"


@dataclass(frozen=True)
class Wishes:
    """What is computed beside the ratings."""

    level: float = 0.95
    style: str | None = None
    """Preset of the style control."""
    elo: bool = False
    k: float = 4.0

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for a preset that does not exist, or an impossible level."""
        if self.style is not None and self.style not in PRESETS:
            raise UsageError(f"--style-control {self.style!r:.80} is not one of {', '.join(sorted(PRESETS))}")
        if not 0 < self.level < 1:
            raise UsageError(f"--level {self.level:g} is not between 0 and 1, as 0.95 is")


@dataclass(frozen=True)
class Ratings:
    """The numbers of an arena, before it is known where the scale lies."""

    models: tuple[Rated, ...]
    """In the order of the games' models."""
    separable: float | None
    told_apart: float | None
    pairs: int
    circles: Circles
    style: Style | None


def rate(games: Games, wishes: Wishes, shift: float = 0.0) -> Ratings:
    """Rate the models of games; ``shift`` is added to ratings of mean 1000."""
    n = len(games.models)
    fit = fitted(games)
    covariance, degrees = clustered_covariance(fit, games.question)
    spreads: tuple[Spread | None, ...] = (None,) * n
    if degrees and len(fit.rated) > 1:
        found = fit.normal_spreads(covariance, wishes.level, degrees=degrees, method=SPREADS)
        spreads = tuple(one if _has_width(one) else None for one in found)
    styled, style = _styled(games, wishes)
    contrasts, open_ranks = _compared(fit, n, covariance, degrees if any(spreads) else 0, wishes.level)
    bounded = [spread.interval for spread in spreads if spread is not None and spread.interval is not None]
    apart = (
        separability([one.low for one in bounded], [one.high for one in bounded]).share if len(bounded) > 1 else None
    )
    told = [contrast.interval.low > 0 or contrast.interval.high < 0 for contrast in contrasts if contrast.interval]
    elo = _elo(games, wishes) if wishes.elo else [{} for _ in range(n)]
    upper = ranks([None if spread is None else spread.interval for spread in spreads])
    known = [rating for rating in fit.ratings if rating is not None]
    models = []
    for place, name in enumerate(games.models):
        rating, own = fit.ratings[place], (games.first == place) | (games.second == place)
        taken = np.where(games.first == place, games.outcome, 1 - games.outcome)[own]
        others = [other for number, other in enumerate(fit.ratings) if other is not None and number != place]
        models.append(
            Rated(
                model=name,
                rating=None if rating is None else rating + shift,
                **_bounds(spreads[place], "", shift),
                rank=upper[place],
                **open_ranks[place],
                share=float(taken.mean()) if len(taken) else None,
                predicted=None
                if rating is None or len(known) < 2
                else float(predicted_win_rate(rating, np.array(others)).mean()),
                games=int(own.sum()),
                questions=len(np.unique(games.question[own])),
                **styled[place],
                **elo[place],
                reason=fit.unrated.get(place) or (None if spreads[place] else _no_interval(games)),
            )
        )
    told_apart = sum(told) / len(told) if told else None
    return Ratings(tuple(models), apart, told_apart, len(bounded) * (len(bounded) - 1) // 2, circles(games), style)


def fitted(games: Games, anchor: Anchor | None = None) -> StyleControlled:
    """Plain Bradley-Terry ratings of games."""
    nothing = np.zeros((len(games), 0))
    return style_controlled(
        games.first, games.second, games.outcome, nothing, PLAIN, n_items=len(games.models), anchor=anchor
    )


def _has_width(spread: Spread | None) -> bool:
    """Whether there is an interval: where all questions came out alike, nothing says how wide it is."""
    return spread is not None and spread.interval is not None and spread.interval.high - spread.interval.low > NO_WIDTH


def _no_interval(games: Games) -> str:
    if len(np.unique(games.question)) < 2:
        return "there are fewer than two questions"
    return "no interval: every question came out alike, so nothing says how far the rating may be off"


def _bounds(spread: Spread | None, name: str, shift: float) -> dict[str, Any]:
    if spread is None or spread.interval is None:
        return {}
    return {f"{name}low": spread.interval.low + shift, f"{name}high": spread.interval.high + shift}


def _compared(
    fit: StyleControlled, models: int, covariance: FloatArray, degrees: int, level: float
) -> tuple[tuple[Contrast, ...], list[dict[str, int]]]:
    """All pairs of rated models, and the ranks that they leave open, of each model."""
    open_ranks: list[dict[str, int]] = [{} for _ in range(models)]
    rated = fit.rated.tolist()
    if degrees < 1 or not 2 <= len(rated) <= MOST_COMPARED:
        return (), open_ranks
    rng = np.random.default_rng(SEED)
    contrasts = compare_by_covariance(
        SCALE * fit.strengths, SCALE**2 * covariance, rng=rng, level=level, degrees=degrees
    )
    for place, found in zip(rated, rank_intervals(contrasts, len(rated)), strict=True):
        open_ranks[place] = {"rank_low": found.low, "rank_high": found.high}
    return contrasts, open_ranks


# -- style


def _styled(games: Games, wishes: Wishes) -> tuple[list[dict[str, Any]], Style | None]:
    """The ratings with style held equal, of each model, and how they were made."""
    nothing: list[dict[str, Any]] = [{} for _ in games.models]
    if wishes.style is None:
        return nothing, None
    options = PRESETS[wishes.style]
    if games.style_first is None or games.style_second is None:
        return nothing, Style(preset=wishes.style, reason="the games have no counts of style")
    known = np.isfinite(np.concatenate([games.style_first, games.style_second], axis=1)).all(axis=1)
    own = games.kept(known)
    if len(own) < 2 or own.style_first is None or own.style_second is None:
        return nothing, Style(preset=wishes.style, reason="the style of the answers is not known")
    differences = style_differences(own.style_first, own.style_second, options.formula)
    try:
        fit = style_controlled(own.first, own.second, own.outcome, differences, options, n_items=len(own.models))
    except ValueError as error:
        return nothing, Style(preset=wishes.style, games=len(own), reason=str(error))
    spreads = clustered_style_spreads(fit, own.question, level=wishes.level)
    upper = ranks([None if spread is None else spread.interval for spread in spreads])
    found = [
        {"style_rating": rating, "style_rank": rank, **_bounds(spread, "style_", 0.0)}
        for rating, spread, rank in zip(fit.ratings, spreads, upper, strict=True)
    ]
    coefficients = dict(zip(own.style, fit.coefficients, strict=True))
    return found, Style(preset=wishes.style, coefficients=coefficients, games=len(own))


# -- Elo


def _elo(games: Games, wishes: Wishes) -> list[dict[str, Any]]:
    """Online Elo of each model: in the order of the games, and over random orders."""
    n = len(games.models)
    in_order = online_elo(games.first, games.second, games.outcome, n_items=n, k=wishes.k)
    votes = Votes(
        n,
        games.first,
        games.second,
        games.outcome,
        np.ones(len(games), dtype=np.int64),
        np.ones(len(games)),
        len(games),
    )
    shuffled = shuffled_elo(_merged(votes), k=wishes.k, rounds=ORDERS, seed=SEED)
    summaries = [shuffled.summary(place) for place in range(n)]
    return [
        {"elo": found.mean, "elo_std": found.std, "elo_in_order": float(last)}
        for found, last in zip(summaries, in_order, strict=True)
    ]


def _merged(votes: Votes) -> Votes:
    """The votes counted by pair and outcome."""
    n = votes.n_items
    codes = ((votes.first * n + votes.second) * 3 + 2 * votes.outcome).astype(np.int64)
    keys, counts = np.unique(codes, return_counts=True)
    return Votes(n, keys // 3 // n, keys // 3 % n, keys % 3 / 2, counts, np.ones(len(counts)), votes.n_decided)


# -- circles


def circles(games: Games) -> Circles:
    """Whether the models beat each other in circles; orders and repeats of a game on a question count as one."""
    n = len(games.models)
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
    won = np.where(games.first < games.second, games.outcome, 1 - games.outcome)
    keys, place = np.unique((games.question * n + low) * n + high, return_inverse=True)
    share = np.bincount(place, won) / np.bincount(place) if len(games) else np.zeros(0)
    items, ones, others = keys // (n * n), keys // n % n, keys % n
    matrix = win_matrix(ones, others, share, n)
    found = cycles(matrix)
    if not found.possible:
        return Circles(reason="no three models have all met")
    votes = np.sign(share - 0.5)
    # A question of fewer than three pairs has no three models; a table of all the others would be needlessly large.
    several = np.bincount(items)[items] >= 3
    if np.count_nonzero(np.bincount(items) >= 3) * n * n > LARGEST_TABLE:
        several[:] = False
    within = (
        item_cycles(items[several], ones[several], others[several], votes[several], n, rng=np.random.default_rng(SEED))
        if several.any()
        else None
    )
    test = fit_test(ones, others, (votes + 1) / 2, n)
    named = [
        Circle(models=(games.models[i], games.models[j], games.models[k]), z=z)
        for i, j, k, z in named_cycles(matrix)[:MOST_CIRCLES]
    ]
    return Circles(
        found=tuple(named),
        triads=found.triads,
        possible=found.possible,
        by_chance=found.by_chance,
        within_questions=None if within is None else within.share,
        within_by_chance=None if within is None else within.independent,
        fit_p=test.p,
        reason="; ".join(reasons([("fit of one rating per model", test.reason)])) or None,
    )


# -- where the scale lies


@dataclass(frozen=True)
class Scale:
    """The shift that sets a scale, and how well it fits."""

    shift: float
    shared: tuple[str, ...]
    rmse: float | None
    spread: float | None


def scale_of(games: Games, given: Mapping[str, float]) -> Scale:
    """The shift by which the ratings of mean 1000 are, on average over the models shared, those given."""
    ratings = dict(zip(games.models, fitted(games).ratings, strict=True))
    shared = [model for model in games.models if model in given and ratings[model] is not None]
    if not shared:
        return Scale(0.0, (), None, None)
    own, theirs = np.array([ratings[model] for model in shared], float), np.array([given[model] for model in shared])
    shift = float((theirs - own).mean())
    left = theirs - own - shift
    wide = len(shared) >= 3 and float(np.ptp(own)) > 0
    spread = float(np.cov(own, theirs)[0, 1] / own.var(ddof=1)) if wide else None
    rmse = float(np.sqrt(np.square(left).mean())) if len(shared) > 1 else None
    return Scale(shift, tuple(shared), rmse, spread)
