"""What an arena found, as records: ``judgebench arena --json`` prints them, and ``ratings.json`` holds them."""

import msgspec

from judgebench.records import Count, Number


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """One model of an arena."""

    model: str
    rating: Number | None
    """In Elo points; null with a reason where no finite rating exists."""
    low: Number | None = None
    high: Number | None = None
    rank: Count | None = None
    """1 + the models whose interval lies wholly above this one's: those that cannot be told apart share a rank."""
    rank_low: Count | None = None
    rank_high: Count | None = None
    """The ranks that the comparisons of all pairs leave open, all models' together at the level."""
    share: Number | None = None
    """Share of the points that it took, ties half."""
    predicted: Number | None = None
    """Mean share of the win that the ratings predict against each of the others."""
    games: Count = 0
    questions: Count = 0
    style_rating: Number | None = None
    """The rating with style held equal."""
    style_low: Number | None = None
    style_high: Number | None = None
    style_rank: Count | None = None
    elo: Number | None = None
    """Online Elo: the mean over random orders of the games."""
    elo_std: Number | None = None
    """What the order alone does to it."""
    elo_in_order: Number | None = None
    """Online Elo after one pass over the games as they came."""
    published: Number | None = None
    """The published rating of a model of this name, where the ratings are anchored to such."""
    reason: str | None = None
    """Why there is no rating, or no interval."""


class Circle(msgspec.Struct, frozen=True, kw_only=True):
    """Three models of which each beats the next, and the last the first."""

    models: tuple[str, str, str]
    z: Number
    """The smallest |z| of its three win rates; below 2 it is no more than what few games do by chance."""


class Circles(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the models beat each other in circles."""

    found: tuple[Circle, ...] = ()
    """The strongest first."""
    triads: Count = 0
    possible: Count = 0
    """Threes of models that all met."""
    by_chance: Number | None = None
    """Expected if each pair were a coin flip."""
    within_questions: Number | None = None
    """Share of (question, three models) whose verdicts form a circle."""
    within_by_chance: Number | None = None
    """Expected of independent verdicts with each pair's own win rate."""
    fit_p: Number | None = None
    """Small if one rating per model does not give the win rates of the pairs."""
    reason: str | None = None


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How the ratings with style held equal were made."""

    preset: str
    coefficients: dict[str, Number | None] = {}
    """Positive where more of it wins; per standard deviation of the relative difference."""
    games: Count = 0
    reason: str | None = None


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """Which of all games were played."""

    how: str
    """``adaptive`` or ``all``, or ``found`` if the games were there already."""
    games: Count
    """Played, with and without a verdict."""
    of: Count
    """All games of the round robin."""
    most: Count
    """What ``--calls`` allows."""
    stopped: str
    """``decided``: playing on would tell no pair apart the other way round; ``calls``: those allowed were played;
    ``all``: there were no more.
    """
    unsettled: tuple[tuple[str, str], ...] = ()
    """Pairs of which that is not known."""
    looks: Count = 0
    """How often the standing was looked at."""
    seed: Count = 0


class Anchoring(msgspec.Struct, frozen=True, kw_only=True):
    """How the scale was set."""

    by: str
    """``mean`` (it is 1000), a model, or the name of a table of ratings."""
    shared: tuple[str, ...] = ()
    """The models that have a rating there."""
    shift: Number = 0.0
    """What was added to ratings of mean 1000."""
    rmse: Number | None = None
    """Root mean square of what the shared models' ratings differ by after that."""
    spread: Number | None = None
    """Slope of the published ratings on one's own: 1 where both scales are equally wide; null below three models."""


class Arena(msgspec.Struct, frozen=True, kw_only=True):
    """Ratings of models from games between them."""

    models: tuple[Rated, ...]
    """The best first."""
    level: Number
    judge: str
    """What decided the games, in words."""
    judges: tuple[str, ...] = ()
    protocol_hash: str = ""
    task: str = ""
    questions: Count
    games: Count
    """With a verdict; each of them counts."""
    ties: Count
    unread: Count = 0
    """Replies without a verdict. They are no games."""
    failed: Count = 0
    """Calls without a reply."""
    pairing: Pairing
    anchoring: Anchoring
    method: str
    separable: Number | None = None
    """Share of the pairs whose intervals do not overlap."""
    told_apart: Number | None = None
    """Share of the pairs whose difference is not 0 by the comparison of all pairs."""
    pairs: Count = 0
    position: Number | None = None
    """Share of the points that the answer shown first took, ties half."""
    consistent: Number | None = None
    """Share of the questions judged in both orders in which both have the same winner."""
    style: Style | None = None
    circles: Circles = Circles()
    elo_k: Number | None = None
    folder: str | None = None
    usd: Number | None = None
    calls: Count = 0
    """Paid for, over all sessions, or found in the call store."""
    notes: tuple[str, ...] = ()
